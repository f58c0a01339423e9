"""How far SSIM is from 1, of planes, on a processor.

SSIM is the product of a luminance and a structure factor. Both are 1 minus something that vanishes with the difference
d = y - x of the two images:

    luminance = 1 - E[d]² / (E[x]² + E[y]² + C1)
    structure = 1 - var(d) / (var(x) + var(y) + C2)

which follows from 2ab = a² + b² - (a - b)², and 2 cov(x, y) = var(x) + var(y) - var(y - x). Taken so, nothing cancels
where the images are alike: flat and bright pictures, whose variances are rounding errors of their squares in float32,
can't exceed 1, and pictures that differ by little differ from 1 by as little as they should.

Row by row, so that what is worked on stays in the nearest cache: each row of d, d² and y² - x² is filtered across and
put into a ring of as many rows as the window has, and the ring is filtered down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from qbench.toolkit.kernels import kernel
from qbench_fidelity.planes import Plane
from qbench_fidelity.windows import C1, C2, MIDDLE, TAPS, UNIFORM, WINDOW

LARGEST_RATIO = 64.0
"""Of a window's mean difference squared to its variances: beyond, float32 keeps too little of the variance of the
difference, whose error is some 3e-7 of the mean squared."""


@dataclass(frozen=True)
class Original:
    """A plane, and what of SSIM depends on it alone.

    Attributes:
        plane: H×W, uint8 or float32.
        mean: E[x] doubled, where the whole window fits: (H-10)×(W-10).
        contrast: var(x) doubled, plus C2; likewise.
    """

    plane: Plane
    mean: Plane
    contrast: Plane


def prepare(plane: Plane, kind: Any = np.float32) -> Original:
    """Return what of SSIM depends on the original alone, in ``kind``."""
    height, width = (side - WINDOW + 1 for side in plane.shape)
    plane = np.ascontiguousarray(plane)
    mean, contrast = np.empty((height, width), kind), np.empty((height, width), kind)
    _moments(plane, TAPS.astype(kind), np.array([MIDDLE, C2], kind), mean, contrast)
    return Original(plane, mean, contrast)


def dissimilarity(original: Original, plane: Plane, *, luminance: bool = True) -> float:
    """Return the mean over all windows of 1 - SSIM, or of 1 - its structure factor alone.

    Args:
        plane: the reconstruction, of the original's size.
        luminance: whether the luminance factor counts.
    """
    for kind in (np.float32, np.float64):
        if kind == np.float64:  # means are far from the original's: variances of large values
            original = prepare(original.plane, kind)
        constants = np.array([C1, 0.5, LARGEST_RATIO], kind)
        other = np.ascontiguousarray(plane)
        sums, far = _dissimilarities(
            original.plane, other, original.mean, original.contrast, TAPS.astype(kind), constants, luminance
        )
        if not far:
            break
    return float(sums.sum() / original.mean.size)


def mean_dissimilarity(originals: Sequence[Original], planes: Sequence[Plane]) -> float:
    """Return the mean over planes of 1 - SSIM."""
    found = [dissimilarity(one, plane) for one, plane in zip(originals, planes, strict=True)]
    return sum(found) / len(found)


def halve(plane: Plane, *, zeros: bool = False) -> Plane:
    """Average 2×2 blocks of uint8 or float32, into float32.

    Args:
        zeros: put a row or column of zeros before an odd side, as pytorch-msssim does; otherwise the last row or column
            stands for the one that is missing, as in Wang's program (``imfilter`` with ``symmetric``) and TensorFlow's.
    """
    rows, columns = (side % 2 for side in plane.shape)
    if rows or columns:
        borders = ((rows, 0), (columns, 0)) if zeros else ((0, rows), (0, columns))
        plane = np.pad(plane, borders, "constant" if zeros else "edge")
    halved = np.empty((plane.shape[0] // 2, plane.shape[1] // 2), np.float32)
    _halve(np.ascontiguousarray(plane), np.array([0.25], np.float32), halved)
    return halved


def uniform_dissimilarity(plane: Plane, other: Plane) -> float:
    """Return the mean over all 7×7 windows without weights of 1 - SSIM, with variances over n - 1 samples.

    Sums are of integers and exact.

    Args:
        plane: the original, uint8.
        other: the reconstruction, uint8.
    """
    count = UNIFORM**2
    # All variances would be multiplied by n / (n - 1); here they are multiplied by n², and means by n.
    constants = np.array([C1 * count**2, C2 * count * (count - 1)])
    sums = _uniform_dissimilarities(np.ascontiguousarray(plane), np.ascontiguousarray(other), constants)
    return float(sums.sum() / ((plane.shape[0] - UNIFORM + 1) * (plane.shape[1] - UNIFORM + 1)))


@kernel
def _across(row: Plane, taps: Plane, out: Plane) -> None:
    """Filter a row with 11 taps that are symmetric, where they fit."""
    t0, t1, t2, t3, t4, t5 = taps[0], taps[1], taps[2], taps[3], taps[4], taps[5]
    for c in range(out.size):
        out[c] = (
            t0 * (row[c] + row[c + 10])
            + t1 * (row[c + 1] + row[c + 9])
            + t2 * (row[c + 2] + row[c + 8])
            + t3 * (row[c + 3] + row[c + 7])
            + t4 * (row[c + 4] + row[c + 6])
            + t5 * row[c + 5]
        )


@kernel
def _down(ring: Plane, oldest: int, taps: Plane, out: Plane) -> None:
    """Filter the columns of a ring of 11 rows with 11 taps that are symmetric."""
    t0, t1, t2, t3, t4, t5 = taps[0], taps[1], taps[2], taps[3], taps[4], taps[5]
    a, b = ring[oldest], ring[(oldest + 1) % 11]
    c, d = ring[(oldest + 2) % 11], ring[(oldest + 3) % 11]
    e, f = ring[(oldest + 4) % 11], ring[(oldest + 5) % 11]
    g, h = ring[(oldest + 6) % 11], ring[(oldest + 7) % 11]
    i, j = ring[(oldest + 8) % 11], ring[(oldest + 9) % 11]
    k = ring[(oldest + 10) % 11]
    for n in range(out.size):
        out[n] = (
            t0 * (a[n] + k[n])
            + t1 * (b[n] + j[n])
            + t2 * (c[n] + i[n])
            + t3 * (d[n] + h[n])
            + t4 * (e[n] + g[n])
            + t5 * f[n]
        )


@kernel
def _halve(plane: Plane, constants: Plane, halved: Plane) -> None:
    quarter = constants[0]
    above, below = np.empty(plane.shape[1], halved.dtype), np.empty(plane.shape[1], halved.dtype)
    for r in range(halved.shape[0]):
        first, second, out = plane[2 * r], plane[2 * r + 1], halved[r]
        for c in range(above.size):
            above[c] = first[c]
            below[c] = second[c]
        for c in range(above.size):
            above[c] += below[c]
        for c in range(out.size):
            out[c] = quarter * (above[2 * c] + above[2 * c + 1])


@kernel
def _moments(plane: Plane, taps: Plane, constants: Plane, mean: Plane, contrast: Plane) -> None:
    middle, c2 = constants[0], constants[1]
    height, width = plane.shape
    inside = mean.shape[1]
    centred, squared = np.empty(width, taps.dtype), np.empty(width, taps.dtype)
    rings = np.empty((2, taps.size, inside), taps.dtype)
    first, second = np.empty(inside, taps.dtype), np.empty(inside, taps.dtype)
    for r in range(height):
        row = plane[r]
        for c in range(width):
            centred[c] = row[c]
        for c in range(width):
            value = centred[c] - middle
            centred[c] = value
            squared[c] = value * value
        _across(centred, taps, rings[0, r % taps.size])
        _across(squared, taps, rings[1, r % taps.size])
        at = r - taps.size + 1
        if at < 0:
            continue
        _down(rings[0], (r + 1) % taps.size, taps, first)
        _down(rings[1], (r + 1) % taps.size, taps, second)
        means, contrasts = mean[at], contrast[at]
        for c in range(inside):
            variance = second[c] - first[c] * first[c]
            contrasts[c] = variance + variance + c2
            value = first[c] + middle
            means[c] = value + value


@kernel
def _dissimilarities(
    x: Plane, y: Plane, mean: Plane, contrast: Plane, taps: Plane, constants: Plane, luminance: bool
) -> tuple[Plane, bool]:
    """Return sums of 1 - SSIM down the columns of windows, float64; and whether the taps' type is too short."""
    c1, half, largest = constants[0], constants[1], constants[2]
    height, width = x.shape
    inside = mean.shape[1]
    one, other = np.empty(width, taps.dtype), np.empty(width, taps.dtype)
    squares = np.empty(width, taps.dtype)
    rings = np.empty((3, taps.size, inside), taps.dtype)
    middle, spread = np.empty(inside, taps.dtype), np.empty(inside, taps.dtype)
    both, excess = np.empty(inside, taps.dtype), np.zeros(inside, taps.dtype)
    sums = np.zeros(inside)
    for r in range(height):
        x_row, y_row = x[r], y[r]
        for c in range(width):
            one[c] = x_row[c]
            other[c] = y_row[c]
        for c in range(width):
            total = other[c] + one[c]
            difference = other[c] - one[c]
            one[c] = difference
            squares[c] = difference * difference
            other[c] = difference * total
        k = r % taps.size
        _across(one, taps, rings[0, k])
        _across(squares, taps, rings[1, k])
        _across(other, taps, rings[2, k])
        at = r - taps.size + 1
        if at < 0:
            continue
        oldest = (r + 1) % taps.size
        _down(rings[0], oldest, taps, middle)  # E[d]
        _down(rings[1], oldest, taps, spread)  # E[d²]
        _down(rings[2], oldest, taps, both)  # E[y²] - E[x²]
        means, contrasts = mean[at], contrast[at]
        if luminance:
            for c in range(inside):
                square = middle[c] * middle[c]
                product = middle[c] * (middle[c] + means[c])  # E[y]² - E[x]²
                variances = both[c] - product + contrasts[c]  # var(x) + var(y) + C2
                structure = (spread[c] - square) / variances
                light = square / (product + half * means[c] * means[c] + c1)  # E[x]² + E[y]² + C1
                excess[c] = max(excess[c], square - largest * variances)
                sums[c] += structure + (light - light * structure)
        else:
            for c in range(inside):
                square = middle[c] * middle[c]
                variances = both[c] - middle[c] * (middle[c] + means[c]) + contrasts[c]
                excess[c] = max(excess[c], square - largest * variances)
                sums[c] += (spread[c] - square) / variances
    return sums, excess.max() > 0 and taps.itemsize < 8


