"""The list of runs, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from qbench.results.run import Run, Status


def runs_table(runs: Sequence[Run]) -> Table:
    """One row per run: when it was last measured, what it holds, and how far it is."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("run", "measured", "images", "points", "metrics", "profile", "state"):
        table.add_column(
            heading,
            justify="right" if heading in ("images", "points", "metrics") else "left",
            no_wrap=heading != "state",
            overflow="fold",
        )
    for run in runs:
        measured = max((session.at for session in run.sessions), default="")  # others may be the cache's
        plan = run.plan
        counts = (str(len(each)) for each in (plan.images, plan.points, plan.metrics))
        table.add_row(Text(run.name), measured[:10], *counts, Text(plan.profile), _state(run))
    return table


def _state(run: Run) -> Text:
    done = sum(row.status is not Status.PENDING for row in run.rows)
    if not run.complete:
        return Text(f"stopped, {done} of {len(run.rows)} cells", "yellow")
    if run.failures:
        return Text(f"{len(run.failures)} failed", "red")
    return Text("complete", "green")
