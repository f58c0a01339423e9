"""Tables for a terminal."""

from __future__ import annotations

import re
from collections.abc import Sequence, Sized
from dataclasses import dataclass

from rich import box
from rich.console import Console, RenderableType
from rich.console import Group as Stack
from rich.table import Table
from rich.text import Text

from qbench.contracts.metric import Column
from qbench.errors import shown
from qbench.reporting.aggregate import (
    Group,
    Pools,
    best,
    best_of,
    fewer_images,
    format_value,
    group_rows,
    marked,
    mean_text,
    model_lines,
    pooling,
    sort_groups,
    sort_rows,
)
from qbench.reporting.costs import Sheet
from qbench.reporting.notation import ABSENT, ARROWS, FEWER, LEGEND
from qbench.reporting.originals import originals
from qbench.results.run import Entry, Row, Run, Status

HEADING_WIDTH = 12

MOST_NAMES = 6

MOST_CELLS = 200
"""A longer list of cells is shown only to those who ask for it."""

LEGEND_TEXT = Text(LEGEND, "dim")

STYLES = {
    Status.FAILED: "bold red",
    Status.NOT_APPLICABLE: "yellow",
    Status.SKIPPED: "dim",
    Status.PENDING: "dim",
}


@dataclass(frozen=True)
class _Field:
    heading: str
    cells: list[Text]
    justify: str = "right"

    def __post_init__(self) -> None:
        """Escape names before they are measured."""
        self.cells[:] = [
            cell if cell.plain.isprintable() else Text(shown(cell.plain), cell.style) for cell in self.cells
        ]

    @property
    def width(self) -> int:
        """Columns of the terminal that it takes, with its padding."""
        lines = [line for cell in self.cells for line in cell.plain.split("\n")]
        return max(len(line) for line in (*lines, *self.heading.split("\n"))) + 3


def cells_table(run: Run, sort: str | None, width: int) -> RenderableType:
    """One row per image and operating point, like the thesis's Table 3.5; the best of each image is marked."""
    rows = sort_rows(run, sort)
    sections = [index for index in range(1, len(rows)) if rows[index].image != rows[index - 1].image]
    keys = [
        _Field("image", _once([row.image for row in rows]), "left"),
        _Field("operating point", [_point_text(row) for row in rows], "left"),
    ]
    fields = []
    for name, column in run.cell_columns.items():
        finest = {
            image.name: best([row.entries[name].value for row in rows if row.image == image.name], column)
            for image in run.plan.images
        }
        cells = [_entry_text(row.entries[name], column, finest[row.image]) for row in rows]
        fields.append(_Field(_heading(name, column), cells))
    return _blocks("Cells", keys, fields, width, sections if sort is None else [])


def groups_table(run: Run, groups: Sequence[Group], by: str, sort: str | None, width: int) -> RenderableType:
    """One row per group: mean ± standard deviation of every column, and how many cells have no value."""
    keys = [_Field({"point": "operating point"}.get(by, by), [Text(group.key) for group in groups], "left")]
    fields = []
    for name, column in run.columns.items():
        finest, apart = best_of(groups, name, column), marked(groups, name, by)
        cells = []
        for group in groups:
            summary = group.summaries[name]
            text = Text("–", "dim")
            if summary.mean is not None:
                text = _value_text(summary.mean, column, None if group.key in apart else finest)
            elif summary.low is not None:
                text = Text(f"{mean_text(summary, column)} ")
            if group.key in apart:
                text = Text(f"{text.plain.rstrip()}{FEWER}")
            if summary.deviation is not None:
                text.append(f"± {format_value(summary.deviation, column)}", "dim")
            cells.append(text)
        pooled = any(group.summaries[name].pooling for group in groups)
        fields.append(_Field(_heading(name, column) + ("\npooled" if pooled else ""), cells))
    fields.append(_Field("cells", [Text(str(group.cells)) for group in groups]))
    for status, heading in ((Status.FAILED, "failed"), (Status.NOT_APPLICABLE, "n/a"), (Status.PENDING, "pending")):
        numbers = [group.without[status] for group in groups]
        if any(numbers):
            fields.append(
                _Field(heading, [Text(str(number), STYLES[status] if number else "dim") for number in numbers])
            )
    # Operating points stand together by codec.
    labels = [group.key.partition(":")[0] if by == "point" else "" for group in groups]
    sections = [index for index in range(1, len(groups)) if labels[index] != labels[index - 1] and sort is None]
    ranges = any(summary.low is not None for group in groups for summary in group.summaries.values())
    title = "Least and greatest mean of its operating points" if ranges else "Mean ± standard deviation"
    return _blocks(
        f"{title}, by {keys[0].heading}" if ranges else f"{title} by {keys[0].heading}", keys, fields, width, sections
    )


def sheet_table(sheet: Sheet, width: int) -> RenderableType:
    """A sheet for the terminal; text stands on the left, numbers on the right."""
    columns = [_column(sheet, index) for index in range(len(sheet.headings))]
    return _blocks(sheet.title, columns[:1], columns[1:], width, [])


