"""The thesis's generator: a progressive GAN (Karras et al. 2018), as published in facebookresearch/pytorch_GAN_zoo."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qbench.plugin import Generator, ModelError, Weights, find_weights

if TYPE_CHECKING:
    import torch
    from torch import nn

HOME = "https://dl.fbaipublicfiles.com/gan_zoo/PGAN/"
LEAK = 0.2
SMALL = 1e-8


def convert(original: Path, converted: Path) -> None:
    """Write the tensors of a published checkpoint's smoothed generator (``avgG``) as safetensors.

    The checkpoint is a pickle that also holds an object of a class of its own. Nothing of it is executed: torch's
    restricted unpickler is told to take an empty stand-in for that class.

    Raises:
        ModelError: it is something else.
    """
    import torch
    from safetensors.torch import save_file

    class BaseConfig:
        """Stands in for ``models.utils.config.BaseConfig``."""

    with torch.serialization.safe_globals([(BaseConfig, "models.utils.config.BaseConfig")]):
        checkpoint = torch.load(original, map_location="cpu", weights_only=True)
    state = checkpoint.get("avgG") if isinstance(checkpoint, dict) else None
    if not state:
        raise ModelError(f"{original}: holds no smoothed generator (avgG)")
    tensors = {str(name).removeprefix("module."): tensor.float().contiguous() for name, tensor in state.items()}
    architecture(tensors)
    save_file(tensors, converted)


def architecture(tensors: Mapping[str, Any]) -> tuple[int, list[int]]:
    """Read the latent's size, and the channels at every scale, off the tensors' shapes.

    Raises:
        ModelError: they are not those of such a generator.
    """
    try:
        first = tensors["groupScale0.0.module.weight"].shape[0]
        latent = tensors["formatLayer.module.weight"].shape[1]
        scales = 1 + max(
            (int(found[1]) for name in tensors if (found := re.match(r"scaleLayers\.(\d+)\.", name))), default=-1
        )
        widths = [tensors[f"scaleLayers.{scale}.1.module.weight"].shape[0] for scale in range(scales)]
        tensors[f"toRGBLayers.{scales}.module.weight"]
    except (KeyError, IndexError) as error:
        raise ModelError(f"not the tensors of a progressive GAN's generator: {error!r}") from error
    return latent, [first, *widths]


def build(tensors: Mapping[str, torch.Tensor]) -> nn.Module:
    """Build the generator that the tensors are of, and fill it: N×latent → N×3×S×S, about [-1, 1].

    Raises:
        ModelError: they are not those of such a generator.
    """
    import torch
    from torch import nn
    from torch.nn import functional

    latent, widths = architecture(tensors)

    class Equalised(nn.Module):
        """A layer whose weights are scaled as it runs, bias included: (f(x) + bias) · sqrt(2 / fan-in)."""

        def __init__(self, module: nn.Module) -> None:
            super().__init__()
            self.module = module
            self.scale = (2 / module.weight[0].numel()) ** 0.5  # type: ignore[index]

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return self.module(inputs) * self.scale  # type: ignore[no-any-return]

    def convolution(before: int, after: int, size: int) -> nn.Module:
        return Equalised(nn.Conv2d(before, after, size, padding=size // 2))

    def normalised(values: torch.Tensor) -> torch.Tensor:
        return values * torch.rsqrt(values.square().mean(dim=1, keepdim=True) + SMALL)

    class ProgressiveGenerator(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.formatLayer = Equalised(nn.Linear(latent, 16 * widths[0]))
            self.groupScale0 = nn.ModuleList([convolution(widths[0], widths[0], 3)])
            self.scaleLayers = nn.ModuleList(
                nn.ModuleList([convolution(before, after, 3), convolution(after, after, 3)])
                for before, after in pairwise(widths)
            )
            self.toRGBLayers = nn.ModuleList(convolution(width, 3, 1) for width in widths)

        def forward(self, latents: torch.Tensor) -> torch.Tensor:
            values = functional.leaky_relu(self.formatLayer(normalised(latents)), LEAK)
            values = normalised(values.unflatten(1, (-1, 4, 4)))  # type: ignore[no-untyped-call]
            values = normalised(functional.leaky_relu(self.groupScale0[0](values), LEAK))
            for layers in self.scaleLayers:
                values = functional.interpolate(values, scale_factor=2, mode="nearest")
                for layer in layers:  # type: ignore[attr-defined]
                    values = normalised(functional.leaky_relu(layer(values), LEAK))
            return self.toRGBLayers[-1](values)  # type: ignore[no-any-return]

    network = ProgressiveGenerator()
    missing = network.load_state_dict(dict(tensors), strict=False).missing_keys
    # The layers that turned smaller scales into colours while it grew are of no more use, and may be missing.
    needed = [name for name in missing if not name.startswith("toRGBLayers.") or f".{len(widths) - 1}." in name]
    if needed:
        raise ModelError(f"lacks {', '.join(needed[:3])}")
    return network


class PublishedGenerator(Generator):
    """A progressive GAN out of a published checkpoint."""

    file: Weights

    @classmethod
    def weights(cls) -> Sequence[Weights]:
        """The converted checkpoint."""
        return (cls.file,)

    def network(self, device: str) -> nn.Module:
        """Build and fill the generator."""
        from safetensors.torch import load_file

        path = find_weights(self.file)
        try:
            network = build(load_file(path))
        except (ModelError, RuntimeError) as error:
            raise ModelError(f"{path}: {error}") from error
        return network.to(device).eval().requires_grad_(False)


def _weights(name: str, summary: str, file: str) -> Weights:
    return Weights(
        name=name,
        summary=summary,
        source=HOME + file,
        sha256=file.removesuffix(".pth").rpartition("-")[2],  # as torch.hub names files: its first eight digits
        size=0,
        licence="BSD-style (pytorch_GAN_zoo); trained on research data",
        provenance="facebookresearch/pytorch_GAN_zoo; Karras et al. 2018",
        convert=convert,
    )


class CelebaHq512(PublishedGenerator):
    """The progressive GAN that the thesis inverted: faces of 512×512, trained on CelebA-HQ."""

    name = "pgan-celebahq-512"
    summary = "progressive GAN, faces of 512×512 (the thesis's)"
    reference = "Karras et al. 2018, ICLR; weights: facebookresearch/pytorch_GAN_zoo"
    file = _weights(name, "progressive GAN, CelebA-HQ at 512×512", "celebaHQ16_december_s7_i96000-9c72988c.pth")
    latent_size, height, width = 512, 512, 512


class CelebaHq256(PublishedGenerator):
    """Its smaller sibling: faces of 256×256."""

    name = "pgan-celebahq-256"
    summary = "progressive GAN, faces of 256×256"
    reference = CelebaHq512.reference
    file = _weights(name, "progressive GAN, CelebA-HQ at 256×256", "celebaHQ_s6_i80000-6196db68.pth")
    latent_size, height, width = 512, 256, 256


class Dtd128(PublishedGenerator):
    """The sibling trained on the Describable Textures Dataset: textures of 128×128."""

    name = "pgan-dtd-128"
    summary = "progressive GAN, textures of 128×128"
    reference = CelebaHq512.reference
    file = _weights(name, "progressive GAN, textures at 128×128", "testDTD_s5_i96000-04efa39f.pth")
    latent_size, height, width = 512, 128, 128


PUBLISHED = (CelebaHq512, CelebaHq256, Dtd128)
