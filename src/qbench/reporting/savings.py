"""How many bytes each codec saves at equal quality, by every metric, and what that costs in time."""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass

from qbench.contracts.metric import Column
from qbench.errors import QbenchError, did_you_mean
from qbench.reporting.bd import BdRate, Method, bd_rates, unusable
from qbench.reporting.costs import PointTiming, point_timings, timing_notes
from qbench.reporting.curves import curve_metrics
from qbench.reporting.together import together
from qbench.results.comparability import check_same_columns
from qbench.results.run import Run

BESIDE = "times were taken beside other work of the run, and are not for publication"
ALIKE = 1.1
"""Factor up to which two times are called alike."""


@dataclass(frozen=True)
class Savings:
    """The rate that codecs save against an anchor, by several metrics.

    Attributes:
        anchor: the codec's label.
        columns: of the metrics, by name.
        rates: codec → metric → BD-rate.
        times: codec → how many times as long it takes to encode, and to decode; None where that is not known.
        absent: metrics without any curve of the anchor that others could be compared with, and why.
        notes: what must be read with it.
        runs: names of those that curves are of.
    """

    anchor: str
    columns: Mapping[str, Column]
    rates: Mapping[str, Mapping[str, BdRate]]
    times: Mapping[str, tuple[float | None, float | None]]
    absent: Mapping[str, str]
    notes: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()

    def records(self) -> list[dict[str, object]]:
        """Return a flat dictionary for each codec and metric."""
        found = []
        for codec, rates in self.rates.items():
            encode, decode = self.times.get(codec, (None, None))
            for metric, rate in rates.items():
                values = asdict(rate)
                methods = values.pop("by_method")
                values |= {f"by_{name}": methods.get(name) for name in methods}
                values["lacking"] = ", ".join(rate.lacking)
                found.append(
                    {
                        "runs": ", ".join(self.runs),
                        "anchor": self.anchor,
                        "metric": metric,
                        **values,
                        "encode_factor": encode,
                        "decode_factor": decode,
                    }
                )
        return found


def main_columns(run: Run) -> list[str]:
    """Return the columns that quality is measured by: every metric's first, unless none of its values is better."""
    first = {metric.column_ids()[0] for metric in run.plan.metrics}
    return [name for name in curve_metrics(run) if name in first and run.columns[name].ranked]


def usual_anchor(runs: Sequence[Run], usual: Collection[str]) -> str | None:
    """Return the codec that others are compared with where nobody says otherwise; None without any.

    That which plugins say is customary, whatever the suite calls it; else the first that is no network, as the first of
    all is mostly the author's own.

    Args:
        usual: names of codecs that are customarily compared with.
    """
    points = {point.label: point for run in reversed(runs) for point in reversed(run.plan.points)}
    labels = list(dict.fromkeys(point.label for run in runs for point in run.plan.points))
    if len(labels) < 2 and len(runs) < 2:
        return None
    for chosen in (
        [label for label in labels if label in usual],
        [label for label in labels if points[label].codec in usual],
        [label for label in labels if not points[label].models],
    ):
        if chosen:
            return chosen[0]
    return labels[0]


