"""What the codecs of runs save against an anchor at equal quality, by every metric."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Mapping, Sequence

from qbench.errors import QbenchError, did_you_mean
from qbench.reporting.bd import BdRate, Method, bd_rates, unusable
from qbench.reporting.costs import PointTiming, point_timings, timing_notes
from qbench.reporting.curves import curve_metrics, main_columns
from qbench.reporting.savings import BESIDE, Savings
from qbench.reporting.together import together
from qbench.results.comparability import check_same_columns
from qbench.results.run import Run, Status


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
    origins = {label: origin for each in found.values() for label, origin in each.origins.items()}
    anchor, several = _resolved(anchor, labels, origins)
    if not labels:
        pending = sum(row.status is Status.PENDING for _, run in runs for row in run.rows)
        whole = sum(run.plan.cells for _, run in runs)
        raise QbenchError(f"nothing to compare yet: no curve has any value ({pending} of {whole} cells are pending)")
    if anchor not in labels:
        raise QbenchError(f"no codec `{anchor}`{did_you_mean(anchor, labels)} (with curves: {', '.join(labels)})")
    rates: dict[str, dict[str, BdRate]] = {label: {} for label in labels if label != anchor}
    absent: dict[str, str] = {}
    notes: dict[str, None] = dict.fromkeys(several)
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
    return Savings(anchor, columns, rates, times, absent, tuple(notes), _origin(runs))


def _origin(runs: Sequence[tuple[str, Run]]) -> dict[str, str]:
    """Return where values are from, of all runs."""
    each = [{**run.origin(), "run": name} for name, run in runs]
    found = {key: ", ".join(dict.fromkeys(one[key] for one in each if one[key])) for key in each[0]}
    return {"runs": found.pop("run"), **found}


def _resolved(anchor: str, labels: Sequence[str], origins: Mapping[str, tuple[str, int]]) -> tuple[str, list[str]]:
    """Return the label of the curve that an anchor means, and what must be told: of several runs' the first one's."""
    if anchor in labels:
        return anchor, []
    of_that_name = sorted((run, label) for label, (codec, run) in origins.items() if codec == anchor)
    if not of_that_name:
        return anchor, []
    chosen = of_that_name[0][1]
    return chosen, [f"{anchor} is in several runs; the anchor is {chosen}"]


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