def _column(sheet: Sheet, index: int) -> _Field:
    heading = sheet.headings[index].replace(" ", "\n", 1) if index else sheet.headings[index]
    return _Field(heading, [Text(line[index]) for line in sheet.lines], "left" if sheet.left[index] else "right")


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
    """List failures, a line each, and what was not applicable, a line per reason."""
    text = Text()
    for note in run.failures[:most]:
        text.append("failed", "bold red")
        text.append(f"  {note.image} · {note.point} · {note.what}: {note.message.splitlines()[0]}\n")
    if len(run.failures) > most:
        text.append(f"        and {len(run.failures) - most} more; `qbench show {run.path} --failures` lists all\n")
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


# -- layout -------------------------------------------------------------------------------------------------------


def _blocks(title: str, keys: list[_Field], fields: list[_Field], width: int, sections: list[int]) -> RenderableType:
    """Lay fields out beside the keys; what doesn't fit in the terminal goes into further tables below."""
    room = width - sum(field.width for field in keys) - 2
    blocks: list[list[_Field]] = [[]]
    used = 0
    for field in fields:
        if blocks[-1] and used + field.width > room:
            blocks.append([])
            used = 0
        blocks[-1].append(field)
        used += field.width
    tables = []
    for number, block in enumerate(blocks):
        table = Table(
            title=title if number == 0 else None,
            title_justify="left",
            title_style="bold",
            box=box.SIMPLE_HEAD,
            pad_edge=False,
        )
        tallest = max(field.heading.count("\n") for field in (*keys, *block))
        for field in (*keys, *block):
            heading = "\n" * (tallest - field.heading.count("\n")) + field.heading  # headings stand on the rule
            overflow = "fold" if field in keys else "ellipsis"
            no_wrap = field not in keys and field.justify == "right"
            table.add_column(Text(heading), justify=field.justify, overflow=overflow, no_wrap=no_wrap)  # type: ignore[arg-type]
        for index in range(len(keys[0].cells)):
            table.add_row(*(field.cells[index] for field in (*keys, *block)), end_section=index + 1 in sections)
        tables.append(table)
    return Stack(*tables)


def _heading(name: str, column: Column) -> str:
    arrow = ARROWS[column.direction]
    unit = f" {column.unit}" if column.unit else ""
    return f"{_broken(name)}\n{arrow}{unit}"


def _broken(name: str) -> str:
    """Break a long name after its hyphens and before its dots, so that a column is not wider than it need be."""
    lines = [""]
    for part in re.split(r"(?<=-)|(?=\.)", name):
        if lines[-1] and len(lines[-1]) + len(part) > HEADING_WIDTH:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def _once(names: list[str]) -> list[Text]:
    """Show a name only in the first of consecutive rows that share it."""
    return [Text("" if index and names[index - 1] == name else name) for index, name in enumerate(names)]


def _point_text(row: Row) -> Text:
    text = Text(row.point)
    if row.status in (Status.FAILED, Status.NOT_APPLICABLE):
        mark, style = ABSENT[row.status], STYLES[row.status]
        text.append(f" {mark}", style)
    return text


def _entry_text(entry: Entry, column: Column, finest: float | None) -> Text:
    if entry.value is None:
        mark, style = ABSENT[entry.status], STYLES[entry.status]
        return Text(mark + " ", style)
    return _value_text(entry.value, column, finest)


def _value_text(value: float | None, column: Column, finest: float | None) -> Text:
    is_best = finest is not None and value == finest
    # Not by colour alone: the mark is in plain text, too.
    # A blank where others have the mark keeps the decimals in line.
    return Text(format_value(value, column) + ("*" if is_best else " "), "bold green" if is_best else "")


def _count(things: Sized | int, noun: str) -> str:
    number = things if isinstance(things, int) else len(things)
    return f"{number} {noun}{'' if number == 1 else 's'}"


def print_run(console: Console, run: Run, *, by: str = "point", sort: str | None = None, cells: bool = False) -> None:
    """Show a run: its cells, a summary by group, failures. Nothing is printed if a column or grouping is wrong."""
    few = run.plan.cells <= MOST_CELLS
    parts: list[RenderableType] = [overview(run), ""]
    if not few and not cells:
        parts.append(Text(f"{run.plan.cells} cells; `qbench show {run.path} --cells` lists them all\n", "dim"))
    if few or cells:
        parts.append(cells_table(run, sort, console.width))
    parts.extend(_groups(run, by, sort, console.width))
    notes = failures_text(run)
    if notes:
        parts.append(notes)
    for part in parts:
        console.print(part)


def print_groups(console: Console, run: Run, *, by: str, sort: str | None = None, ways: Pools | None = None) -> None:
    """Show a summary by group, and what one must know to read it; pooled in the metrics' own ``ways``, if given."""
    for part in _groups(run, by, sort, console.width, ways):
        console.print(part)


def _groups(run: Run, by: str, sort: str | None, width: int, ways: Pools | None = None) -> list[RenderableType]:
    groups = sort_groups(run, group_rows(run, by, ways), sort)
    below = [] if any(each.low is not None for group in groups for each in group.summaries.values()) else [LEGEND_TEXT]
    fewer = fewer_images(run, groups, by)
    if fewer:
        below.append(Text("\n".join(shown(line) for line in fewer), "yellow"))
    pooled = pooling(groups)
    if pooled:
        below.append(Text(f"pooled: {pooled}", "dim"))
    models = models_text(run)
    return [groups_table(run, groups, by, sort, width), *below, *([models] if models else [])]
