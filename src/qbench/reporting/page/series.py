"""Artifacts that are series of numbers, such as a loss by iteration: CSV that the page draws as a curve."""

from __future__ import annotations

import csv
import io
import math
from typing import Any

MOST_ROWS = 1000


def read_series(data: bytes) -> dict[str, Any] | None:
    """Return columns' names and rows of finite numbers; None if the file is no such series.

    Of a longer file rows are left out evenly: a curve of a thousand points shows what one of more would.
    """
    try:
        rows = list(csv.reader(io.StringIO(data.decode("utf-8"))))
        names, numbers = rows[0], [[float(value) for value in row] for row in rows[1:] if row]
    except (UnicodeDecodeError, csv.Error, ValueError, IndexError):
        return None
    numbers = [row for row in numbers if len(row) == len(names) and all(math.isfinite(value) for value in row)]
    if len(names) < 2 or len(numbers) < 2:
        return None
    step = -(-len(numbers) // MOST_ROWS)
    return {"columns": names, "rows": numbers[::step]}
