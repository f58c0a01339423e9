"""How tables and figures write what has no number of its own: directions, ranges, and values that are absent."""

from __future__ import annotations

from qbench.contracts.metric import Direction
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
    return column.title if column.title and (owner is None or owner.label == owner.metric) else name
