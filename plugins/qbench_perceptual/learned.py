"""LPIPS and DISTS: distances between the features of networks trained on ImageNet, whose weights are fetched."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from qbench.plugin import (
    Candidates,
    Column,
    Context,
    Direction,
    Metric,
    ModelError,
    NotApplicable,
    Parameters,
    Reference,
    Scores,
    Weights,
    find_weights,
)
from qbench_perceptual.conversion import tensors_to_safetensors

if TYPE_CHECKING:
    import torch

LEAST = 32
"""Pixels of a side below which the networks have nothing left in their last layers."""


def _torchvision(name: str, summary: str, file: str) -> Weights:
    return Weights(
        name=f"torchvision/{name}",
        summary=summary,
        source=f"https://download.pytorch.org/models/{file}.pth",
        sha256=file.rpartition("-")[2],
        size=0,
        licence="BSD-3-Clause; trained on ImageNet",
        provenance="torchvision, IMAGENET1K_V1",
        convert=tensors_to_safetensors,
    )


BACKBONES = {
    "alex": _torchvision("alexnet", "AlexNet, torchvision's, under LPIPS", "alexnet-owt-7be5be79"),
    "vgg": _torchvision("vgg16", "VGG-16, torchvision's, under LPIPS and DISTS", "vgg16-397923af"),
    "squeeze": _torchvision("squeezenet1_1", "SqueezeNet 1.1, torchvision's, under LPIPS", "squeezenet1_1-b8a52dc0"),
}
DISTS_WEIGHTS = Weights(
    name="dists",
    summary="DISTS' weights of structure and texture",
    source="https://huggingface.co/chaofengc/IQA-PyTorch-Weights/resolve/main/DISTS_weights-f5e65c96.pth",
    sha256="f5e65c96",
    size=0,
    licence="MIT",
    provenance="Ding et al. 2022; https://github.com/dingkeyan93/DISTS",
    convert=tensors_to_safetensors,
)


class LearnedDistance(Metric):
    """What LPIPS and DISTS have in common."""

    runs_on = "accelerator"

    def __init__(self, parameters: Any, context: Context) -> None:
        super().__init__(parameters, context)
        self._weights = self.weights(parameters, context.profile)

    @cached_property
    def _network(self) -> Any:
        network = self.build([find_weights(weights) for weights in self._weights])
        return network.to(self.context.device).eval().requires_grad_(False)

    def build(self, paths: Sequence[Path]) -> torch.nn.Module:
        """Build the network, from two tensors N×3×H×W in [0, 1] to N distances."""
        raise NotImplementedError

    def prepare(self, reference: Reference) -> None:
        """Refuse images that are too small."""
        shorter = min(reference.pixels.shape[:2])
        if shorter < LEAST:
            raise NotApplicable(f"shorter side is {shorter} pixels; {self.name} needs {LEAST}")

    def score(self, candidates: Candidates, prepared: Any) -> Sequence[Scores]:
        """Score a batch, on a processor one by one; the original itself has distance 0."""
        import torch

        values = [0.0] * len(candidates)
        other = [index for index, same in enumerate(candidates.identical) if not same]
        size = 1 if candidates.device == "cpu" else max(1, len(other))
        with torch.inference_mode():
            original = candidates.reference.tensor / 255
            for first in range(0, len(other), size):
                chosen = other[first : first + size]
                made = candidates.tensor if len(chosen) == len(candidates) else candidates.tensor[chosen]
                found = self._network(made / 255, original.expand(len(chosen), -1, -1, -1)).flatten().tolist()
                for index, value in zip(chosen, found, strict=True):
                    values[index] = value
        return [{self.name: value} for value in values]


def needs_hub(name: str, profile: str) -> None:
    """Refuse profiles in which no weights of others are used.

    Raises:
        ModelError: the profile is not hub.
    """
    if profile != "hub":
        raise ModelError(f"{name}: no network trained on ImageNet is bundled; use profile hub")


class LpipsParameters(Parameters):
    """Settings of LPIPS."""

    net: Literal["alex", "vgg", "squeeze"] = Field("alex", description="network, as its authors name them")


class Lpips(LearnedDistance):
    """Learned perceptual distance of image patches, version 0.1, by its authors' package; the column names the network.

    Weighted squared differences of unit-length features in five layers (seven with SqueezeNet), averaged over
    positions. AlexNet is what the authors advise for comparing, VGG what most papers on codecs train with.
    """

    name = "lpips"
    summary = "learned perceptual image patch similarity, a distance; the name includes the network"
    reference = "Zhang, Isola, Efros, Shechtman & Wang 2018, CVPR"
    Parameters: ClassVar = LpipsParameters
    columns: ClassVar = (Column("lpips", Direction.LOWER, 0.0, None, title="LPIPS"),)

    @classmethod
    def weights(cls, parameters: LpipsParameters, profile: str) -> Sequence[Weights]:
        """The network's; the weights of its layers are in the package."""
        needs_hub(cls.name, profile)
        return (BACKBONES[parameters.net],)

    @classmethod
    def default_label(cls, parameters: LpipsParameters, profile: str) -> str:
        """``lpips-alex``."""
        return f"{cls.name}-{parameters.net}"

    @classmethod
    def libraries(cls) -> dict[str, str]:
        """The package that has the layers' weights."""
        return {name: version(name) for name in ("lpips", "torch", "torchvision")}

    def build(self, paths: Sequence[Path]) -> torch.nn.Module:
        """By lpips, with the network's weights put in place."""
        import lpips
        from torch import nn

        made: Any = lpips.LPIPS(net=self.parameters.net, pnet_rand=True, verbose=False)
        # A parameter of slice2, 3.weight, is features.3.weight of the network that was cut into slices.
        names = {name: f"features.{name.partition('.')[2]}" for name in made.net.state_dict()}
        made.net.load_state_dict(_chosen(paths[0], names))

        class Distance(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.lpips = made

            def forward(self, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
                found: torch.Tensor = self.lpips(one, other, normalize=True)
                return found

        return Distance()


class DistsParameters(Parameters):
    """Settings of DISTS."""

    resize: bool = Field(True, description="shrink larger images to a shorter side of 256 first, as the authors do")


class Dists(LearnedDistance):
    """Deep image structure and texture similarity, as a distance: 1 less the weighted similarity.

    Of the image and five layers of VGG-16 with weighted pooling, the similarity of means (texture) and of
    correlations (structure) of each channel, with the authors' weights.
    """

    name = "dists"
    summary = "deep image structure and texture similarity, as a distance"
    reference = "Ding, Ma, Wang & Simoncelli 2022, IEEE TPAMI 44(5), 2567-2581"
    Parameters: ClassVar = DistsParameters
    columns: ClassVar = (Column("dists", Direction.LOWER, 0.0, 1.0, title="DISTS"),)

    @classmethod
    def weights(cls, parameters: DistsParameters, profile: str) -> Sequence[Weights]:
        """VGG's, and the weights of channels."""
        needs_hub(cls.name, profile)
        return (BACKBONES["vgg"], DISTS_WEIGHTS)

    @classmethod
    def libraries(cls) -> dict[str, str]:
        """The libraries that compute features."""
        return {name: version(name) for name in ("torch", "torchvision")}

    def build(self, paths: Sequence[Path]) -> torch.nn.Module:
        """As the authors' program does."""
        import torch
        from safetensors.torch import load_file
        from torch import nn
        from torchvision.models import vgg16
        from torchvision.transforms.functional import resize

        shrink = self.parameters.resize
        features: Any = vgg16(weights=None).features
        features.load_state_dict(_chosen(paths[0], {name: f"features.{name}" for name in features.state_dict()}))
        channel_weights = load_file(paths[1])

        class Distance(nn.Module):
            alpha: torch.Tensor
            beta: torch.Tensor
            mean: torch.Tensor
            deviation: torch.Tensor

            def __init__(self) -> None:
                super().__init__()
                layers = [_weighted_pooling() if isinstance(layer, nn.MaxPool2d) else layer for layer in features]
                ends = (0, 4, 9, 16, 23, 30)  # after the last activation before each pooling
                self.stages = nn.ModuleList(nn.Sequential(*layers[start:end]) for start, end in pairwise(ends))
                total = sum(channel_weights[name].sum() for name in ("alpha", "beta"))
                self.register_buffer("alpha", channel_weights["alpha"].flatten() / total)
                self.register_buffer("beta", channel_weights["beta"].flatten() / total)
                self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1))
                self.register_buffer("deviation", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1))

            def seen(self, images: torch.Tensor) -> list[torch.Tensor]:
                hidden = (images - self.mean) / self.deviation
                found = [images]
                for stage in self.stages:
                    hidden = stage(hidden)
                    found.append(hidden)
                return found

            def forward(self, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
                if shrink and min(one.shape[2:]) > 256:
                    one, other = (resize(each, [256], antialias=True) for each in (one, other))
                texture, structure = [], []
                for x, y in zip(self.seen(one), self.seen(other), strict=True):
                    means = [each.mean(dim=(2, 3)) for each in (x, y)]
                    variances = [each.var(dim=(2, 3), correction=0) for each in (x, y)]
                    covariance = (x * y).mean(dim=(2, 3)) - means[0] * means[1]
                    texture.append((2 * means[0] * means[1] + 1e-6) / (means[0] ** 2 + means[1] ** 2 + 1e-6))
                    structure.append((2 * covariance + 1e-6) / (variances[0] + variances[1] + 1e-6))
                similarity = torch.cat(texture, dim=1) @ self.alpha + torch.cat(structure, dim=1) @ self.beta
                found: torch.Tensor = (1 - similarity).clamp(min=0)  # float32 may miss 0 by its rounding
                return found

        return Distance()


def _weighted_pooling() -> torch.nn.Module:
    """The root of squares averaged over 3×3 with a Hann window, every other place (Hénaff & Simoncelli 2016, ICLR)."""
    import torch
    from torch import nn

    class Pooling(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            row = torch.hann_window(5, periodic=False)[1:-1]
            window = row[:, None] * row
            self.register_buffer("window", window / window.sum())

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            channels = inputs.shape[1]
            weights: Any = self.window
            kernel = weights.expand(channels, 1, 3, 3)
            squares = torch.nn.functional.conv2d(inputs.square(), kernel, stride=2, padding=1, groups=channels)
            return (squares + 1e-12).sqrt()

    return Pooling()


def _chosen(path: Path, names: dict[str, str]) -> dict[str, torch.Tensor]:
    """Return tensors of a file under other names.

    Raises:
        ModelError: one of them is not there.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(path)
        return {name: tensors[source] for name, source in names.items()}
    except (KeyError, SafetensorError) as error:
        raise ModelError(f"{path}: does not hold the network ({error})") from error
