"""Whether a column means the same in several runs: the same metric, settings, libraries and models."""

from __future__ import annotations

from collections.abc import Sequence

from qbench.errors import QbenchError
from qbench.planning.types import PlannedMetric
from qbench.results.run import Run

MOST_NAMED = 6


def column_owners(run: Run) -> dict[str, PlannedMetric]:
    """Return column id → the metric that fills it."""
    return {name: metric for metric in run.plan.metrics for name in metric.column_ids()}


def check_same_columns(runs: Sequence[Run], columns: Sequence[str] | None = None) -> None:
    """Refuse columns that are not the same in two of the runs.

    Args:
        columns: those to look at; all by default.

    Raises:
        QbenchError: one of them is not; the text says what differs.
    """
    first: dict[str, tuple[Run, PlannedMetric]] = {}
    for run in runs:
        for name, metric in column_owners(run).items():
            if columns is not None and name not in columns:
                continue
            earlier, known = first.setdefault(name, (run, metric))
            what = _difference(known, metric)
            others = [each.name for each in (earlier, run) if each.imported]
            if what and others:
                what = f"that of {' and '.join(others)} was computed by another program"
            if what:
                raise QbenchError(f"column `{name}` differs between {earlier.name} and {run.name}: {what}")


def _difference(one: PlannedMetric, other: PlannedMetric) -> str:
    """Say what differs between two metrics; empty if nothing does."""
    if one.metric != other.metric:
        return f"it is of metric `{one.metric}` in one, of `{other.metric}` in the other"
    if one.models != other.models:
        names = [", ".join(each.models) or "none" for each in (one, other)]
        return f"other models are behind it ({names[0]}; {names[1]})"
    left, right = dict(one.identity), dict(other.identity)
    for key in sorted({*left, *right}):
        if left.get(key) != right.get(key):
            return f"its {key} differ: {left.get(key)} and {right.get(key)}"
    return ""


def unlike_images(runs: Sequence[Run]) -> dict[str, list[str]]:
    """Say, run by run, why its values must not be set against the others' without care.

    Returns:
        Name of a run → what there is to say of it, where there is anything: that another program computed its values,
        or that images called alike have other pixels than in a run before it.
    """
    said: dict[str, list[str]] = {}
    known: dict[str, tuple[str, str]] = {}
    for run in runs if len(runs) > 1 else ():
        lines = said.setdefault(run.name, [])
        if run.imported:
            means = f"; its values are {run.averaging}" if run.averaging else ""
            lines.append(f"computed by another program, over other images{means}")
            continue
        others: dict[str, list[str]] = {}
        for image in run.plan.images:
            digest, where = known.setdefault(image.name, (image.sha256, run.name))
            if digest != image.sha256:
                others.setdefault(where, []).append(image.name)
        for where, names in others.items():
            shown = ", ".join(names[:MOST_NAMED]) + (" …" if len(names) > MOST_NAMED else "")
            lines.append(f"other pictures than {where} under the same name: {shown}")
    return {name: lines for name, lines in said.items() if lines}
