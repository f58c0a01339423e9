"""Tiled inference: a convolutional network on one tile of its input after another, to the same result. Stable."""

from __future__ import annotations

import threading
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING

from qbench.toolkit.parallel import in_parallel

if TYPE_CHECKING:
    import torch

__all__ = ["tiled"]


def tiled(
    network: Callable[..., torch.Tensor],
    inputs: torch.Tensor,
    scale: int | Fraction,
    tile: int,
    margin: int,
    *,
    cropping: bool = False,
) -> torch.Tensor:
    """Return what the network makes of the whole input, C×H×W → C'×scale·H×scale·W, in bounded memory.

    Without gradients. On a processor as many tiles are computed at a time as torch has threads, to the same bits
    whatever their number (:func:`qbench.toolkit.parallel.in_parallel`).

    Args:
        network: 1×C×h×w → 1×C'×scale·h×scale·w, with zero padding; called from several threads.
        inputs: C×H×W.
        scale: of the output's sides to the input's; if below 1, all sizes here are multiples of its inverse.
        tile: side of the squares, in elements of the input, that are computed at a time.
        margin: elements of the input around a tile that are computed with it; at least the radius of the network's
            receptive field, so that there are no seams.
        cropping: the network is also given how many elements of the tile at top, bottom, left and right are such a
            margin, and leaves them out itself; so it needs to compute no more than the tile in its last layers.
    """
    import torch

    height, width = inputs.shape[1:]
    places = [(top, left) for top in range(0, height, tile) for left in range(0, width, tile)]
    found: list[torch.Tensor] = []
    making = threading.Lock()

    def outputs(made: torch.Tensor) -> torch.Tensor:
        with making:
            if not found:
                size = (len(made), int(height * scale), int(width * scale))
                found.append(torch.empty(size, dtype=made.dtype, device=made.device))
            return found[0]

    def compute(top: int, left: int) -> None:
        bottom, right = min(top + tile, height), min(left + tile, width)
        first, start = max(0, top - margin), max(0, left - margin)
        last, end = min(bottom + margin, height), min(right + margin, width)
        given = inputs[None, :, first:last, start:end]
        place = (slice(int(top * scale), int(bottom * scale)), slice(int(left * scale), int(right * scale)))
        if cropping:
            made = network(given, (top - first, last - bottom, left - start, end - right))[0]
        else:
            rows, columns = (
                slice(int((begin - origin) * scale), int((until - origin) * scale))
                for begin, until, origin in ((top, bottom, first), (left, right, start))
            )
            made = network(given)[0][:, rows, columns]
        outputs(made)[:, *place] = made

    in_parallel([partial(compute, *place) for place in places], str(inputs.device))
    return found[0]
