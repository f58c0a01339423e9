"""A small generator, with the encoder and the discriminator that it is trained with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import nn

GRID = 4
"""The latent is a vector; the generator reads it as GRID×GRID places of LATENT / GRID² numbers."""


@dataclass(frozen=True)
class Shape:
    """All that decides the networks' tensors.

    Attributes:
        size: side of the square output in pixels; 64, as the stages are four doublings.
        latent: numbers in a latent vector; a multiple of 16.
        widths: channels at 4, 8, 16 and 32 pixels.
    """

    size: int = 64
    latent: int = 512
    widths: tuple[int, int, int, int] = (160, 144, 96, 48)


def build_generator(shape: Shape) -> nn.Module:
    """Build the generator: N×latent → N×3×size×size, about [-1, 1]."""
    from torch import nn

    first = shape.widths[0]
    layers: list[nn.Module] = [
        nn.Unflatten(1, (shape.latent // GRID**2, GRID, GRID)),
        nn.Conv2d(shape.latent // GRID**2, first, 3, padding=1),
    ]
    before = first
    for stage, width in enumerate(shape.widths):
        if stage > 0:
            layers += [nn.Conv2d(before, 4 * width, 3, padding=1), nn.PixelShuffle(2)]
        # The largest images cost most, and have least left to be decided.
        layers += [_block(width)] if stage == len(shape.widths) - 1 else [_block(width), _block(width)]
        before = width
    layers += [nn.BatchNorm2d(before), nn.SiLU(), nn.Conv2d(before, 12, 3, padding=1), nn.PixelShuffle(2)]
    return nn.Sequential(*layers)


def build_encoder(shape: Shape) -> nn.Module:
    """Build the encoder: N×3×size×size in [-1, 1] → N×2·latent, mean and logarithm of the variance."""
    from torch import nn

    layers: list[nn.Module] = [nn.PixelUnshuffle(2)]
    before = 12
    for index, width in enumerate(reversed(shape.widths)):
        layers += [nn.Conv2d(before, width, 3, stride=1 if index == 0 else 2, padding=1), _block(width)]
        before = width
    layers += [nn.BatchNorm2d(before), nn.SiLU(), nn.Conv2d(before, 2 * shape.latent // GRID**2, 1), nn.Flatten()]
    return nn.Sequential(*layers)


def build_discriminator(width: int = 32) -> nn.Module:
    """Build the discriminator: N×3×64×64 → N×1×4×4, a judgement per patch.

    Spectrally normalised (Miyato et al. 2018).
    """
    from torch import nn
    from torch.nn.utils.parametrizations import spectral_norm

    layers: list[nn.Module] = [nn.PixelUnshuffle(2)]
    before = 12
    for factor in (1, 2, 4, 4):
        layers += [
            spectral_norm(nn.Conv2d(before, factor * width, 3, stride=1 if before == 12 else 2, padding=1)),
            nn.LeakyReLU(0.2),
        ]
        before = factor * width
    return nn.Sequential(*layers, spectral_norm(nn.Conv2d(before, 1, 3, padding=1)))


def halves(encoded: torch.Tensor, shape: Shape) -> tuple[torch.Tensor, torch.Tensor]:
    """Split what the encoder gives into mean and logarithm of the variance, N×latent each."""
    return encoded[:, : shape.latent], encoded[:, shape.latent :].clamp(-12, 4)


def _block(width: int) -> nn.Module:
    """Two 3×3 convolutions beside the identity (He et al. 2016, pre-activation)."""
    from torch import nn

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(
                nn.BatchNorm2d(width),
                nn.SiLU(),
                nn.Conv2d(width, width, 3, padding=1),
                nn.BatchNorm2d(width),
                nn.SiLU(),
                nn.Conv2d(width, width, 3, padding=1),
            )

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return inputs + self.layers(inputs)  # type: ignore[no-any-return]

    return Block()
