"""Two runs side by side: paired differences by image, and rate saved at equal quality."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from qbench.contracts.metric import Column, Direction
from qbench.errors import QbenchError, did_you_mean
from qbench.reporting.bd import BdRate, Method, bd_rates, unusable
from qbench.reporting.curves import Curves, curve_metrics, curves
from qbench.results.comparability import check_same_columns
from qbench.results.run import Entry, Run
from qbench.toolkit.resampling import percentile_interval

RESAMPLES = 1000
BD_RATE = "bd-rate"


@dataclass(frozen=True)
class Difference:
    """What changed in one column at one operating point, from the first run to the second.

    Attributes:
        images: with a finite value in both.
        first, second: means over them.
        low, high: 95 % bootstrap interval of the mean difference, over images; None with fewer than two.
    """

    point: str
    name: str
    column: Column
    images: int
    first: float
    second: float
    low: float | None
    high: float | None

    @property
    def change(self) -> float:
        """Second less first."""
        return self.second - self.first

    @property
    def worse(self) -> float:
        """By how much the second is worse; negative if it is better."""
        return -self.change if self.column.direction is Direction.HIGHER else self.change

    @property
    def certain(self) -> bool:
        """Whether 0 is outside of the interval."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


@dataclass(frozen=True)
class Comparison:
    """Two runs side by side.

    Attributes:
        points: operating points in both; ``missing`` those in only one of them.
        images: names of the images in both whose pixels are the same.
        differences: significant regressions first, the largest relative ones at the top; then the rest, likewise.
        rates: metric and BD-rate of each codec in both, the first run's curve being the anchor.
    """

    points: tuple[str, ...]
    missing: tuple[str, ...]
    images: tuple[str, ...]
    differences: tuple[Difference, ...]
    rates: tuple[tuple[str, BdRate], ...]


def compare(
    first: Run, second: Run, metrics: Sequence[str] = (), *, method: Method = "akima", mixed: bool = False
) -> Comparison:
    """Compare two runs.

    Args:
        metrics: columns that BD-rates are taken of; by default the first that both runs have.
        mixed: compare columns of different models or settings.

    Raises:
        QbenchError: nothing in common, a column that one lacks, or columns that can't be compared.
    """
    if not mixed:
        check_same_columns([first, second])
    known = {image.name: image.sha256 for image in first.plan.images}
    images = tuple(image.name for image in second.plan.images if known.get(image.name) == image.sha256)
    points = {point.id for point in first.plan.points}
    both = tuple(point.id for point in second.plan.points if point.id in points)
    columns = [name for name in first.cell_columns if name in second.cell_columns]
    if not (images and both and columns):
        raise QbenchError(
            f"{first.name} and {second.name} have nothing in common: {len(images)} images with the same pixels, "
            f"{len(both)} operating points, {len(columns)} columns"
        )
    missing = tuple(sorted(points.symmetric_difference(point.id for point in second.plan.points)))
    cells = [{(row.image, row.point): row.entries for row in run.rows} for run in (first, second)]
    differences = [
        found
        for point in both
        for name in columns
        if (found := _difference(cells, point, name, first.columns[name], images))
    ]
    differences.sort(key=_importance, reverse=True)
    rates = [each for metric in _metrics(first, second, metrics) for each in _rates(first, second, metric, method)]
    return Comparison(both, missing, images, tuple(differences), tuple(rates))


def _importance(each: Difference) -> tuple[bool, float]:
    share = each.worse / max(abs(each.first), 1e-12)
    return each.certain and each.worse > 0, share


def _difference(
    cells: Sequence[Mapping[tuple[str, str], Mapping[str, Entry]]],
    point: str,
    name: str,
    column: Column,
    images: Sequence[str],
) -> Difference | None:
    values = [[each[image, point][name].value for image in images] for each in cells]
    pairs: npt.NDArray[np.float64] = np.array(values, np.float64)  # None becomes NaN
    pairs = pairs[:, np.isfinite(pairs).all(axis=0)]
    count = pairs.shape[1]
    if not count:
        return None
    changes = pairs[1] - pairs[0]
    low, high = percentile_interval(lambda chosen: float(changes[chosen].mean()), count, RESAMPLES) or (None, None)
    means = pairs.mean(axis=1)
    return Difference(point, name, column, count, float(means[0]), float(means[1]), low, high)