@kernel
def _uniform_dissimilarities(x: Plane, y: Plane, constants: Plane) -> Plane:
    """Return sums of 1 - SSIM down the columns of 7×7 windows, float64."""
    c1, c2 = constants[0], constants[1]
    height, width = x.shape
    inside = width - 6
    # Sums over the last rows of x, d, x² and d (y + x); the squares of d.
    columns = np.zeros((5, width), np.int32)
    sums = np.zeros(inside)
    windows = np.empty((5, inside), np.int32)
    for r in range(height):
        _count(x[r], y[r], 1, columns)
        if r >= 7:
            _count(x[r - 7], y[r - 7], -1, columns)
        if r < 6:
            continue
        for s in range(5):
            row, out = columns[s], windows[s]
            for c in range(inside):
                out[c] = row[c] + row[c + 1] + row[c + 2] + row[c + 3] + row[c + 4] + row[c + 5] + row[c + 6]
        for c in range(inside):
            mean, middle = windows[0, c], windows[1, c]
            square = np.int32(middle * middle)
            mean_square = np.int32(mean * mean)
            rise = np.int32(middle * (middle + 2 * mean))
            spread = np.int32(49 * windows[3, c] - square)
            variances = np.int32(49 * (2 * windows[2, c] + windows[4, c]) - 2 * mean_square - rise)
            structure = spread / (variances + c2)
            light = square / (2.0 * mean_square + rise + c1)
            sums[c] += structure + (light - light * structure)
    return sums


@kernel
def _count(x: Plane, y: Plane, sign: int, columns: Plane) -> None:
    """Add a row to sums down the columns, or take it away."""
    one, other = np.int32(sign), np.int32(0)
    for c in range(x.size):
        a, b = np.int32(x[c]), np.int32(y[c])
        d = np.int32(b - a)
        other = np.int32(one * d)
        columns[0, c] += np.int32(one * a)
        columns[1, c] += other
        columns[2, c] += np.int32(one * a * a)
        columns[3, c] += np.int32(other * d)
        columns[4, c] += np.int32(other * (b + a))
