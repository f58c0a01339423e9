"""Bootstrap resampling, by SciPy. Stable."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

__all__ = ["bootstrap"]


def bootstrap(
    statistic: Callable[[npt.NDArray[np.intp]], float], count: int, resamples: int
) -> npt.NDArray[np.float64]:
    """Return a statistic of resamples of 0 … count - 1, with replacement; always the same ones.

    Args:
        statistic: from the indices that were drawn to a value; NaN where there is none.
        count: how many there are to draw from, and are drawn; at least 2.
    """
    from scipy import stats

    drawn = stats.bootstrap(
        (np.arange(count),),
        lambda indices: statistic(indices.astype(np.intp)),
        n_resamples=resamples,
        vectorized=False,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    found: npt.NDArray[np.float64] = drawn.bootstrap_distribution
    return found