def _metrics(first: Run, second: Run, asked: Sequence[str]) -> list[str]:
    known = [name for name in curve_metrics(first) if name in curve_metrics(second)]
    for name in asked:
        if name not in known:
            raise QbenchError(
                f"no curve of `{name}` in both runs{did_you_mean(name, known)} (both: {', '.join(known)})"
            )
    return list(asked) or known[:1]


def _rates(first: Run, second: Run, metric: str, method: Method) -> list[tuple[str, BdRate]]:
    one, other = curves(first, metric), curves(second, metric)
    per_image = all(point.values for found in (one, other) for points in found.by_codec.values() for point in points)
    if per_image:
        shared = [name for name in one.images if name in other.images]
        if not shared:
            return [(metric, BdRate(codec, None, "no image has values in both runs")) for codec in one.by_codec]
        one, other = one.of_images(shared), other.of_images(shared)
    results = []
    for codec, points in one.by_codec.items():
        if codec not in other.by_codec:
            continue
        reason = unusable(points, one.sign)
        if reason:
            results.append((metric, BdRate(codec, None, f"in {first.name}: {reason}")))
            continue
        pair: Curves = replace(one, by_codec={"first": points, "second": other.by_codec[codec]})
        (found,) = bd_rates(pair, "first", method)
        results.append((metric, replace(found, codec=codec)))
    return results


@dataclass(frozen=True)
class Condition:
    """What must not be: ``bd-rate > 1%``, ``psnr < -0.05``, ``bpp > 2%``.

    Attributes:
        what: ``bd-rate``, or a column, of which the change from the first run to the second is meant.
        relative: whether the number is in percent of the first run's value.
    """

    text: str
    what: str
    sign: str
    number: float
    relative: bool

    def violations(self, comparison: Comparison) -> list[str]:
        """Return what violates it, in words; what can't be judged counts."""
        if self.what == BD_RATE:
            return [
                f"{codec.codec}: {metric} BD-rate "
                + (f"unknown: {codec.reason}" if codec.percent is None else f"{codec.percent:+.2f} %")
                for metric, codec in comparison.rates
                if codec.percent is None or self._holds(codec.percent)
            ] or ([] if comparison.rates else ["no BD-rate: no codec has a curve in both runs"])
        found = [each for each in comparison.differences if each.name == self.what]
        if not found:
            return [f"no values of `{self.what}` in both runs"]
        unit = " %" if self.relative else ""
        return [
            f"{each.point}: {self.what} {self._value(each):+.4g}{unit}"
            for each in found
            if self._holds(self._value(each))
        ]

    def _value(self, each: Difference) -> float:
        return 100 * each.change / max(abs(each.first), 1e-300) if self.relative else each.change

    def _holds(self, value: float) -> bool:
        return {
            ">": value > self.number,
            ">=": value >= self.number,
            "<": value < self.number,
            "<=": value <= self.number,
        }[self.sign]


def parse_condition(text: str, columns: Sequence[str]) -> Condition:
    """Read a condition.

    Raises:
        QbenchError: not of the form, or of a column that the runs don't have.
    """
    form = re.fullmatch(r"\s*([\w.+-]+)\s*(>=|<=|>|<)\s*([+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)\s*(%?)\s*", text)
    if form is None:
        raise QbenchError(f"`{text}` is not a valid condition; accepted: `bd-rate > 1%`, `psnr < -0.05`, `bpp > 2%`")
    what, sign, number, percent = form.groups()
    known = [BD_RATE, *columns]
    if what not in known:
        raise QbenchError(f"`{text}`: no column `{what}`{did_you_mean(what, known)} (accepted: {', '.join(known)})")
    return Condition(text, what, sign, float(number), bool(percent) and what != BD_RATE)
