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

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from qbench_fidelity.libraries import cv2
from qbench_fidelity.planes import Plane, gaussian_taps

WINDOW = 11
SIGMA = 1.5
C1 = (0.01 * 255) ** 2
C2 = (0.03 * 255) ** 2
TAPS = gaussian_taps(WINDOW, SIGMA)
ROWS = 128
"""That are in hands at a time: what is worked on stays in the caches, and memory does not grow with the image."""
LARGEST_RATIO = 64.0
"""Of a window's mean difference squared to its variances: beyond, float32 keeps too little of the variance of the
difference, whose error is some 3e-7 of the mean squared."""


class Gaussian:
    """The 11×11 window of σ 1.5 of Wang et al. 2004."""

    margin = WINDOW // 2
    c2 = C2

    @staticmethod
    def smooth(plane: Plane, out: Plane | None = None) -> Plane:
        """Filter; what is nearer to a border than the margin means nothing."""
        return cv2.sepFilter2D(plane, -1, TAPS, TAPS, out)


class Uniform:
    """A 7×7 window without weights, and variances over n - 1 samples, as scikit-image takes them by default."""

    side = 7
    margin = side // 2
    c2 = C2 * (side**2 - 1) / side**2
    """C2 over n / (n - 1), which all variances would be multiplied by."""

    @classmethod
    def smooth(cls, plane: Plane, out: Plane | None = None) -> Plane:
        """Filter; what is nearer to a border than the margin means nothing."""
        return cv2.boxFilter(plane, -1, (cls.side, cls.side), out)


Window = type[Gaussian] | type[Uniform]


@dataclass(frozen=True)
class Original:
    """A plane, and what of SSIM depends on it alone: float32 of its size, right where a whole window fits.

    Attributes:
        plane: uint8 or float32.
        window: that means and variances are taken over.
        twice: the samples doubled.
        mean: E[x] doubled.
        contrast: var(x) doubled, plus C2.
        brightness: 2 E[x]² + C1.
    """

    plane: Plane
    window: Window
    twice: Plane
    mean: Plane
    contrast: Plane
    brightness: Plane


def prepare(plane: Plane, window: Window = Gaussian) -> Original:
    """Return what of SSIM depends on the original alone."""
    return Original(plane, window, *_moments(plane, window, np.float32))


def _moments(plane: Plane, window: Window, kind: Any) -> tuple[Plane, Plane, Plane, Plane]:
    centred: Plane = np.subtract(plane, 127.5, dtype=kind)
    mean = window.smooth(centred)
    contrast = window.smooth(cv2.multiply(centred, centred))
    contrast -= mean * mean
    contrast *= 2
    contrast += window.c2
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
    margin = original.window.margin
    height, width = plane.shape
    inside = height - 2 * margin
    space = [np.empty((min(ROWS, inside) + 2 * margin, width), np.float32) for _ in range(5)]
    total: float = 0.0
    for start in range(0, inside, ROWS):
        stop = min(start + ROWS, inside)
        rows, windows = slice(start, stop + 2 * margin), slice(start + margin, stop + margin)
        buffers = [each[: stop - start + 2 * margin] for each in space]
        x, y = original.plane[rows], plane[rows]
        cv2.subtract(y, x, buffers[0], dtype=cv2.CV_32F)
        own = (original.mean[windows], original.contrast[windows], original.brightness[windows])
        found = _of_rows(original.window, buffers, original.twice[rows], *own, luminance=luminance)
        if found is None:  # rows that are far from the original's: variances of large values
            twice, *moments = _moments(x, original.window, np.float64)
            buffers = [np.empty(x.shape) for _ in buffers]
            cv2.subtract(y, x, buffers[0], dtype=cv2.CV_64F)
            own = tuple(each[margin:-margin] for each in moments)  # type: ignore[assignment]
            found = _of_rows(original.window, buffers, twice, *own, luminance=luminance)
        assert found is not None
        total += found
    return float(total / (inside * (width - 2 * margin)))


def mean_dissimilarity(originals: Sequence[Original], planes: Sequence[Plane]) -> float:
    """Return the mean over planes of 1 - SSIM."""
    found = [dissimilarity(one, plane) for one, plane in zip(originals, planes, strict=True)]
    return sum(found) / len(found)


def _of_rows(
    window: Window,
    buffers: list[Plane],
    twice: Plane,
    mean: Plane,
    contrast: Plane,
    brightness: Plane,
    *,
    luminance: bool,
) -> float | None:
    """Return the sum over the windows of some rows; None where float32 does not do.

    Args:
        buffers: five planes to work in; the first holds the difference.
    """
    difference, work, middle, spread, both = buffers
    smooth, margin = window.smooth, window.margin
    cv2.multiply(difference, difference, both)
    smooth(both, spread)  # E[d²]
    cv2.multiply(difference, twice, work)
    cv2.add(work, both, work)
    smooth(work, both)  # E[y²] - E[x²], as y² - x² = d (2x + d)
    smooth(difference, middle)  # E[d]
    middle, spread, both = middle[margin:-margin], spread[margin:-margin], both[margin:-margin]
    product, square = difference[margin:-margin], work[margin:-margin]
    cv2.multiply(middle, middle, square)
    cv2.subtract(spread, square, spread)  # var(d)
    cv2.add(middle, mean, product)
    cv2.multiply(product, middle, product)  # E[y]² - E[x]²
    cv2.subtract(both, product, both)
    cv2.add(both, contrast, both)  # var(x) + var(y) + C2
    far = middle.dtype == np.float32 and cv2.norm(middle, cv2.NORM_INF) ** 2 > LARGEST_RATIO * window.c2
    if far and (square > LARGEST_RATIO * both).any():
        return None
    cv2.divide(spread, both, spread)
    total = _sum(spread, margin)
    if luminance:
        cv2.add(product, brightness, product)  # E[x]² + E[y]² + C1
        cv2.divide(square, product, square)
        cv2.multiply(square, spread, product)
        total += _sum(square, margin) - _sum(product, margin)
    return total


def _sum(rows: Plane, margin: int) -> float:
    """Return the sum over the windows that fit, in float64."""
    return float(cv2.sumElems(rows[:, margin:-margin])[0])
