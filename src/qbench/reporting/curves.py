"""Rate–distortion curves out of a run: for every codec, its operating points averaged over the same images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from qbench.contracts.metric import Column, Direction
from qbench.errors import QbenchError, did_you_mean
from qbench.results.run import Run, Status

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class CurvePoint:
    """An operating point on a curve.

    Attributes:
        point: its id.
        rate: bits per pixel, the mean over images.
        value: of the metric, likewise; of a distribution metric its one value.
        rates, values: image by image, in the order of :attr:`Curves.images`; no values of a distribution metric.
    """

    point: str
    rate: float
    value: float
    rates: tuple[float, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class Curves:
    """The curves of one metric.

    Attributes:
        metric: the column's name.
        images: those that every point has a finite value for; others are left out of all curves, as means over
            different images can't be compared.
        left_out: the others.
        by_codec: label of the suite's entry → points, rising in rate. Codecs without any value have no curve.
        absent: operating points without a finite value of any of the images, which are in no curve.
    """

    metric: str
    column: Column
    images: tuple[str, ...]
    left_out: tuple[str, ...]
    by_codec: Mapping[str, tuple[CurvePoint, ...]]
    absent: tuple[str, ...] = ()

    @property
    def sign(self) -> float:
        """1 where higher values are better, else -1."""
        return 1.0 if self.column.direction is Direction.HIGHER else -1.0

    def of_images(self, images: Sequence[str]) -> Curves:
        """Return the curves of only some of the images, in the order given."""
        chosen = np.array([self.images.index(name) for name in images], np.intp)
        by_codec = {}
        for codec, points in self.by_codec.items():
            rates, values = mean_points(points, chosen)
            by_codec[codec] = tuple(
                replace(
                    point,
                    rate=float(rate),
                    value=float(value),
                    rates=tuple(point.rates[index] for index in chosen),
                    values=tuple(point.values[index] for index in chosen),
                )
                for point, rate, value in zip(points, rates, values, strict=True)
            )
        return replace(self, images=tuple(images), by_codec=by_codec)


def curve_metrics(run: Run) -> list[str]:
    """Return the columns that curves can be drawn of: all but rates."""
    return [name for name in run.columns if name not in run.rate_columns]


def main_columns(run: Run) -> list[str]:
    """Return the columns that quality is measured by: every metric's first, unless none of its values is better."""
    first = {metric.column_ids()[0] for metric in run.plan.metrics}
    return [name for name in curve_metrics(run) if name in first and run.columns[name].ranked]


def curves(run: Run, metric: str, codecs: Sequence[str] = ()) -> Curves:
    """Return the curves of a metric.

    Args:
        codecs: labels of those that are wanted, so that no other's failures leave images out; empty for all.

    Raises:
        QbenchError: the run has no such column.
    """
    known = curve_metrics(run)
    if metric not in known:
        raise QbenchError(f"no curve of `{metric}`{did_you_mean(metric, known)} (accepted: {', '.join(known)})")
    per_point = metric not in run.cell_columns
    rates, values = _matrices(run, None if per_point else metric)
    there: npt.NDArray[np.bool_] = np.isfinite(values)
    if codecs:
        there = there & np.array([point.label in codecs for point in run.plan.points])
    if per_point:  # a point without a value may lack images, which must not shrink the rates of others
        entries = [run.point_entries[point.id][metric].value for point in run.plan.points]
        there = there & np.array([value is not None and math.isfinite(value) for value in entries])
    usable: npt.NDArray[np.bool_] = np.any(there, axis=0, keepdims=True)[0]  # points that have anything
    complete: npt.NDArray[np.bool_] = np.all(there[:, usable], axis=1, keepdims=True)[:, 0] & usable.any()
    names = [image.name for image in run.plan.images]
    found: dict[str, list[CurvePoint]] = {}
    for index, point in enumerate(run.plan.points):
        if not (usable[index] and complete.any()):
            continue
        rate, value = rates[complete, index], values[complete, index]
        mean = float(value.mean())
        if per_point:
            entry = run.point_entries[point.id][metric]
            if entry.status is not Status.OK or entry.value is None or not math.isfinite(entry.value):
                continue
            mean, value = entry.value, np.zeros(0)
        made = CurvePoint(point.id, float(rate.mean()), mean, tuple(rate.tolist()), tuple(value.tolist()))
        found.setdefault(point.label, []).append(made)
    return Curves(
        metric,
        run.columns[metric],
        tuple(name for name, kept in zip(names, complete, strict=True) if kept),
        tuple(name for name, kept in zip(names, complete, strict=True) if not kept),
        {label: tuple(sorted(points, key=lambda each: each.rate)) for label, points in found.items()},
        tuple(
            point.id
            for point, drawn in zip(run.plan.points, usable, strict=True)
            if not drawn and (not codecs or point.label in codecs)
        ),
    )


def _matrices(run: Run, metric: str | None) -> tuple[Array, Array]:
    """Return rates and values, images × points; NaN where a cell has no value (or no finite one)."""
    shape = (len(run.plan.images), len(run.plan.points))
    rates, values = np.full(shape, np.nan), np.full(shape, np.nan)
    for index, row in enumerate(run.rows):
        at = divmod(index, shape[1])
        if row.rate is None:
            continue
        rates[at] = row.rate
        value = 0.0 if metric is None else row.entries[metric].value
        if value is not None and math.isfinite(value):
            values[at] = value
    return rates, values


def mean_points(points: Sequence[CurvePoint], chosen: npt.NDArray[np.intp]) -> tuple[Array, Array]:
    """Return rates and values of a curve, averaged over chosen images (with repetitions)."""
    rates = np.array([point.rates for point in points])[:, chosen].mean(axis=1)
    values = np.array([point.values for point in points])[:, chosen].mean(axis=1)
    return rates, values
