"""What metrics of samples share: putting them together, refusing too few, and intervals over images."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from qbench.plugin import Column, Direction, NotApplicable
from qbench.toolkit.resampling import jackknife_interval, too_few


def sample_columns(direction: Direction, digits: int) -> tuple[Column, ...]:
    """Return the columns that stand beside the value: its interval, and the number of samples."""
    return (
        Column("low", direction, digits=digits, summary="lower end of the 95 % interval", ranked=False),
        Column("high", direction, digits=digits, summary="upper end of the 95 % interval", ranked=False),
        Column("samples", Direction.HIGHER, 2.0, digits=0, summary="images, or patches of them", ranked=False),
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


def interval(
    statistic: Callable[[npt.NDArray[np.intp]], float], parts: Sequence[npt.NDArray[np.float32]]
) -> dict[str, float | NotApplicable]:
    """Return the ends of a 95 % interval over images (not over patches, which of one image have much in common).

    By the jackknife, which repeats no image: repetitions alone move these statistics. Ends may be values that the
    statistic itself can't have.

    Args:
        statistic: from indices of samples to the value.
        parts: samples of each image.
    """
    ends = np.cumsum([len(part) for part in parts])
    groups = np.split(np.arange(ends[-1]), ends[:-1])
    found = jackknife_interval(lambda chosen: statistic(np.concatenate([groups[i] for i in chosen])), len(parts))
    if found is None:
        reason = NotApplicable(too_few(len(parts)) or "not every image can be left out")
        return {"low": reason, "high": reason}
    return {"low": found[0], "high": found[1]}
