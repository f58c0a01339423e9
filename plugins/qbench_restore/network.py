"""The artefact corrector."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qbench.toolkit.networks import bottleneck

if TYPE_CHECKING:
    import torch
    from torch import nn

STRIDE = 4
"""The network works on squares of so many pixels; images are padded to multiples of it."""


@dataclass(frozen=True)
class Shape:
    """All that decides the network's tensors.

    Attributes:
        width: channels.
        blocks: residual blocks.
    """

    width: int = 96
    blocks: int = 10


def strength(tables: list[list[int]]) -> float:
    """Return how coarsely a JPEG is quantised: log2 of the mean step over all tables, about 0 to 8, over 8."""
    steps = [step for table in tables for step in table]
    return math.log2(sum(steps) / len(steps)) / 8


def build(shape: Shape) -> nn.Module:
    """Build N×4×H×W → N×3×H×W: RGB in [-0.5, 0.5] and a plane of :func:`strength`, to RGB, about [-0.5, 0.5].

    What the network adds to an image is 0 before it is trained.
    """
    from torch import nn

    class Corrector(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            last = nn.Conv2d(shape.width, 3 * STRIDE**2, 3, padding=1)
            nn.init.zeros_(last.weight)
            assert last.bias is not None
            nn.init.zeros_(last.bias)
            self.layers = nn.Sequential(
                nn.PixelUnshuffle(STRIDE),
                nn.Conv2d(4 * STRIDE**2, shape.width, 3, padding=1),
                *(bottleneck(shape.width) for _ in range(shape.blocks)),
                last,
                nn.PixelShuffle(STRIDE),
            )

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return inputs[:, :3] + self.layers(inputs)  # type: ignore[no-any-return]

    return Corrector()


MARGIN = 64
"""Pixels around a position within the network's receptive field, at most."""
