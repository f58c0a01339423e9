"""How tables and figures write what has no number of its own: directions, ranges, and values that are absent."""

from __future__ import annotations

from qbench.contracts.metric import Column, Direction
from qbench.results.run import Status

ARROWS = {Direction.HIGHER: "↑", Direction.LOWER: "↓"}
"""Beside a column's name: which end is better."""

LEGEND = "* best in its direction (↑ higher, ↓ lower is better)"

ABSENT = {Status.FAILED: "failed", Status.NOT_APPLICABLE: "n/a", Status.SKIPPED: "–", Status.PENDING: "…"}
"""In place of a value that is not there."""


def range_text(column: Column) -> str:
    """Return a column's range: ``0 to 1``, ``-∞ to ∞``."""
    low = "-∞" if column.lower is None else f"{column.lower:g}"
    high = "∞" if column.upper is None else f"{column.upper:g}"
    return f"{low} to {high}"
