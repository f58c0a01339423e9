"""Bjøntegaard deltas: what a codec saves in rate against an anchor at equal quality, on average."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt

from qbench.errors import QbenchError, did_you_mean
from qbench.reporting.curves import CurvePoint, Curves, mean_points
from qbench.toolkit.resampling import percentile_interval

Method = Literal["akima", "pchip"]
METHODS: tuple[Method, ...] = ("akima", "pchip")
FEWEST_POINTS = 4
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class BdRate:
    """The rate that a codec saves against the anchor (Bjøntegaard 2001, ITU-T VCEG-M33).

    Attributes:
        percent: negative where it needs less; None where there is none, for the reason given.
        low, high: 95 % bootstrap interval over images; None with fewer than two, or for distribution metrics.
        lower, upper: the values between which both curves lie, and that it is an average over.
        overlap: that range as a share of the range of both curves together.
    """

    codec: str
    percent: float | None
    reason: str = ""
    low: float | None = None
    high: float | None = None
    lower: float | None = None
    upper: float | None = None
    overlap: float | None = None


def bd_rates(curves: Curves, anchor: str, method: Method = "akima", resamples: int = 200) -> list[BdRate]:
    """Return what every codec saves against the anchor.

    Curves are of means over images; interpolated is the logarithm of the rate over the metric.

    Raises:
        QbenchError: the anchor has no curve, or none that can be compared with.
    """
    if anchor not in curves.by_codec:
        known = list(curves.by_codec)
        raise QbenchError(
            f"no curve of `{anchor}` to compare with{did_you_mean(anchor, known)} (codecs with one: {', '.join(known)})"
        )
    reason = unusable(curves.by_codec[anchor], curves.sign)
    if reason:
        raise QbenchError(f"`{anchor}` can't be the anchor: {reason}")
    return [_bd_rate(curves, anchor, codec, method, resamples) for codec in curves.by_codec if codec != anchor]


def unusable(points: Sequence[CurvePoint], sign: float) -> str:
    """Say why a curve can't be interpolated; empty if it can be."""
    if len(points) < FEWEST_POINTS:
        return f"{len(points)} operating point{'s' * (len(points) != 1)}, fewer than {FEWEST_POINTS}"
    for one, other in pairwise(points):
        if one.rate == other.rate:
            return f"{one.point} and {other.point} have the same rate"
        if sign * other.value <= sign * one.value:
            return f"not monotone: {other.point} costs more than {one.point} and is no better"
    return ""


def _bd_rate(curves: Curves, anchor: str, codec: str, method: Method, resamples: int) -> BdRate:
    points, reference = curves.by_codec[codec], curves.by_codec[anchor]
    reason = unusable(points, curves.sign)
    if reason:
        return BdRate(codec, None, reason)
    ends = [sorted((each[0].value, each[-1].value)) for each in (reference, points)]
    lower, upper = max(ends[0][0], ends[1][0]), min(ends[0][1], ends[1][1])
    if lower >= upper:
        return BdRate(
            codec,
            None,
            f"no overlap: {anchor} reaches {ends[0][0]:.4g} to {ends[0][1]:.4g}, {codec} {ends[1][0]:.4g} to "
            f"{ends[1][1]:.4g}",
        )
    whole = max(ends[0][1], ends[1][1]) - min(ends[0][0], ends[1][0])
    means = [(np.array([p.rate for p in each]), np.array([p.value for p in each])) for each in (reference, points)]
    percent = _percent(means[0], means[1], curves.sign, method)
    low, high = _interval(curves, reference, points, method, resamples)
    return BdRate(codec, percent, "", low, high, lower, upper, (upper - lower) / whole)


def _percent(reference: tuple[Array, Array], points: tuple[Array, Array], sign: float, method: Method) -> float:
    import bjontegaard

    (rates, values), (other_rates, other_values) = reference, points
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of little overlap, which is reported beside the value
        return float(
            bjontegaard.bd_rate(
                rates,
                sign * values,
                other_rates,
                sign * other_values,
                method=method,
                require_matching_points=False,
                min_overlap=0,
            )
        )


def _interval(
    curves: Curves, reference: Sequence[CurvePoint], points: Sequence[CurvePoint], method: Method, resamples: int
) -> tuple[float | None, float | None]:
    """Return the interval over resampled images; those whose curves can't be interpolated don't count."""

    def percent(chosen: npt.NDArray[np.intp]) -> float:
        drawn = [mean_points(each, chosen) for each in (reference, points)]
        if all((np.diff(curves.sign * values) > 0).all() and (np.diff(rates) > 0).all() for rates, values in drawn):
            return _percent(drawn[0], drawn[1], curves.sign, method)
        return math.nan

    return percentile_interval(percent, len(curves.images) if points[0].values else 0, resamples) or (None, None)
