"""Tables for a terminal."""

from __future__ import annotations

import re
from collections.abc import Sequence
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
    best,
    best_of,
    fewer_values,
    format_value,
    marked,
    mean_text,
    sort_rows,
)
from qbench.reporting.costs import Sheet
from qbench.reporting.curves import main_columns
from qbench.reporting.look import Look
from qbench.reporting.notation import ABSENT, ARROWS, FEWER
from qbench.results.run import Entry, Row, Run, Status

HEADING_WIDTH = 12
HEADINGS = {"point": "operating point"}
"""Of the column of groups, where it is not the grouping's name."""
LEAST_NAME = 24
"""Characters of a name that are always shown."""
NARROWEST = 8
"""Characters that a column beside the names takes at least."""

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
    broken: bool = False
    """Whether cells may have several lines; names have one."""

    def __post_init__(self) -> None:
        """Escape names before they are measured."""
        for index, cell in enumerate(self.cells):
            lines = cell.plain.split("\n") if self.broken else [cell.plain]
            if not all(line.isprintable() for line in lines):
                self.cells[index] = Text("\n".join(map(shown, lines)), cell.style)

    @property
    def width(self) -> int:
        """Columns of the terminal that it takes, with its padding."""
        lines = [line for cell in self.cells for line in cell.plain.split("\n")]
        return max(len(line) for line in (*lines, *self.heading.split("\n"))) + 3


def cells_table(run: Run, look: Look, sort: str | None, width: int) -> RenderableType:
    """One row per image and operating point, like the thesis's Table 3.5; the best of each image is marked."""
    rows = sort_rows(run, sort)
    sections = [index for index in range(1, len(rows)) if rows[index].image != rows[index - 1].image]
    keys = [
        _Field("image", _once([row.image for row in rows]), "left"),
        _Field("operating point", [_point_text(row) for row in rows], "left"),
    ]
    fields = []
    for name, column in run.cell_columns.items():
        if look.columns and name not in look.columns:
            continue
        finest = {
            image.name: best([row.entries[name].value for row in rows if row.image == image.name], column)
            for image in run.plan.images
        }
        cells = [_entry_text(row.entries[name], column, finest[row.image]) for row in rows]
        fields.append(_Field(_heading(name, column), cells))
    return _blocks("Cells", keys, fields, width, sections if sort is None else [])


def main_table(
    run: Run, groups: Sequence[Group], by: str, look: Look, width: int, *, sections: bool, deviations: bool = False
) -> tuple[RenderableType, list[str]]:
    """One row per group, the mean of every main column that fits; and the columns that are left out."""
    keys = [_Field(HEADINGS.get(by, by), [Text(_short(group.key, width)) for group in groups], "left")]
    rates = [name for name in run.columns if name in run.rate_columns]
    wanted = list(dict.fromkeys([*rates[:1], *(look.columns or [*main_columns(run), *rates[1:]])]))
    fields = {name: _mean_field(run, groups, name, by, deviations=deviations) for name in wanted}
    numbers = [*([_cells(groups)] if deviations else []), *_numbers(groups)]
    room = width - 2 - sum(field.width for field in (*keys, *numbers))
    kept: list[_Field] = []
    for field in fields.values():
        if look.columns or not kept or sum(each.width for each in (*kept, field)) <= room:
            kept.append(field)
    left = [name for name in run.columns if name not in fields or fields[name] not in kept]
    title = _title(groups, by) if deviations else "Means by operating point"
    return _blocks(title, keys, [*kept, *numbers], width, _sections(groups) if sections else []), left


