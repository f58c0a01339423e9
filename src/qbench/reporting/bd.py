"""Bjøntegaard deltas: what a codec saves in rate against an anchor at equal quality, on average."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt

from qbench.errors import QbenchError, did_you_mean
from qbench.reporting.curves import CurvePoint, Curves
from qbench.reporting.pchip import pchip
from qbench.toolkit.resampling import FEWEST, jackknife_ends, jackknife_parts, too_few

Method = Literal["pchip", "akima", "cubic"]
METHODS: tuple[Method, ...] = ("pchip", "akima", "cubic")
"""Interpolations of the logarithm of the rate over the metric. PCHIP (Fritsch & Carlson 1980) never leaves the range of
two neighbouring points, so a curve that saturates can't send it astray; Akima's and the cubic of VCEG-M33 can."""
FEWEST_POINTS = 4
LEAST_OVERLAP, SMALL_OVERLAP = 0.25, 0.5
"""Shares of both curves' range: below the first there is no number, below the second it is given with a note."""
DISAGREEMENT = 1.0
"""Percentage points between interpolations that a note is made of."""
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class BdRate:
    """The rate that a codec saves against the anchor (Bjøntegaard 2001, ITU-T VCEG-M33).

    Attributes:
        percent: negative where it needs less; None where there is none, for the reason given.
        low, high: 95 % interval over images (jackknife); None with fewer than three, or for distribution metrics.
        lower, upper: the values between which both curves lie, and that it is an average over.
        overlap: that range as a share of the range of both curves together.
        images: how many it is over.
        by_method: interpolation → what it gives; None where it fails.
        too_few: whether there is none because the curve has too few operating points, in any run.
        note: what one must know to use the number: little overlap, interpolations that disagree.
        lacking: images that it is not over although they belong to it, as a point has no finite value of them.
    """

    codec: str
    percent: float | None
    reason: str = ""
    low: float | None = None
    high: float | None = None
    lower: float | None = None
    upper: float | None = None
    overlap: float | None = None
    images: int = 0
    by_method: Mapping[str, float | None] = field(default_factory=dict)
    too_few: bool = False
    note: str = ""
    lacking: tuple[str, ...] = ()


def bd_rates(
    curves: Curves, anchor: str, method: Method = "pchip", *, intervals: bool = True, methods: bool = True
) -> list[BdRate]:
    """Return what every codec saves against the anchor.

    Curves are of means over images; interpolated is the logarithm of the rate over the metric.

    Args:
        intervals: whether to compute them, which takes a multiple of the time.
        methods: whether to compare interpolations, for which SciPy is loaded.

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
    compared = METHODS if methods else (method,)
    return [
        _bd_rate(curves, anchor, codec, method, intervals, compared) for codec in curves.by_codec if codec != anchor
    ]


def unusable(points: Sequence[CurvePoint], sign: float) -> str:
    """Say why a curve can't be interpolated; empty if it can be."""
    if len(points) < FEWEST_POINTS:
        return f"{len(points)} operating point{'s' * (len(points) != 1)}, fewer than {FEWEST_POINTS}"
    for point in points:
        if not (0 < point.rate < math.inf):
            return f"the rate of {point.point} is {point.rate:g} bit/pixel, which has no logarithm"
    for one, other in pairwise(points):
        if one.rate == other.rate:
            return f"{one.point} and {other.point} have the same rate"
        if sign * other.value <= sign * one.value:
            return f"not monotone: {other.point} costs more than {one.point} and is no better"
    return ""


def _bd_rate(
    curves: Curves, anchor: str, codec: str, method: Method, intervals: bool, compared: Sequence[Method]
) -> BdRate:
    points, reference = curves.by_codec[codec], curves.by_codec[anchor]
    images = len(curves.images)
    reason = unusable(points, curves.sign)
    if reason:
        return BdRate(codec, None, reason, images=images)
    ends = [sorted((each[0].value, each[-1].value)) for each in (reference, points)]
    lower, upper = max(ends[0][0], ends[1][0]), min(ends[0][1], ends[1][1])
    whole = max(ends[0][1], ends[1][1]) - min(ends[0][0], ends[1][0])
    overlap = (upper - lower) / whole
    if overlap < LEAST_OVERLAP:
        ranges = f"{anchor} reaches {ends[0][0]:.4g} to {ends[0][1]:.4g}, {codec} {ends[1][0]:.4g} to {ends[1][1]:.4g}"
        much = "no overlap" if overlap <= 0 else f"both cover {_share(overlap)} of their range"
        return BdRate(codec, None, f"{much}: {ranges}", overlap=max(0.0, overlap), images=images)
    means = [(np.array([p.rate for p in each]), np.array([p.value for p in each])) for each in (reference, points)]
    found = {each: _percent(means[0], means[1], curves.sign, each) for each in compared}
    by_method: dict[str, float | None] = {
        each: value if math.isfinite(value) else None for each, value in found.items()
    }
    percent = by_method[method]
    if percent is None:
        return BdRate(codec, None, f"{method} gives no finite value", by_method=by_method, images=images)
    low, high = (_interval(curves, reference, points, method) if intervals else None) or (None, None)
    notes = [_little(overlap), _disagreement(by_method)]
    if intervals and low is None and points[0].values and not too_few(images):
        notes.append("no interval: without some of the images the curves bend back, or don't overlap")
    note = "; ".join(text for text in notes if text)
    return BdRate(codec, percent, "", low, high, lower, upper, overlap, images, by_method, note=note)


