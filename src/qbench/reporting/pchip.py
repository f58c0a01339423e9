"""Monotone cubic interpolation, as SciPy's ``PchipInterpolator`` does it.

Here, because every run draws its curves when it ends, and SciPy's interpolation takes longer to load than to draw them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def pchip(x: Array, y: Array, at: Array) -> Array:
    """Return the values, at some places, of the piecewise cubic that keeps the data's shape.

    Fritsch & Butland 1984, SIAM J. Sci. Stat. Comput. 5(2), 300-304; ends after Moler 2004, Numerical Computing with
    MATLAB, chapter 3.

    Args:
        x: n rising places, n at least 3.
        y: values there.
        at: places within those of x.
    """
    steps, slopes = np.diff(x), np.diff(y) / np.diff(x)
    derivatives = np.empty_like(y)
    before, after = 2 * steps[1:] + steps[:-1], steps[1:] + 2 * steps[:-1]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        mean = (before + after) / (before / slopes[:-1] + after / slopes[1:])
    derivatives[1:-1] = np.where(slopes[:-1] * slopes[1:] > 0, mean, 0.0)
    derivatives[0] = _end(steps[0], steps[1], slopes[0], slopes[1])
    derivatives[-1] = _end(steps[-1], steps[-2], slopes[-1], slopes[-2])
    part = np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(steps) - 1)
    t = (at - x[part]) / steps[part]
    tangents = steps[part] * derivatives[part], steps[part] * derivatives[part + 1]
    found: Array = (
        (1 + 2 * t) * (1 - t) ** 2 * y[part]
        + t * (1 - t) ** 2 * tangents[0]
        + t**2 * (3 - 2 * t) * y[part + 1]
        + t**2 * (t - 1) * tangents[1]
    )
    return found


def _end(step: float, next_step: float, slope: float, next_slope: float) -> float:
    """Return the derivative at an end: of the parabola through three points, kept to the data's shape."""
    found = ((2 * step + next_step) * slope - step * next_slope) / (step + next_step)
    if found * slope <= 0:
        return 0.0
    if slope * next_slope <= 0 and abs(found) > 3 * abs(slope):
        return 3 * slope
    return float(found)
