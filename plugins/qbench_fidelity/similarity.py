"""How far SSIM is from 1, of planes, on a processor.

SSIM is the product of a luminance and a structure factor. Both are 1 minus something that vanishes with the difference
d = y - x of the two images:

    luminance = 1 - E[d]² / (E[x]² + E[y]² + C1)
    structure = 1 - var(d) / (var(x) + var(y) + C2)

which follows from 2ab = a² + b² - (a - b)², and 2 cov(x, y) = var(x) + var(y) - var(y - x). Taken so, nothing cancels
where the images are alike: flat and bright pictures, whose variances are rounding errors of their squares in float32,
can't exceed 1, and pictures that differ by little differ from 1 by as little as they should.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from qbench_fidelity.planes import Plane

WINDOW = 11
SIGMA = 1.5
MARGIN = WINDOW // 2
C1 = (0.01 * 255) ** 2
C2 = (0.03 * 255) ** 2
TAPS = cv2.getGaussianKernel(WINDOW, SIGMA)
ROWS = 128
"""That are in hands at a time: what is worked on stays in the caches, and memory does not grow with the image."""
LARGEST_RATIO = 64.0
"""Of a window's mean difference squared to its variances: beyond, float32 keeps too little of the variance of the
difference, whose error is some 3e-7 of the mean squared."""


@dataclass(frozen=True)
class Original:
    """A plane, and what of SSIM depends on it alone: float32 of its size, right where a whole window fits.

    Attributes:
        plane: uint8 or float32.
        twice: the samples doubled.
        mean: E[x] doubled.
        contrast: var(x) doubled, plus C2.
        brightness: 2 E[x]² + C1.
    """

    plane: Plane
    twice: Plane
    mean: Plane
    contrast: Plane
    brightness: Plane


def smooth(plane: Plane, out: Plane | None = None) -> Plane:
    """Filter with the 11×11 Gaussian of σ 1.5; what is nearer to a border than 5 samples means nothing."""
    return cv2.sepFilter2D(plane, -1, TAPS, TAPS, out)


def prepare(plane: Plane) -> Original:
    """Return what of SSIM depends on the original alone."""
    return Original(plane, *_moments(plane, np.float32))


def _moments(plane: Plane, kind: Any) -> tuple[Plane, Plane, Plane, Plane]:
    centred: Plane = np.subtract(plane, 127.5, dtype=kind)
    mean = smooth(centred)
    contrast = smooth(cv2.multiply(centred, centred))
    contrast -= mean * mean
    contrast *= 2
    contrast += C2
    mean += 127.5
    brightness = mean * mean
    brightness *= 2
    brightness += C1
    mean *= 2
    centred += 127.5
    centred *= 2
    return centred, mean, contrast, brightness


def dissimilarity(original: Original, plane: Plane, *, luminance: bool = True) -> float:
    """Return the mean over all windows of 1 - SSIM, or of 1 - its structure factor alone.

    Args:
        plane: the reconstruction, of the original's type and size.
        luminance: whether the luminance factor counts.
    """
    height, width = plane.shape
    inside = height - 2 * MARGIN
    space = [np.empty((min(ROWS, inside) + 2 * MARGIN, width), np.float32) for _ in range(5)]
    total: float = 0.0
    for start in range(0, inside, ROWS):
        stop = min(start + ROWS, inside)
        rows, windows = slice(start, stop + 2 * MARGIN), slice(start + MARGIN, stop + MARGIN)
        buffers = [each[: stop - start + 2 * MARGIN] for each in space]
        x, y = original.plane[rows], plane[rows]
        cv2.subtract(y, x, buffers[0], dtype=cv2.CV_32F)
        own = (original.mean[windows], original.contrast[windows], original.brightness[windows])
        found = _of_rows(buffers, original.twice[rows], *own, luminance=luminance)
        if found is None:  # rows that are far from the original's: variances of large values
            twice, *moments = _moments(x, np.float64)
            buffers = [np.empty(x.shape) for _ in buffers]
            cv2.subtract(y, x, buffers[0], dtype=cv2.CV_64F)
            own = tuple(each[MARGIN:-MARGIN] for each in moments)  # type: ignore[assignment]
            found = _of_rows(buffers, twice, *own, luminance=luminance)
        assert found is not None
        total += found
    return float(total / (inside * (width - 2 * MARGIN)))


def _of_rows(
    buffers: list[Plane], twice: Plane, mean: Plane, contrast: Plane, brightness: Plane, *, luminance: bool
) -> float | None:
    """Return the sum over the windows of some rows; None where float32 does not do.

    Args:
        buffers: five planes to work in; the first holds the difference.
    """
    difference, work, middle, spread, both = buffers
    cv2.multiply(difference, difference, both)
    smooth(both, spread)  # E[d²]
    cv2.multiply(difference, twice, work)
    cv2.add(work, both, work)
    smooth(work, both)  # E[y²] - E[x²], as y² - x² = d (2x + d)
    smooth(difference, middle)  # E[d]
    middle, spread, both = middle[MARGIN:-MARGIN], spread[MARGIN:-MARGIN], both[MARGIN:-MARGIN]
    product, square = difference[MARGIN:-MARGIN], work[MARGIN:-MARGIN]
    cv2.multiply(middle, middle, square)
    cv2.subtract(spread, square, spread)  # var(d)
    cv2.add(middle, mean, product)
    cv2.multiply(product, middle, product)  # E[y]² - E[x]²
    cv2.subtract(both, product, both)
    cv2.add(both, contrast, both)  # var(x) + var(y) + C2
    far = middle.dtype == np.float32 and cv2.norm(middle, cv2.NORM_INF) ** 2 > LARGEST_RATIO * C2
    if far and (square > LARGEST_RATIO * both).any():
        return None
    cv2.divide(spread, both, spread)
    total = _sum(spread)
    if luminance:
        cv2.add(product, brightness, product)  # E[x]² + E[y]² + C1
        cv2.divide(square, product, square)
        cv2.multiply(square, spread, product)
        total += _sum(square) - _sum(product)
    return total


def _sum(rows: Plane) -> float:
    """Return the sum over the windows that fit, in float64."""
    return float(cv2.sumElems(rows[:, MARGIN:-MARGIN])[0])
