"""What statistics of natural scenes are added up from."""

from __future__ import annotations

from typing import Any

import numpy as np

from qbench.toolkit.kernels import kernel

ROUNDING = 1e-9
SERIES, SUMS = 5, 4


@kernel
def rounded_luma(pixels: Any, found: Any) -> None:
    """Write 0.2989 R + 0.5870 G + 0.1140 B, rounded half up: uint8 H×W×3 into float64 H×W."""
    for r in range(found.shape[0]):
        row, out = pixels[r], found[r]
        for c in range(out.size):
            total = np.int32(2989) * np.int32(row[c, 0]) + np.int32(5870) * np.int32(row[c, 1])
            out[c] = (total + np.int32(1140) * np.int32(row[c, 2]) + 5000) // 10000


@kernel
def normalise(image: Any, means: Any, squares: Any, values: Any, deviations: Any) -> None:
    """Write an image less its local mean, over its local deviation plus 1; and that deviation.

    In flat parts nothing but the rounding of sums is left, which is another with every program: it counts as 0.

    Args:
        image: H×W, float64, as all others.
        means: local ones of the image.
        squares: local means of its squares.
        values: written to.
        deviations: written to.
    """
    for r in range(image.shape[0]):
        row, mean, square, value, deviation = image[r], means[r], squares[r], values[r], deviations[r]
        for c in range(row.size):
            spread = np.sqrt(abs(square[c] - mean[c] * mean[c]))
            ratio = (row[c] - mean[c]) / (spread + 1)
            value[c] = ratio if abs(ratio) >= ROUNDING else 0.0
            deviation[c] = spread


@kernel
def sums_of_products(values: Any) -> Any:
    """Return what fits need of values and of their products with the neighbours: 5×4, float64.

    The series are the values themselves, and products with the neighbour at the left, above, above left and below left
    (the image goes on at its other side). The sums are how many are negative, the squares of those, the squares of the
    others, and the magnitudes of all.
    """
    height, width = values.shape
    columns = np.zeros((SERIES, SUMS, width))
    products = np.empty(width)
    for r in range(height):
        row = values[r]
        _add(row, columns[0])
        for series in range(1, SERIES):
            other = values[r if series == 1 else ((r + 1) % height if series == 4 else (r - 1) % height)]
            if series == 2:
                for c in range(width):
                    products[c] = row[c] * other[c]
            else:
                products[0] = row[0] * other[width - 1]
                for c in range(1, width):
                    products[c] = row[c] * other[c - 1]
            _add(products, columns[series])
    found = np.zeros((SERIES, SUMS))
    for series in range(SERIES):
        for kind in range(SUMS):
            for c in range(width):
                found[series, kind] += columns[series, kind, c]
    return found


@kernel
def _add(values: Any, columns: Any) -> None:
    negatives, below, above, magnitudes = columns[0], columns[1], columns[2], columns[3]
    for c in range(values.size):
        value = values[c]
        square = value * value
        negative = value < 0
        negatives[c] += 1.0 if negative else 0.0
        below[c] += square if negative else 0.0
        above[c] += 0.0 if negative else square
        magnitudes[c] += abs(value)
