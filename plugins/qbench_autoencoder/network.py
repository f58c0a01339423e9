"""The autoencoder's networks: analysis and synthesis transforms, hyper-analysis, and the prior of the latents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qbench.toolkit.networks import bottleneck
from qbench.toolkit.range_coding import GaussianCdfs

if TYPE_CHECKING:
    import torch
    from torch import nn

STRIDE = 16
"""Pixels, down and across, that one position of the latents stands for."""
HYPER_STRIDE = 64
"""The same for the hyper-latents; images are padded to multiples of it."""


HYPER_MARGIN = 4
"""Latents around a position within the hyper-analysis's receptive field; a multiple of a hyper-latent's."""
MORE = (1, 1, 0, 0)
"""Residual blocks that the synthesis has more, at 2, 4, 8 and 16 pixels."""


@dataclass(frozen=True)
class Shape:
    """All that decides the networks' tensors.

    Attributes:
        widths: channels at 2, 4 and 8 pixels.
        blocks: residual blocks at 2, 4, 8 and 16 pixels; the synthesis has one more at 2 and at 4.
        latent: channels of the latents, at 16 pixels.
        hyper: channels of the hyper-latents, at 64 pixels.
        features: channels that the prior derives from hyper-latents, and as many from neighbours.
        levels: operating points with gains of their own.
    """

    widths: tuple[int, int, int] = (40, 80, 144)
    blocks: tuple[int, int, int, int] = (1, 2, 3, 2)
    latent: int = 320
    hyper: int = 64
    features: int = 96
    levels: int = 8


def build(shape: Shape) -> nn.Module:
    """Build all networks, with these parameters beside them.

    - ``gains``, ``inverse_gains``: levels×latent, logarithms of what the latents are multiplied with before they are
      rounded, and after (Cui et al. 2021, CVPR, "Asymmetric gained deep image compression");
    - ``spreads``: of the hyper-latents' channels, their scales in the unit of :func:`build_prior`.
    """
    import torch
    from torch import nn

    return nn.ModuleDict(
        {
            "analysis": build_analysis(shape),
            "synthesis": build_synthesis(shape),
            "hyper_analysis": build_hyper_analysis(shape),
            "prior": build_prior(shape),
            "scales": nn.ParameterDict(
                {
                    "gains": nn.Parameter(torch.zeros(shape.levels, shape.latent)),
                    "inverse_gains": nn.Parameter(torch.zeros(shape.levels, shape.latent)),
                    "spreads": nn.Parameter(torch.zeros(shape.hyper)),
                }
            ),
        }
    )


def build_analysis(shape: Shape) -> nn.Module:
    """Build N×3×H×W in [-0.5, 0.5] → N×latent×H/16×W/16: the sum of ``linear``, a block transform, and ``network``.

    ``network`` gives 0 before it is trained: training begins as a codec with a linear transform, and goes on from
    there.
    """
    from torch import nn

    class Analysis(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Sequential(nn.PixelUnshuffle(STRIDE), nn.Conv2d(3 * STRIDE**2, shape.latent, 1))
            layers: list[nn.Module] = [nn.PixelUnshuffle(2), nn.Conv2d(12, shape.widths[0], 3, padding=1)]
            widths = (*shape.widths, shape.latent)
            for index, (width, blocks) in enumerate(zip(widths, shape.blocks, strict=True)):
                if index:
                    layers.append(nn.Conv2d(widths[index - 1], width, 3, stride=2, padding=1))
                layers += [bottleneck(width) for _ in range(blocks)]
            self.network = nn.Sequential(*layers, _silent(nn.Conv2d(shape.latent, shape.latent, 1)))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.linear(images) + self.network(images)  # type: ignore[no-any-return]

    return Analysis()


def build_synthesis(shape: Shape) -> nn.Module:
    """Build N×latent×h×w → N×3×16h×16w, about [-0.5, 0.5]: ``linear`` plus ``network``, as in the analysis.

    It can be told how many latents of the input, at top, bottom, left and right, are there for the sake of the others
    only: what it makes of them is left out, and computed no further than it is needed.
    """
    from torch import nn

    class Synthesis(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Sequential(nn.Conv2d(shape.latent, 3 * STRIDE**2, 1), nn.PixelShuffle(STRIDE))
            widths = (*shape.widths, shape.latent)
            layers: list[nn.Module] = [nn.Conv2d(shape.latent, shape.latent, 1)]
            for index in (3, 2, 1, 0):
                if index < 3:
                    layers += [nn.Conv2d(widths[index + 1], 4 * widths[index], 1), nn.PixelShuffle(2)]
                layers += [bottleneck(widths[index]) for _ in range(shape.blocks[index] + MORE[index])]
            last = _silent(nn.Conv2d(shape.widths[0], 12, 3, padding=1))
            self.network = nn.Sequential(*layers, last, nn.PixelShuffle(2))

        def forward(self, latents: torch.Tensor, margins: Margins = (0, 0, 0, 0)) -> torch.Tensor:
            features, left, stride = latents, [STRIDE * margin for margin in margins], STRIDE
            for layer in self.network:
                features = layer(features)
                if isinstance(layer, nn.PixelShuffle):
                    stride //= 2
                    kept = [min(margin, needed[stride]) for margin in left]
                    features = _without(features, [(old - new) // stride for old, new in zip(left, kept, strict=True)])
                    left = kept
            made: torch.Tensor = self.linear(_without(latents, margins))
            return made.add_(features)

    reaches = {
        stride: stride * (blocks + more + (stride == 2))
        for stride, blocks, more in zip((2, 4, 8), shape.blocks, MORE, strict=False)
    }
    # Pixels that the layers from a stride on see around them, in whole steps of it.
    needed = {
        stride: -(-sum(reach for at, reach in reaches.items() if at <= stride) // stride) * stride
        for stride in (1, 2, 4, 8)
    }
    return Synthesis()


def margin(shape: Shape) -> int:
    """Return the pixels around a latent that are within either transform's receptive field; a multiple of STRIDE."""
    each = zip((2, 4, 8, 16), shape.blocks, MORE, (1, 1, 1, 0), strict=True)
    radius = sum(stride * (blocks + more + between) for stride, blocks, more, between in each)
    return -(-radius // STRIDE) * STRIDE


Margins = tuple[int, int, int, int]
"""At top, bottom, left and right."""


def _without(features: torch.Tensor, margins: Sequence[int]) -> torch.Tensor:
    """Return features without so many at top, bottom, left and right."""
    top, bottom, left, right = margins
    return features[..., top : features.shape[-2] - bottom, left : features.shape[-1] - right]


def _silent(layer: nn.Conv2d) -> nn.Conv2d:
    """Make a layer give 0 until it is trained."""
    from torch import nn

    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def build_hyper_analysis(shape: Shape) -> nn.Module:
    """Build N×latent×h×w → N×hyper×h/4×w/4; give it the area hyperbolic sines of latents, which tames the largest."""
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(shape.latent, shape.features, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(shape.features, shape.hyper, 3, stride=2, padding=1),
    )


def build_prior(shape: Shape) -> nn.ModuleDict:
    """Build the layers that turn hyper-latents and neighbours into mean and scale of every latent.

    Hyper-latents go through two convolutions that double their size; neighbours (latents that are known, 0 elsewhere)
    through one; what both give goes through two more. All are followed by ReLU but ``neighbours`` and ``head``, whose
    first half of channels is the mean, and whose second half is (scale index - 20)/8; see
    :class:`qbench.toolkit.range_coding.GaussianCdfs`.
    """
    from torch import nn

    features = shape.features
    return nn.ModuleDict(
        {
            "hyper_wide": nn.Conv2d(shape.hyper, 4 * features, 3, padding=1),
            "hyper_fine": nn.Conv2d(features, 4 * features, 3, padding=1),
            "neighbours": nn.Conv2d(shape.latent, features, 3, padding=1),
            "head_hidden": nn.Conv2d(2 * features, 2 * features, 1),
            "head": nn.Conv2d(2 * features, 2 * shape.latent, 1),
        }
    )


def anchors(height: int, width: int) -> torch.Tensor:
    """Return where the latents are that are coded first: the black squares of a checkerboard, H×W, boolean.

    Each of the others then has four known neighbours (He et al. 2021, CVPR, "Checkerboard context model").
    """
    import torch

    return (torch.arange(height)[:, None] + torch.arange(width)) % 2 == 0


MIDDLE, SCALE = 20, 8
"""The head gives (scale index - MIDDLE) / SCALE: MIDDLE is the index of the standard deviation 1."""
assert 2 ** (MIDDLE / GaussianCdfs.SCALES_PER_OCTAVE + GaussianCdfs.LOG2_MIN_SCALE) == 1