def _share(overlap: float) -> str:
    return f"only {100 * overlap:.0f} %" if overlap >= 0.01 else "less than 1 %"


def _little(overlap: float) -> str:
    return f"both curves cover {_share(overlap)} of their range" if overlap < SMALL_OVERLAP else ""


def _disagreement(by_method: Mapping[str, float | None]) -> str:
    known = [value for value in by_method.values() if value is not None]
    if len(known) == len(by_method) and max(known) - min(known) <= DISAGREEMENT:
        return ""
    told = ", ".join(f"{name} {'none' if value is None else f'{value:+.1f} %'}" for name, value in by_method.items())
    return f"interpolations disagree: {told}"


def _percent(reference: tuple[Array, Array], points: tuple[Array, Array], sign: float, method: Method) -> float:
    """Return the BD-rate; NaN where the interpolation has none."""
    if method == "pchip":
        return _by_pchip(reference, points, sign)
    import bjontegaard

    (rates, values), (other_rates, other_values) = reference, points
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # of little overlap, which is reported beside the value
        try:
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
        except (ValueError, ArithmeticError, np.linalg.LinAlgError):
            return math.nan


def _by_pchip(reference: tuple[Array, Array], points: tuple[Array, Array], sign: float) -> float:
    """Return what the package bjontegaard gives with ``pchip``, without SciPy, which takes two seconds to load."""
    pairs = [(rates[None], values[None]) for rates, values in (reference, points)]
    return 100 * math.expm1(float(_log_factors(pairs[0], pairs[1], sign)[0]))


def _log_factors(reference: tuple[Array, Array], points: tuple[Array, Array], sign: float) -> Array:
    """Return by what factor rates differ at equal value on average, as a logarithm, of several pairs of curves at once.

    Between two neighbouring values of either curve both are cubic there, of which Simpson's rule gives the integral.

    Args:
        reference, points: rates and values, ``(pairs, n)``.

    Returns:
        A factor for each pair; NaN where curves bend back, or don't overlap.
    """
    curves = [(sign * values, np.log(rates)) for rates, values in (reference, points)]
    lower = np.max([values[:, 0] for values, _ in curves], axis=0)[:, None]
    upper = np.min([values[:, -1] for values, _ in curves], axis=0)[:, None]
    usable = (lower < upper)[:, 0]
    for (values, _), (rates, _) in zip(curves, (reference, points), strict=True):
        usable &= (np.diff(values) > 0).all(axis=1) & (np.diff(rates) > 0).all(axis=1)
    found = np.full(len(usable), math.nan)
    if usable.any():
        lower, upper = lower[usable], upper[usable]
        kept = [(values[usable], logarithms[usable]) for values, logarithms in curves]
        places = np.concatenate([values for values, _ in kept], axis=1)
        places = np.sort(np.concatenate([lower, upper, np.clip(places, lower, upper)], axis=1))
        middles, widths = (places[:, 1:] + places[:, :-1]) / 2, np.diff(places)
        ends, between = (pchip(*kept[1], at) - pchip(*kept[0], at) for at in (places, middles))
        whole = (widths * (ends[:, :-1] + 4 * between + ends[:, 1:])).sum(axis=1) / 6
        found[usable] = whole / (upper - lower)[:, 0]
    return found


def _interval(
    curves: Curves, reference: Sequence[CurvePoint], points: Sequence[CurvePoint], method: Method
) -> tuple[float, float] | None:
    """Return the interval over images; None where some of them can't be left out: curves bend back without them.

    The logarithm of the factor is what is left out of: that moves it by amounts that are alike up and down.
    """
    count = len(curves.images) if points[0].values else 0
    if count < FEWEST:
        return None
    weights = np.ones((1 + len(parts := jackknife_parts(count)), count))
    for replicate, part in enumerate(parts, 1):
        weights[replicate, part] = 0
    weights /= weights.sum(axis=1, keepdims=True)
    drawn = [
        (weights @ np.array([p.rates for p in each]).T, weights @ np.array([p.values for p in each]).T)
        for each in (reference, points)
    ]
    if method == "pchip":
        logarithms = _log_factors(drawn[0], drawn[1], curves.sign)
    else:
        pairs = [[(rates[r], values[r]) for rates, values in drawn] for r in range(len(weights))]
        logarithms = np.array([_log_factor(one, other, curves.sign, method) for one, other in pairs])
    found = jackknife_ends(float(logarithms[0]), logarithms[1:])
    return None if found is None else (100 * math.expm1(found[0]), 100 * math.expm1(found[1]))


def _log_factor(reference: tuple[Array, Array], points: tuple[Array, Array], sign: float, method: Method) -> float:
    for rates, values in (reference, points):
        if not ((np.diff(sign * values) > 0).all() and (np.diff(rates) > 0).all()):
            return math.nan
    factor = 1 + _percent(reference, points, sign, method) / 100
    return math.log(factor) if factor > 0 else math.nan
