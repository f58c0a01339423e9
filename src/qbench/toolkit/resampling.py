"""Bootstrap resampling. Stable."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

__all__ = ["bootstrap", "percentile_interval"]

Statistic = Callable[[npt.NDArray[np.intp]], float]


def bootstrap(statistic: Statistic, count: int, resamples: int) -> npt.NDArray[np.float64]:
    """Return a statistic of resamples of 0 … count - 1, with replacement; always the same ones.

    Args:
        statistic: from the indices that were drawn to a value; NaN where there is none.
        count: how many there are to draw from, and are drawn; at least 2.
    """
    rng = np.random.default_rng(0)
    return np.array([statistic(rng.integers(0, count, count)) for _ in range(resamples)], np.float64)


def percentile_interval(statistic: Statistic, count: int, resamples: int) -> tuple[float, float] | None:
    """Return the 95 % percentile interval of a statistic (Efron & Tibshirani 1993, §13.3).

    None with fewer than two to draw from, without resamples, or where more than half of the resamples have no value:
    then nobody knows how sure this is.
    """
    if count < 2 or not resamples:
        return None
    found = bootstrap(statistic, count, resamples)
    found = found[np.isfinite(found)]
    if 2 * len(found) < resamples:
        return None
    low, high = np.quantile(found, (0.025, 0.975))
    return float(low), float(high)
