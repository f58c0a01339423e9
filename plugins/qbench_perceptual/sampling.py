"""What metrics of samples share: putting them together, refusing too few, and intervals over images."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from qbench.plugin import Column, Direction, NotApplicable
from qbench.toolkit.resampling import bootstrap

Groups = Sequence[npt.NDArray[np.intp]]
"""The indices of the samples of each image."""


def sample_columns(direction: Direction, digits: int) -> tuple[Column, ...]:
    """Return the columns that stand beside the value: its interval, and the number of samples."""
    return (
        Column("low", direction, None, None, digits=digits, summary="lower end of the 95 % interval"),
        Column("high", direction, None, None, digits=digits, summary="upper end of the 95 % interval"),
        Column("samples", Direction.HIGHER, 2.0, None, digits=0, summary="images, or patches of them"),
    )


def together(parts: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float64]:
    """Return the samples of all images, one below the other."""
    return np.concatenate(parts).astype(np.float64)


def require_samples(count: int) -> None:
    """Raise NotApplicable where there is no distribution."""
    if count < 2:
        raise NotApplicable(
            f"{count} sample; a distribution needs at least 2. Use `patch` to get more samples per image"
        )


def sample_groups(parts: Sequence[npt.NDArray[np.float32]]) -> Groups:
    """Return which samples each image has; where there is one image, each of its patches counts as one."""
    ends = np.cumsum([len(part) for part in parts])
    indices = np.arange(ends[-1])
    return np.split(indices, ends[:-1]) if len(parts) > 1 else np.split(indices, len(indices))


def interval(
    value: float, statistic: Callable[[npt.NDArray[np.intp]], float], groups: Groups, resamples: int
) -> tuple[float, float]:
    """Return a 95 % bootstrap interval over images, centred on the value (Efron & Tibshirani 1993, §13).

    A resample repeats images, which moves these statistics by itself. So the interval is the value plus what the
    resamples' quantiles differ from their mean; its ends may be values that the statistic itself can't have.

    Args:
        statistic: from the indices of resampled samples to the value.
        groups: samples of each image, which are resampled together.
        resamples: how many are drawn, always the same ones.
    """
    found = bootstrap(lambda chosen: statistic(np.concatenate([groups[i] for i in chosen])), len(groups), resamples)
    low, high = value + np.quantile(found, (0.025, 0.975)) - found.mean()
    return float(low), float(high)