def _short(name: str, width: int) -> str:
    """Return a name without its middle, where that would leave no room for values: settings stand at the end."""
    most = max(LEAST_NAME, width // 2)
    if len(name) <= most:
        return name
    return f"{name[: most // 2 - 1]}…{name[-(most - most // 2) :]}"


def _title(groups: Sequence[Group], by: str) -> str:
    ranges = any(summary.low is not None for group in groups for summary in group.summaries.values())
    heading = HEADINGS.get(by, by)
    if ranges:
        return f"Least and greatest mean of its operating points, by {heading}"
    return f"Mean ± standard deviation by {heading}"


def _cells(groups: Sequence[Group]) -> _Field:
    return _Field("cells", [Text(str(group.cells)) for group in groups])


def _mean_field(run: Run, groups: Sequence[Group], name: str, by: str, *, deviations: bool) -> _Field:
    pooled = any(group.summaries[name].pooling for group in groups)
    heading = _heading(name, run.columns[name]) + ("\npooled" if pooled else "")
    return _Field(heading, _means(run, groups, name, by, deviations=deviations))


def _means(run: Run, groups: Sequence[Group], name: str, by: str, *, deviations: bool = False) -> list[Text]:
    """Return a column's means; the best of those that can be compared is marked, and so are those that can't."""
    column = run.columns[name]
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
        if deviations and summary.deviation is not None:
            text.append(f"± {format_value(summary.deviation, column)}", "dim")
        if deviations and fewer_values(run, group, name):
            text.append(f" ({summary.count})", "dim")
        cells.append(text)
    return cells


def _numbers(groups: Sequence[Group]) -> list[_Field]:
    """Return how many cells have no value, as far as there are any."""
    fields = []
    for status, heading in ((Status.FAILED, "failed"), (Status.NOT_APPLICABLE, "n/a"), (Status.PENDING, "pending")):
        numbers = [group.without[status] for group in groups]
        if any(numbers):
            fields.append(
                _Field(heading, [Text(str(number), STYLES[status] if number else "dim") for number in numbers])
            )
    return fields


def _sections(groups: Sequence[Group]) -> list[int]:
    """Return where another codec's operating points begin."""
    labels = [group.key.partition(":")[0] for group in groups]
    return [index for index in range(1, len(groups)) if labels[index] != labels[index - 1]]


def groups_table(
    run: Run, groups: Sequence[Group], by: str, columns: Sequence[str], width: int, *, sections: bool
) -> RenderableType:
    """One row per group: mean ± standard deviation of columns (all by default), and how many cells have no value."""
    keys = [_Field(HEADINGS.get(by, by), [Text(group.key) for group in groups], "left")]
    names = [name for name in run.columns if not columns or name in columns]
    fields = [_mean_field(run, groups, name, by, deviations=True) for name in names]
    fields += [_cells(groups), *_numbers(groups)]
    return _blocks(_title(groups, by), keys, fields, width, _sections(groups) if sections else [])


def sheet_table(sheet: Sheet, width: int) -> RenderableType:
    """A sheet for the terminal; text stands on the left, numbers on the right."""
    columns = [_column(sheet, index) for index in range(len(sheet.headings))]
    return _blocks(sheet.title, columns[:1], columns[1:], width, [])


def print_sheet(console: Console, sheet: Sheet, words: Sequence[str] = ()) -> None:
    """Show a sheet, what must be read with it, and what it says in words."""
    if sheet.lines:
        console.print(sheet_table(sheet, console.width))
    for line in sheet.notes:
        console.print(Text(shown(line), "dim"))
    for line in words:
        console.print(Text(shown(line)))


def _column(sheet: Sheet, index: int) -> _Field:
    heading = sheet.headings[index].replace(" ", "\n", 1) if index else sheet.headings[index]
    return _Field(
        heading, [Text(line[index]) for line in sheet.lines], "left" if sheet.left[index] else "right", bool(index)
    )


# -- layout -------------------------------------------------------------------------------------------------------


def _blocks(title: str, keys: list[_Field], fields: list[_Field], width: int, sections: list[int]) -> RenderableType:
    """Lay fields out beside the keys; what doesn't fit in the terminal goes into further tables below."""
    room = width - sum(field.width for field in keys) - 2
    names_fit = room > NARROWEST
    blocks: list[list[_Field]] = [[]]
    used = 0
    for field in fields:
        if blocks[-1] and used + field.width > room:
            blocks.append([])
            used = 0
        blocks[-1].append(field)
        used += field.width
    tables = []
    for block in blocks:
        table = Table(
            box=box.SIMPLE_HEAD,
            pad_edge=False,
        )
        tallest = max(field.heading.count("\n") for field in (*keys, *block))
        for field in (*keys, *block):
            heading = "\n" * (tallest - field.heading.count("\n")) + field.heading  # headings stand on the rule
            overflow = "fold" if field in keys else "ellipsis"
            # A name is broken only where names alone are wider than the terminal.
            no_wrap = names_fit if field in keys else field.justify == "right"
            table.add_column(Text(heading), justify=field.justify, overflow=overflow, no_wrap=no_wrap)  # type: ignore[arg-type]
        for index in range(len(keys[0].cells)):
            table.add_row(*(field.cells[index] for field in (*keys, *block)), end_section=index + 1 in sections)
        tables.append(table)
    return Stack(Text(title, "bold"), *tables)  # above them: a table's own title is broken where that is narrow


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
    if row.cell is not None and row.cell.found is not None:
        found = row.cell.found
        text.append(f" ({found.parameter} {found.value:g})", "dim")
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
