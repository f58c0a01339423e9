"""The list of runs, for a terminal; and what runs are called beside each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from qbench.errors import shown
from qbench.results.run import Run, Status

NUMBERS = ("images", "points", "metrics")
FIRST_LEFT_OUT = ("profile", "measured", "metrics", "points", "images")
"""Columns without which names and states still say what matters."""
PADDING = 2


def runs_table(runs: Sequence[Run], width: int) -> Table:
    """One row per run: when it was last measured, what it holds, and how far it is.

    In a narrow terminal some columns are left out, so that all others are whole; a long name is folded at the end.
    """
    columns: dict[str, list[Text]] = {
        "run": [Text(shown(run.name)) for run in runs],
        "measured": [Text(max((session.at for session in run.sessions), default="")[:10]) for run in runs],
        "images": [Text(str(len(run.plan.images))) for run in runs],
        "points": [Text(str(len(run.plan.points))) for run in runs],
        "metrics": [Text(str(len(run.plan.metrics))) for run in runs],
        "profile": [Text(shown(run.plan.profile)) for run in runs],
        "state": [_state(run) for run in runs],
    }
    for name in FIRST_LEFT_OUT:
        if sum(_width(heading, cells) for heading, cells in columns.items()) <= width:
            break
        del columns[name]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in columns:
        table.add_column(
            heading, justify="right" if heading in NUMBERS else "left", no_wrap=heading in NUMBERS, overflow="fold"
        )
    for row in zip(*columns.values(), strict=True):
        table.add_row(*row)
    return table


def _width(heading: str, cells: Sequence[Text]) -> int:
    return max(cell_len(heading), *(cell.cell_len for cell in cells)) + PADDING


def _state(run: Run) -> Text:
    done = sum(row.status is not Status.PENDING for row in run.rows)
    if not run.complete:
        left = f"{done} of {len(run.rows)} cells" if done < len(run.rows) else "some scores missing"
        return Text(f"stopped, {left}", "yellow")
    if run.failures:
        return Text(f"{len(run.failures)} failed", "red")
    return Text("complete", "green")


def told_apart(runs: Sequence[Run]) -> list[str]:
    """Return the names of runs; where several have one name, as much of the path as tells them apart, or a number."""
    paths = [run.path.resolve() for run in runs]
    names = []
    for run, path in zip(runs, paths, strict=True):
        others = [other.parts for other in paths if other.name == path.name and other != path]
        parts = path.parts
        depth = next(
            (depth for depth in range(1, len(parts)) if all(parts[-depth:] != each[-depth:] for each in others)), 1
        )
        names.append(run.name if depth == 1 else "/".join(parts[-depth:]))
    used: Counter[str] = Counter()
    for place, name in enumerate(names):
        used[name] += 1
        if used[name] > 1:
            names[place] = f"{name} ({used[name]})"
    return names
