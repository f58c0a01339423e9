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
        x: n rising places, n at least 3; of several curves at once ``(curves, n)``, and so of the others.
        y: values there.
        at: places within those of x.
    """
    steps = np.diff(x)
    slopes = np.diff(y) / steps
    derivatives = np.empty_like(y)
    before, after = 2 * steps[..., 1:] + steps[..., :-1], steps[..., 1:] + 2 * steps[..., :-1]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        mean = (before + after) / (before / slopes[..., :-1] + after / slopes[..., 1:])
    derivatives[..., 1:-1] = np.where(slopes[..., :-1] * slopes[..., 1:] > 0, mean, 0.0)
    derivatives[..., 0] = _end(steps[..., 0], steps[..., 1], slopes[..., 0], slopes[..., 1])
    derivatives[..., -1] = _end(steps[..., -1], steps[..., -2], slopes[..., -1], slopes[..., -2])
    part = np.clip((at[..., :, None] >= x[..., None, :]).sum(axis=-1) - 1, 0, steps.shape[-1] - 1)

    def of_part(values: Array) -> Array:
        found: Array = np.take_along_axis(values, part, axis=-1)
        return found

    width = of_part(steps)
    t = (at - of_part(x)) / width
    tangents = width * of_part(derivatives), width * of_part(derivatives[..., 1:])
    found: Array = (
        (1 + 2 * t) * (1 - t) ** 2 * of_part(y)
        + t * (1 - t) ** 2 * tangents[0]
        + t**2 * (3 - 2 * t) * of_part(y[..., 1:])
        + t**2 * (t - 1) * tangents[1]
    )
    return found


def _end(step: Array, next_step: Array, slope: Array, next_slope: Array) -> Array:
    """Return the derivative at an end: of the parabola through three points, kept to the data's shape."""
    found = ((2 * step + next_step) * slope - step * next_slope) / (step + next_step)
    steep = (slope * next_slope <= 0) & (np.abs(found) > 3 * np.abs(slope))
    return np.where(found * slope <= 0, 0.0, np.where(steep, 3 * slope, found))
