"""How tables and figures write what has no number of its own: directions, ranges, and values that are absent."""

from __future__ import annotations

from collections.abc import Sequence

from qbench.contracts.metric import Direction
from qbench.planning.types import OperatingPoint, PlannedMetric
from qbench.results.comparability import column_owners
from qbench.results.run import Run, Status

ARROWS = {Direction.HIGHER: "↑", Direction.LOWER: "↓"}
"""Beside a column's name: which end is better."""

LEGEND = "* best in its direction (↑ higher, ↓ lower is better)"

FEWER = "†"
"""Behind a mean over fewer images than others, which is compared with none."""
FEWER_LEGEND = "† over fewer images than others, and compared with none"

FEWER_VALUES = "in brackets: how many values, where not all cells have one"

ABSENT = {Status.FAILED: "failed", Status.NOT_APPLICABLE: "n/a", Status.SKIPPED: "–", Status.PENDING: "…"}
"""In place of a value that is not there."""


def written(run: Run, name: str) -> str:
    """Return a column's name as papers write it; where the suite has a label of its own for the metric, that."""
    owner, column = column_owners(run).get(name), run.columns[name]
    if not column.title:
        return name
    if owner is None or owner.label == owner.metric:
        return column.title
    if owner.label.startswith(f"{owner.metric}-"):  # with the network behind it: lpips-alex
        return f"{column.title} ({owner.label.removeprefix(f'{owner.metric}-')})"
    return name


def model_lines(run: Run, columns: Sequence[str] = ()) -> list[str]:
    """Name the models that codecs and metrics use, a line each: ``vit-score: name (what it is)``.

    Args:
        columns: that are shown; all by default.
    """
    metrics = [each for each in run.plan.metrics if not columns or set(each.column_ids()) & set(columns)]
    users: list[OperatingPoint | PlannedMetric] = [*run.plan.points, *metrics]
    lines = [f"{user.label}: {name} ({summary})" for user in users for name, summary in user.models.items()]
    return list(dict.fromkeys(lines))  # once for all operating points of a codec
