"""Measurements of pairs of images as people and programs read them, and conditions on them for CI."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from qbench.contracts.metric import Column
from qbench.errors import QbenchError, did_you_mean
from qbench.reporting.aggregate import format_value
from qbench.reporting.costs import Sheet
from qbench.reporting.notation import ARROWS

SIGNS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
FORM = re.compile(r"\s*(\S+?)\s*(<=|>=|<|>)\s*(-?[0-9.]+(?:e-?[0-9]+)?)\s*", re.IGNORECASE)


class Line(Protocol):
    """The values of a pair or of a set."""

    @property
    def name(self) -> str:
        """Of the image."""

    @property
    def reference(self) -> str:
        """What it is compared with."""

    @property
    def distorted(self) -> str:
        """The file, or the folder."""

    @property
    def values(self) -> Mapping[str, float | None]:
        """Column → value."""

    @property
    def reasons(self) -> Mapping[str, str]:
        """Column → why there is none."""


def measurement_sheet(columns: Mapping[str, Column], rows: Sequence[Line], means: Sequence[Line]) -> Sheet:
    """Return the table: a line for each pair, then for each set, then means."""
    lines: list[tuple[str, ...]] = []
    records: list[dict[str, Any]] = []
    references = {row.reference for row in rows}
    for row in (*rows, *means):
        cells = [format_value(row.values.get(name), column) or "–" for name, column in columns.items()]
        lines.append((row.distorted if row.distorted.endswith(row.name) or not row.name else _called(row), *cells))
        records.append(
            {"reference": row.reference, "distorted": row.distorted, "image": row.name}
            | {name: row.values.get(name) for name in columns}
        )
    headings = ("distorted", *(f"{name} {ARROWS[column.direction]}" for name, column in columns.items()))
    reasons = {
        f"– {name}: {row.reasons[name]}": None for row in rows for name in row.reasons if row.values.get(name) is None
    }
    title = f"Against {references.pop()}" if len(references) == 1 else "Pairs of images"
    return Sheet(title, headings, lines, records, tuple(reasons))


def _called(row: Line) -> str:
    if row.name in row.distorted:
        return row.distorted
    return f"{row.distorted}: {row.name}"


@dataclass(frozen=True)
class Threshold:
    """A condition that fails: ``ssim < 0.95``."""

    text: str
    column: str
    sign: str
    number: float


def parse_threshold(text: str, columns: Sequence[str]) -> Threshold:
    """Read a condition.

    Raises:
        QbenchError: not of the form, or of a column that is not measured.
    """
    found = FORM.fullmatch(text)
    try:
        number = float(found[3]) if found is not None else math.nan
    except ValueError:
        number = math.nan
    if found is None or math.isnan(number):
        raise QbenchError(f"`{text}` is not a valid condition; accepted: COLUMN <, <=, > or >= NUMBER, as ssim < 0.95")
    if found[1] not in columns:
        near = did_you_mean(found[1], columns)
        raise QbenchError(f"`{text}`: no column `{found[1]}`{near} (measured: {', '.join(columns)})")
    return Threshold(text, found[1], found[2], number)


def violations(threshold: Threshold, rows: Sequence[Line]) -> list[str]:
    """Say of which pairs a condition holds, or can't be judged."""
    told = []
    there = False
    for row in rows:
        if threshold.column not in row.values:
            continue  # another kind of row has it
        there = True
        value = row.values[threshold.column]
        if value is None:
            told.append(f"{_called(row)}: can't be judged: {row.reasons.get(threshold.column, 'no value')}")
        elif SIGNS[threshold.sign](value, threshold.number):
            told.append(f"{_called(row)}: {threshold.column} is {value:.6g}")
    return told if there else [f"can't be judged: nothing has a value of {threshold.column}"]