def savings(
    runs: Sequence[tuple[str, Run]],
    anchor: str,
    metrics: Sequence[str] = (),
    *,
    method: Method = "pchip",
    methods: bool = True,
) -> Savings:
    """Return what codecs save against an anchor.

    Args:
        runs: with their names; where there are several, of the images that all have, as far as pixels are known.
        anchor: label of a codec; ``label (run)`` where several runs have one of that name.
        metrics: columns; by default the main ones that all runs have.
        methods: whether to compare interpolations.

    Raises:
        QbenchError: no such metric or anchor, columns that differ between runs, or no images in common.
    """
    both = [name for name in main_columns(runs[0][1]) if all(name in run.columns for _, run in runs)]
    known = [name for name in curve_metrics(runs[0][1]) if all(name in run.columns for _, run in runs)]
    for name in metrics:
        if name not in known:
            raise QbenchError(f"no curve of `{name}`{did_you_mean(name, known)} (accepted: {', '.join(known)})")
    chosen = list(metrics) or both
    if not chosen:
        raise QbenchError("the runs have no metric of quality in common")
    own = [run for _, run in runs if not run.imported]
    check_same_columns(own, chosen)
    found = {name: together(runs, name) for name in chosen}
    labels = list(dict.fromkeys(codec for each in found.values() for codec in each.curves.by_codec))
    if anchor not in labels:
        raise QbenchError(f"no codec `{anchor}`{did_you_mean(anchor, labels)} (with curves: {', '.join(labels)})")
    rates: dict[str, dict[str, BdRate]] = {label: {} for label in labels if label != anchor}
    absent: dict[str, str] = {}
    notes: dict[str, None] = {}
    for name, drawn in found.items():
        each = drawn.curves
        notes |= dict.fromkeys(drawn.notes)
        reason = unusable(each.by_codec[anchor], each.sign) if anchor in each.by_codec else "it has no values"
        if reason:
            absent[name] = reason
            continue
        for rate in bd_rates(each, anchor, method, methods=methods):
            rates[rate.codec][name] = rate
    timings = [point_timings(run) for _, run in runs]
    times = _times(runs, timings, anchor)
    if times and any(map(timing_notes, timings)):
        notes[BESIDE] = None
    columns = {name: runs[0][1].columns[name] for name in chosen}
    return Savings(anchor, columns, rates, times, absent, tuple(notes), tuple(name for name, _ in runs))


def _times(
    runs: Sequence[tuple[str, Run]], timings: Sequence[Sequence[PointTiming]], anchor: str
) -> dict[str, tuple[float | None, float | None]]:
    """Return by how much longer codecs take than the anchor, within the anchor's run: medians over operating points."""
    for (name, run), of_points in zip(runs, timings, strict=True):
        label = anchor.removesuffix(f" ({name})")
        labels = {point.id: point.label for point in run.plan.points}
        found: dict[str, list[PointTiming]] = {}
        for timing in of_points:
            found.setdefault(labels[timing.point], []).append(timing)
        if label not in found or (label == anchor and len(runs) > 1 and label not in labels.values()):
            continue
        own = _median(found[label])
        return {
            codec: (_ratio(_median(each)[0], own[0]), _ratio(_median(each)[1], own[1]))
            for codec, each in found.items()
            if codec != label
        }
    return {}


def _median(timings: Sequence[PointTiming]) -> tuple[float, float]:
    encode, decode = ([each.encode for each in timings], [each.decode for each in timings])
    return statistics.median(encode), statistics.median(decode)


def _ratio(one: float, other: float) -> float | None:
    return one / other if other > 0 else None


def sentences(found: Savings) -> list[str]:
    """Say of each codec, in words, what it saves by the first metric that tells, and what that takes."""
    lines = []
    for codec, rates in found.rates.items():
        rate = next((each for each in rates.values() if each.percent is not None), None)
        if rate is None or rate.percent is None:
            continue
        metric = next(name for name, each in rates.items() if each is rate)
        lines.append(f"at equal {metric}, {codec} needs {_bytes(rate)} {found.anchor}{_long(found.times.get(codec))}")
    return lines


def _bytes(rate: BdRate) -> str:
    percent = rate.percent or 0.0
    if rate.low is not None and rate.high is not None and rate.low <= 0 <= rate.high:
        return f"about as many bytes ({rate.low:+.0f} to {rate.high:+.0f} %) as"
    return f"{abs(percent):.0f} % {'fewer' if percent < 0 else 'more'} bytes than"


def _long(times: tuple[float | None, float | None] | None) -> str:
    encode = None if times is None else times[0]
    if encode is None or not math.isfinite(encode) or encode <= 0:
        return ""
    if 1 / ALIKE <= encode <= ALIKE:
        return ", and as long to encode"
    if encode > 1:
        return f", and {_factor(encode)} times as long to encode"
    return f", and {100 * encode:.0f} % of the time to encode" if encode >= 0.01 else ", and next to no time to encode"


def _factor(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"
