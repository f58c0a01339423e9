"""What a terminal shows of a run: means, what codecs save, what failed, and where the rest is."""

from __future__ import annotations

from collections.abc import Sequence, Sized

from rich.console import Console, RenderableType
from rich.text import Text

from qbench.errors import shown
from qbench.reporting.aggregate import (
    Group,
    Pools,
    fewer_images,
    fewer_values,
    group_rows,
    pooling,
    sort_groups,
)
from qbench.reporting.look import Look
from qbench.reporting.notation import FEWER_VALUES, LEGEND, model_lines
from qbench.reporting.originals import originals
from qbench.reporting.savings import Savings, savings_parts
from qbench.reporting.tables import cells_table, groups_table, main_table
from qbench.results.run import FailureNote, Run, Status

MOST_NAMES = 6

MOST_CELLS = 40
"""A longer list of cells is shown only to those who ask for it."""


LEGEND_TEXT = Text(LEGEND, "dim")


def overview(run: Run) -> Text:
    """Say what was run, and what was converted when the originals were read."""
    plan = run.plan
    text = Text()
    text.append(plan.suite, "bold")
    text.append(
        f" · {_count(plan.images, 'image')} × {_count(plan.points, 'operating point')} = {_count(plan.cells, 'cell')}"
    )
    text.append(f" · {_count(plan.metrics, 'metric')} · profile {plan.profile} · seed {plan.seed}")
    if plan.description:
        text.append(f"\n{plan.description.strip()}", "dim")
    read = originals(run)
    text.append(f"\n{read}", "yellow" if read.converted else "dim")
    for note, names in read.conversions.items():
        shown = ", ".join(names[:MOST_NAMES]) + (f" and {len(names) - MOST_NAMES} more" if names[MOST_NAMES:] else "")
        text.append(f"\n  {note} ({len(names)}): {shown}", "yellow")
    for remark in run.remarks:
        text.append(f"\n{remark}", "yellow")
    return text


def models_text(run: Run) -> Text:
    """Name the model behind each metric that uses one: its numbers mean nothing without."""
    return Text("\n".join(model_lines(run)), "dim")


def failures_text(run: Run, most: int = 10) -> Text:
    """List failures, a line for each cause, and what was not applicable, a line per reason."""
    text = Text()
    causes: dict[tuple[str, str], list[FailureNote]] = {}
    for note in run.failures:
        causes.setdefault((note.what, note.message), []).append(note)
    for (what, message), notes in list(causes.items())[:most]:
        where = f"{notes[0].image} · {notes[0].point}"
        where += f" and {len(notes) - 1} more" if len(notes) > 1 else ""
        text.append("failed", "bold red")
        text.append(f"  {where} · {what}: {message.splitlines()[0]}\n")
    if len(causes) > most:
        text.append(f"        and of {len(causes) - most} more causes; `qbench show {run.path} --failures` lists all\n")
    reasons: dict[tuple[str, str], int] = {}
    for row in run.rows:
        if row.status is Status.NOT_APPLICABLE:
            key = (row.codec, row.reason)
            reasons[key] = reasons.get(key, 0) + 1
        for name, entry in row.entries.items():
            if entry.status is Status.NOT_APPLICABLE:
                reasons[name, entry.reason] = reasons.get((name, entry.reason), 0) + 1
    for point, found in run.point_entries.items():
        for name, entry in found.items():
            if entry.status in (Status.NOT_APPLICABLE, Status.SKIPPED):
                reasons[name, f"{point}: {entry.reason}"] = 1
    for (name, reason), count in reasons.items():
        text.append("n/a", "yellow")
        text.append(f"     {name} ({count}×): {reason}\n")
    text.rstrip()
    return text


def print_run(
    console: Console, run: Run, look: Look | None = None, *, sort: str | None = None, found: Savings | None = None
) -> None:
    """Show a run: its cells if they are few, means by operating point, what codecs save, failures.

    Args:
        found: what codecs save, unless there is nothing to say of that.

    Raises:
        QbenchError: a column is not there. Nothing has been printed then.
    """
    look = look or Look()
    look.check(list(run.columns))
    few = run.plan.cells <= MOST_CELLS
    parts: list[RenderableType] = [overview(run), ""]
    if few or look.cells:
        parts.append(cells_table(run, look, sort, console.width))
    groups = sort_groups(run, group_rows(run, "point"), sort)
    if look.wide:
        table, hints = groups_table(run, groups, "point", look.columns, console.width, sections=sort is None), []
    else:
        table, left = main_table(run, groups, "point", look, console.width, sections=sort is None)
        hints = _hints(left)
    if not (few or look.cells):
        hints.append(f"{run.plan.cells} cells: qbench show {run.path} --cells lists them")
    parts += [table, *_below(run, groups, "point"), *(Text(shown(line), "dim") for line in hints)]
    if found is not None:
        parts.append("")
        parts += savings_parts(found, console.width)
    notes = failures_text(run)
    if notes:
        parts.append(notes)
    for part in parts:
        console.print(part)


def print_groups(
    console: Console, run: Run, look: Look | None = None, *, by: str, sort: str | None = None, ways: Pools | None = None
) -> None:
    """Show a summary by group, and what one must know to read it; pooled in the metrics' own ``ways``, if given.

    Raises:
        QbenchError: a column is not there, or no such grouping. Nothing has been printed then.
    """
    look = look or Look()
    look.check(list(run.columns))
    groups = sort_groups(run, group_rows(run, by, ways), sort)
    sections = by == "point" and sort is None
    left: list[str] = []
    if look.wide:
        table = groups_table(run, groups, by, look.columns, console.width, sections=sections)
    else:
        table, left = main_table(run, groups, by, look, console.width, sections=sections, deviations=True)
    fewer = any(fewer_values(run, group, name) for group in groups for name in run.columns if name not in left)
    hints = [FEWER_VALUES] * fewer + _hints(left)
    for part in (table, *_below(run, groups, by), *(Text(shown(line), "dim") for line in hints)):
        console.print(part)


def _hints(left: Sequence[str]) -> list[str]:
    """Say which columns there was no room for."""
    return [f"further columns: {', '.join(left)} (--wide shows all, --columns NAME,… some)"] if left else []


def _below(run: Run, groups: Sequence[Group], by: str) -> list[RenderableType]:
    """Return what one must know to read a table of groups."""
    below: list[RenderableType]
    below = [] if any(each.low is not None for group in groups for each in group.summaries.values()) else [LEGEND_TEXT]
    fewer = fewer_images(run, groups, by)
    if fewer:
        below.append(Text("\n".join(shown(line) for line in fewer), "yellow"))
    pooled = pooling(groups)
    if pooled:
        below.append(Text(f"pooled: {pooled}", "dim"))
    models = models_text(run)
    return [*below, *([models] if models else [])]


def _count(things: Sized | int, noun: str) -> str:
    number = things if isinstance(things, int) else len(things)
    return f"{number} {noun}{'' if number == 1 else 's'}"
