"""Images as kernels on a processor take them: one channel after the other, by OpenCV's filters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from qbench.plugin import Pixels
from qbench_fidelity.libraries import cv2

Plane: TypeAlias = npt.NDArray[Any]
"""H×W, uint8 or float32, in [0, 255]."""
REC601 = (0.299, 0.587, 0.114)
"""Of R, G and B in ITU-R BT.601, over the full range, as JFIF has it."""
YIQ = (REC601, (0.596, -0.274, -0.322), (0.211, -0.523, 0.312))
"""Of R, G and B, as several authors' programs have them."""
MATLAB = (0.298936021293775, 0.587043074451121, 0.114020904255103)
"""Of MATLAB's rgb2gray, which rounds to 8 bits."""


def channels(pixels: Pixels) -> Sequence[Plane]:
    """Return the channels of uint8 H×W×C, each contiguous."""
    return cv2.split(pixels)


def luma(pixels: Pixels) -> Plane:
    """Return BT.601 luma in [0, 255], full range, not rounded, float32, of uint8 H×W×3."""
    found: Plane = cv2.cvtColor(pixels.astype(np.float32), cv2.COLOR_RGB2GRAY)
    return found


def matlab_luma(pixels: Pixels) -> Plane:
    """Return luma as MATLAB's rgb2gray gives it for uint8 H×W×3: rounded, uint8."""
    found: Plane = np.floor(pixels @ np.array(MATLAB) + 0.5).astype(np.uint8)
    return found


def halve_padded(plane: Plane) -> Plane:
    """Average 2×2 blocks; where a side is odd, zeros stand beyond the last row and column, as in piq."""
    if plane.shape[0] % 2 or plane.shape[1] % 2:
        plane = cv2.copyMakeBorder(plane, 0, 1, 0, 1, cv2.BORDER_CONSTANT)
        plane = np.ascontiguousarray(plane[: plane.shape[0] // 2 * 2, : plane.shape[1] // 2 * 2])
    return cv2.resize(plane, (plane.shape[1] // 2, plane.shape[0] // 2), interpolation=cv2.INTER_AREA)


def shrink_factor(pixels: Pixels) -> int:
    """Return by how much several papers shrink an image first: its shorter side over 256, rounded half up."""
    return max(1, int(min(pixels.shape[:2]) / 256 + 0.5))


def shrunk(image: Plane, factor: int) -> Plane:
    """Average blocks of ``factor`` × ``factor``, H×W or H×W×C: MATLAB's ``conv2`` with ``same``, taken every so often.

    Beyond the borders there are zeros.
    """
    if factor == 1:
        return image
    before = (factor - 1) // 2
    rows, columns = (-(-side // factor) for side in image.shape[:2])
    after = [max(0, many * factor - side - before) for many, side in zip((rows, columns), image.shape, strict=False)]
    padded = cv2.copyMakeBorder(image, before, after[0], before, after[1], cv2.BORDER_CONSTANT)
    return cv2.resize(padded[: rows * factor, : columns * factor], (columns, rows), interpolation=cv2.INTER_AREA)


def weighted(image: Plane, weights: Sequence[Sequence[float]]) -> Sequence[Plane]:
    """Return weighted sums of the channels of float32 or float64 H×W×3, as planes."""
    return cv2.split(cv2.transform(image, np.array(weights, image.dtype)))


def gaussian_taps(side: int, sigma: float) -> Plane:
    """Return the weights of a Gaussian filter, float64, which add up to 1."""
    weights = np.exp(-((np.arange(side) - side // 2) ** 2) / (2 * sigma**2))
    found: Plane = weights / weights.sum()
    return found


def similarity(one: Plane, other: Plane, constant: float) -> Plane:
    """Return (2ab + c) / (a² + b² + c), as 1 less what they differ by, so that it can't exceed 1."""
    found: Plane = 1 - (one - other) ** 2 / (one**2 + other**2 + constant)
    return found


def real_power(values: Plane, exponent: float) -> Plane:
    """Return the real part of the power of values that may be negative."""
    found: Plane = np.abs(values) ** exponent
    negative = values < 0
    if negative.any():
        found[negative] *= np.cos(np.pi * exponent)
    return found
