"""Resizing as MATLAB's imresize does it, which many metrics are defined with. Stable."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

__all__ = ["Kernel", "imresize"]

Kernel = Literal["bilinear", "bicubic"]


def imresize(plane: npt.NDArray[Any], height: int, width: int, kernel: Kernel) -> npt.NDArray[np.float64]:
    """Return a plane at another size, as MATLAB's ``imresize(plane, [height width], kernel)`` does for doubles.

    Where an image becomes smaller the kernel becomes as much wider (antialiasing). Beyond the borders the image is
    mirrored.

    Args:
        plane: H×W, any type; taken to float64.
        height: rows to make, at least 1.
        width: columns to make, at least 1.
        kernel: a triangle, or the cubic of Keys 1981 (a = -0.5), IEEE TASSP 29(6), 1153-1160.
    """
    from qbench.toolkit._resizing import resize_across, resize_down

    down, across = _taps(plane.shape[0], height, kernel), _taps(plane.shape[1], width, kernel)
    between, found = np.empty((height, plane.shape[1])), np.empty((height, width))
    resize_down(np.ascontiguousarray(plane), *down, between)
    resize_across(between, *across, found)
    return found


@lru_cache(maxsize=64)
def _taps(old: int, new: int, kernel: Kernel) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return which samples make each new one, and their weights: taps×new each."""
    scale = new / old
    shrink = min(scale, 1.0)
    reach = (2 if kernel == "bilinear" else 4) / shrink
    centres = (np.arange(1, new + 1) / scale) + 0.5 * (1 - 1 / scale)
    first = np.floor(centres - reach / 2)
    taken = first[:, None] + np.arange(int(np.ceil(reach)) + 2)
    distances = np.abs(shrink * (centres[:, None] - taken))
    weights = np.maximum(1 - distances, 0) if kernel == "bilinear" else _cubic(distances)
    weights /= weights.sum(axis=1, keepdims=True)
    mirrored = np.concatenate([np.arange(old), np.arange(old)[::-1]])
    indices = mirrored[(taken.astype(np.int64) - 1) % (2 * old)]
    used = weights.any(axis=0)
    return np.ascontiguousarray(indices[:, used].T), np.ascontiguousarray(weights[:, used].T)


def _cubic(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    found: npt.NDArray[np.float64] = np.where(x <= 1, near, np.where(x <= 2, far, 0.0))
    return found
