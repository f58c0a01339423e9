"""Tiled inference: a convolutional network on one tile of its input after another, to the same result. Stable."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

__all__ = ["tiled"]


def tiled(
    network: Callable[[torch.Tensor], torch.Tensor],
    inputs: torch.Tensor,
    scale: int | Fraction,
    tile: int,
    margin: int,
) -> torch.Tensor:
    """Return what the network makes of the whole input, C×H×W → C'×scale·H×scale·W, in bounded memory.

    Args:
        network: 1×C×h×w → 1×C'×scale·h×scale·w, with zero padding.
        inputs: C×H×W.
        scale: of the output's sides to the input's; if below 1, all sizes here are multiples of its inverse.
        tile: side of the squares, in elements of the input, that are computed at a time.
        margin: elements of the input around a tile that are computed with it; at least the radius of the network's
            receptive field, so that there are no seams.
    """
    import torch

    height, width = inputs.shape[1:]
    outputs = None
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            bottom, right = min(top + tile, height), min(left + tile, width)
            first, start = max(0, top - margin), max(0, left - margin)
            made = network(inputs[None, :, first : bottom + margin, start : right + margin])[0]
            if outputs is None:
                size = (len(made), int(height * scale), int(width * scale))
                outputs = torch.empty(size, dtype=made.dtype, device=made.device)
            rows, columns = (
                (int((begin - origin) * scale), int((end - origin) * scale))
                for begin, end, origin in ((top, bottom, first), (left, right, start))
            )
            place = (slice(int(top * scale), int(bottom * scale)), slice(int(left * scale), int(right * scale)))
            outputs[:, *place] = made[:, slice(*rows), slice(*columns)]
    assert outputs is not None
    return outputs
