"""Generators: the bundled one, those out of a user's file; and which generator a name means."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qbench.plugin import Generator, ModelError, Weights, find_generator, find_weights
from qbench.toolkit.networks import expecting, read_metadata, read_trained
from qbench_gan.network import Shape, build_encoder, build_generator, halves

if TYPE_CHECKING:
    import torch
    from torch import nn

HUB_DEFAULT = "pgan-celebahq-512"
BUNDLED = Weights(
    name="gan-photo-64",
    summary="VAE-GAN on squares of 64×64 out of photographs, 512 numbers, 5.0 M parameters",
    source="package:qbench_gan/weights/gan-photo-64.safetensors",
    sha256="af9ced98b47f20080d3cb29ac8f5886c12ad8e49e8ac6f059c49db15f4eb11f9",
    size=10081672,
    licence="Apache-2.0; trained on research data",
    provenance="this project's own `qbench train gan`; see its model card, docs/models/gan-photo-64.md",
)
SIDE_NOTE = "qbench.json"
"""Name of the description within a TorchScript file."""


class TrainedGenerator(Generator):
    """A generator that ``qbench train gan`` trained, with its encoder: the bundled one, or that of a file."""

    name = BUNDLED.name
    summary = BUNDLED.summary
    reference = "VAE-GAN: Larsen et al. 2016, ICML"

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or find_weights(BUNDLED)
        shape, self.log2_scales = _description(self._path)
        self._shape = shape
        self.latent_size, self.height, self.width = shape.latent, shape.size, shape.size

    @classmethod
    def weights(cls) -> Sequence[Weights]:
        """Return the bundled file."""
        return (BUNDLED,)

    def network(self, device: str) -> nn.Module:
        """Build and fill the generator."""
        return self._filled(build_generator(self._shape), "generator.", device)

    def encoder(self, device: str) -> Callable[[torch.Tensor], torch.Tensor]:
        """Build and fill the encoder; its mean is the latent."""
        network = self._filled(build_encoder(self._shape), "encoder.", device)
        return lambda images: halves(network(images), self._shape)[0]

    def _filled(self, network: nn.Module, prefix: str, device: str) -> nn.Module:
        with expecting(self._path, "gan"):
            _, tensors = read_trained(self._path)
            own = {name.removeprefix(prefix): each for name, each in tensors.items() if name.startswith(prefix)}
            network.load_state_dict(own)
        return network.to(device).eval().requires_grad_(False)


class ScriptedGenerator(Generator):
    """A generator out of a TorchScript file, which says about itself what qbench must know.

    Save one with ``torch.jit.save(scripted, path, _extra_files={"qbench.json": description})``, the description
    being JSON: ``{"latent_size": 512, "height": 512, "width": 512, "low": -1, "high": 1}``.
    """

    name = "scripted"
    summary = "a TorchScript file of the user's"

    def __init__(self, path: Path) -> None:
        self._path = path
        described = self._read("cpu")[1]
        try:
            self.latent_size, self.height, self.width = (
                int(described[key]) for key in ("latent_size", "height", "width")
            )
            self.low, self.high = float(described.get("low", -1)), float(described.get("high", 1))
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"{path}: its {SIDE_NOTE} must give latent_size, height and width as integers, and may give low "
                f"and high ({error!r})"
            ) from error

    def network(self, device: str) -> nn.Module:
        """Load the file."""
        network: nn.Module = self._read(device)[0].eval()
        for parameter in network.parameters():  # scripted modules can't do so all at once
            parameter.requires_grad_(False)
        return network

    def _read(self, device: str) -> tuple[Any, dict[str, Any]]:
        import torch

        notes = {SIDE_NOTE: ""}
        try:
            network = torch.jit.load(self._path, map_location=device, _extra_files=notes)  # type: ignore[no-untyped-call]
            return network, dict(json.loads(notes[SIDE_NOTE] or "{}"))
        except (RuntimeError, ValueError, OSError) as error:
            raise ModelError(f"{self._path}: not a TorchScript file ({str(error).splitlines()[0]})") from error


def is_script(name: str) -> bool:
    """Whether a name is that of a TorchScript file, which holds code."""
    return Path(name).suffix in (".pt", ".ts", ".torchscript")


def chosen(name: str | None, profile: str) -> tuple[Callable[[], Generator], Sequence[Weights]]:
    """Return how to make the generator that a name or file means, and its weights.

    Raises:
        QbenchError: there is none of that name; the file can't be read.
    """
    if name is None:
        name = HUB_DEFAULT if profile == "hub" else BUNDLED.name
    path = Path(name).expanduser()
    if path.suffix == ".safetensors":
        return lambda: TrainedGenerator(path), (Weights.local(path, f"generator in {path}"),)
    if is_script(name):
        return lambda: ScriptedGenerator(path), (Weights.local(path, f"generator in {path}"),)
    cls: type[Generator] = find_generator(name)
    return cls, cls.weights()


def _description(path: Path) -> tuple[Shape, Sequence[int]]:
    """Return the networks' shape, and the scale indices of the latent's elements, which trained files call spreads."""
    with expecting(path, "gan"):
        metadata = read_metadata(path)
        shape = metadata["shape"]
        return Shape(**{**shape, "widths": tuple(shape["widths"])}), [int(value) for value in metadata["spreads"]]
