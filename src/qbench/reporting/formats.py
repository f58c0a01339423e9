"""Tables as text for other programs and for papers: Markdown, LaTeX, CSV, JSON, Parquet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qbench.contracts.metric import Column, Direction
from qbench.errors import QbenchError, shown
from qbench.markup import escape_html, html_table
from qbench.records import plain_number
from qbench.reporting.aggregate import (
    Pools,
    best,
    best_of,
    fewer_images,
    fewer_values,
    format_value,
    group_rows,
    marked,
    mean_text,
    pooling,
    sort_groups,
    sort_rows,
)
from qbench.reporting.costs import Sheet
from qbench.reporting.notation import ABSENT, ARROWS, FEWER, FEWER_VALUES, model_lines, written
from qbench.reporting.originals import originals_content
from qbench.results.run import Run, Status
from qbench.toolkit.files import writing

TEXT_FORMATS = ("markdown", "latex", "html", "csv", "json")
FORMATS = ("table", *TEXT_FORMATS, "parquet")
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a cell begins with that spreadsheets compute."""
TROUBLES = {Status.FAILED: "failed", Status.NOT_APPLICABLE: "n/a", Status.PENDING: "pending"}
"""Numbers of cells without a value, which have columns where there are any."""
DAGGER = r"$^\dagger$"
LATEX_ARROWS = {Direction.HIGHER: r"$\uparrow$", Direction.LOWER: r"$\downarrow$"}


@dataclass(frozen=True)
class View:
    """What of a run is written: its cells, a summary by group, or another table.

    Attributes:
        by: what to group cells by; None lists them.
        sort: column to sort by; None leaves the suite's order.
        ways: the metrics' own ways to aggregate, where means are not wanted.
        sheet: a table to write in place of scores.
        columns: names of those to write; all by default.
    """

    by: str | None = None
    sort: str | None = None
    ways: Pools | None = None
    sheet: Sheet | None = None
    columns: tuple[str, ...] = ()

    def chosen(self, columns: Mapping[str, Column]) -> dict[str, Column]:
        """Return those of a run's columns that are written, in the order asked for."""
        names = [name for name in self.columns if name in columns] if self.columns else list(columns)
        return {name: columns[name] for name in names}


def write_text(run: Run, form: str, view: View) -> str:
    """Write a table in one of :data:`TEXT_FORMATS`."""
    if form in ("csv", "json"):
        records = _flat(run, view)
        return csv_text(_with_origin(run, records)) if form == "csv" else _json(run, records)
    if view.sheet is not None:
        return sheet_text(view.sheet, form, run.name)
    header, body, notes = _typeset(run, view, form)
    read_with_it = list(notes)
    left = [True, view.by is None, *[False] * (len(header) - 2)]
    notes += model_lines(run, view.columns)
    if form == "latex":
        return "".join(f"% {_one_line(line)}\n" for line in notes) + _latex(run.name, header, body, left, read_with_it)
    if form == "html":
        return html_table(header, body, left, notes)
    return _markdown(header, body, left) + "".join(f"\n{escape_markdown(line)}\n" for line in notes)


def sheet_text(sheet: Sheet, form: str, name: str = "") -> str:
    """Write a sheet in one of :data:`TEXT_FORMATS`.

    Args:
        name: of the run, for a comment.
    """
    if form == "csv":
        return csv_text(sheet.records)
    if form == "json":
        rows = [
            {key: plain_number(value) if isinstance(value, float) else value for key, value in record.items()}
            for record in sheet.records
        ]
        return (
            json.dumps({"title": sheet.title, "notes": sheet.notes, "rows": rows}, indent=1, ensure_ascii=False) + "\n"
        )
    escape = ESCAPES[form]
    header = [escape(heading) for heading in sheet.headings]
    body = [[escape(value) for value in line] for line in sheet.lines]
    if form == "latex":
        return _latex(name or sheet.title, header, body, sheet.left, sheet.notes)
    if form == "html":
        return html_table(header, body, sheet.left, sheet.notes, sheet.title)
    return _markdown(header, body, sheet.left) + "".join(f"\n{escape_markdown(line)}\n" for line in sheet.notes)


def write_parquet(run: Run, path: Path, view: View) -> None:
    """Write a Parquet file.

    Raises:
        QbenchError: pyarrow is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise QbenchError("the parquet format needs pyarrow: pip install 'qbench[parquet]'") from error
    with writing(path) as temporary:
        pyarrow.parquet.write_table(
            pyarrow.Table.from_pylist(_with_origin(run, _flat(run, view, whole=True))), temporary
        )


def _flat(run: Run, view: View, *, whole: bool = False) -> list[dict[str, Any]]:
    """Return records with the same keys in each."""
    if view.sheet is not None:
        records = view.sheet.records
    elif view.by is None:
        place = {(row.image, row.point): index for index, row in enumerate(sort_rows(run, view.sort))}
        records = sorted(run.records(), key=lambda record: place[record["image"], record["point"]])
        dropped = {name for name in run.columns if view.columns and name not in view.columns}
        dropped |= {f"{name}.{more}" for name in dropped for more in ("status", "reason")}
        records = [{key: value for key, value in record.items() if key not in dropped} for record in records]
    else:
        records = []
        for group in sort_groups(run, group_rows(run, view.by, view.ways), view.sort):
            record: dict[str, Any] = {view.by: group.key, "cells": group.cells}
            record |= {"bitstream_bytes": group.size, "pixels": group.pixels}
            record |= {str(status): count for status, count in group.without.items()}
            record["codec_version"] = "; ".join(group.versions)
            for name in view.chosen(run.columns):
                summary = group.summaries[name]
                record |= {name: summary.mean, f"{name}.std": summary.deviation, f"{name}.count": summary.count}
                record |= {} if summary.low is None else {f"{name}.min": summary.low, f"{name}.max": summary.high}
                without = [image.name for image in run.plan.images if image.name not in summary.images]
                if without and summary.count and view.by != "image":
                    record[f"{name}.without"] = ", ".join(without)
                record |= {f"{name}.pooling": summary.pooling} if summary.pooling else {}
            records.append(record)
    keys = list(dict.fromkeys(key for record in records for key in record))
    if whole:  # Parquet columns have one type; codecs' parameters need not
        mixed = {
            key for key in keys if len({type(record[key]) for record in records if record.get(key) is not None}) > 1
        }
        records = [
            {key: str(value) if key in mixed and value is not None else value for key, value in record.items()}
            for record in records
        ]
    return [{key: record.get(key) for key in keys} for record in records]


def csv_text(records: Sequence[Mapping[str, Any]]) -> str:
    """Write records of the same keys as CSV (RFC 4180).

    A text that a spreadsheet would take for a formula gets an apostrophe in front, as names are anybody's; JSON has
    them as they are.
    """
    rows = [[_no_formula(key) for key in (records[0] if records else [])]]
    rows += [[_no_formula(value) for value in record.values()] for record in records]
    return "".join(_csv_line(row) for row in rows)


def _csv_line(row: Sequence[object]) -> str:
    """Return a line; a carriage return in a field is quoted as well as a line feed, for it ends a row for readers."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(row)
    return text.getvalue().removesuffix("\r\n") + "\n"


def _no_formula(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def _json(run: Run, records: Sequence[dict[str, Any]]) -> str:
    columns = {
        name: {
            "direction": column.direction.value,
            "unit": column.unit,
            "range": [column.lower, column.upper],
        }
        for name, column in run.columns.items()
    }
    models = {
        user.label: {name: {"summary": summary, "sha256": user.weights[name]} for name, summary in user.models.items()}
        for user in run.plan.participants
        if user.models
    }
    rows = [
        {key: plain_number(value) if isinstance(value, float) else value for key, value in record.items()}
        for record in records
    ]
    return (
        json.dumps(
            {
                **run.origin(),
                "suite": run.plan.suite,
                "averaging": run.averaging,
                "originals": originals_content(run),
                "columns": columns,
                "models": models,
                "rows": rows,
            },
            indent=1,
            ensure_ascii=False,
        )
        + "\n"
    )


def _with_origin(run: Run, records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Add what a table that is copied elsewhere would lose: which run it is of, and where that was measured."""
    origin = run.origin()
    return [{**{key: value for key, value in origin.items() if key not in record}, **record} for record in records]


def _typeset(run: Run, view: View, form: str) -> tuple[list[str], list[list[str]], list[str]]:
    """Return header, cells as people read them, and notes; the best value of an image, or of groups that can be
    compared, is emphasised."""
    by, latex, escape = view.by, form == "latex", ESCAPES[form]
    columns = view.chosen(run.cell_columns if by is None else run.columns)

    def typed(text: str) -> str:
        return text.replace("∞", r"$\infty$").replace("±", r"$\pm$") if latex else text

    def number(value: float | None, name: str, finest: float | None) -> str:
        text = typed(format_value(value, run.columns[name]))
        return STRONG[form] % text if finest is not None and value == finest else text

    names = [_typeset_name(run, name, latex=latex) for name in columns]
    body = []
    if by is None:
        finest = {
            (image.name, name): best([row.entries[name].value for row in run.rows if row.image == image.name], column)
            for image in run.plan.images
            for name, column in columns.items()
        }
        for row in sort_rows(run, view.sort):
            cells = [
                number(row.entries[name].value, name, finest[row.image, name])
                if row.entries[name].value is not None
                else escape(ABSENT[row.entries[name].status])
                for name in columns
            ]
            body.append([escape(row.image), escape(row.point), *cells])
        return ["image", "operating point", *names], body, []
    groups = sort_groups(run, group_rows(run, by, view.ways), view.sort)
    finest_of = {name: best_of(groups, name, column) for name, column in columns.items()}
    set_apart = {name: marked(groups, name, by) for name in columns}
    troubles = {status: mark for status, mark in TROUBLES.items() if any(group.without[status] for group in groups)}
    for group in groups:
        cells = []
        for name, column in columns.items():
            summary = group.summaries[name]
            apart = group.key in set_apart[name]
            text = number(summary.mean, name, None if apart else finest_of[name])
            text = text or typed(escape(mean_text(summary, column))) or ("--" if latex else "–")
            if apart:
                text += DAGGER if latex else FEWER
            if summary.deviation is not None:
                text += typed(f" ± {format_value(summary.deviation, column)}")
            if fewer_values(run, group, name):
                text += f" ({summary.count})"
            cells.append(text)
        without = (str(group.without[status]) for status in troubles)
        body.append([escape(group.key), str(group.cells), *without, *cells])
    notes = [f"pooled: {pooled}"] if (pooled := pooling(groups)) else []
    if any(fewer_values(run, group, name) for group in groups for name in columns):
        notes.append(FEWER_VALUES)
    return [by, "cells", *troubles.values(), *names], body, [*notes, *fewer_images(run, groups, by, list(columns))]


def _typeset_name(run: Run, name: str, *, latex: bool) -> str:
    """Return a column's heading: its name and the arrow; in LaTeX as papers write it, with its unit."""
    column = run.columns[name]
    if not latex:
        return f"{escape_markdown(name)} {ARROWS[column.direction]}"
    unit = f" ({column.unit})" if column.unit else ""
    return f"{_escape_latex(written(run, name) + unit)} {LATEX_ARROWS[column.direction]}"


def _markdown(header: list[str], body: list[list[str]], left: Sequence[bool]) -> str:
    widths = [max(len(line[index]) for line in (header, *body)) for index in range(len(header))]
    text = [header, ["-" * width for width in widths], *body]
    text[1] = [line if stands else line[:-1] + ":" for line, stands in zip(text[1], left, strict=True)]
    return "".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |\n" for line in text
    )


def _latex(name: str, header: list[str], body: list[list[str]], left: Sequence[bool], below: Sequence[str] = ()) -> str:
    alignment = "".join("l" if stands else "r" for stands in left)
    lines = [f"% {_one_line(name)}; needs \\usepackage{{booktabs}}", rf"\begin{{tabular}}{{{alignment}}}"]
    lines += [r"\toprule", " & ".join(header) + r" \\", r"\midrule"]
    for index, line in enumerate(body):
        if index and _apart(header, line, body[index - 1]):
            lines.append(r"\addlinespace")
        lines.append(" & ".join(line) + r" \\")
    below = [rf"\\{{\footnotesize {_escape_latex(note).replace(FEWER, DAGGER)}}}" for note in below]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", *below, ""])


def _apart(header: Sequence[str], line: Sequence[str], before: Sequence[str]) -> bool:
    """Say whether another image's cells begin, or another codec's operating points."""
    if header[0] == "point":
        return line[0].partition(":")[0] != before[0].partition(":")[0]
    return header[:2] == ["image", "operating point"] and line[0] != before[0]


def _escape_latex(text: str) -> str:
    special = {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "–": "--",
        "…": r"\dots{}",
    }
    special |= {letter: "\\" + letter for letter in "&%$#_{}"}
    escaped = "".join(special.get(letter, letter) for letter in _one_line(text))
    return "{}" + escaped if escaped[:1] in ("[", "*") else escaped  # behind a rule or \\\\ they would be options


def _one_line(text: str) -> str:
    return shown(" ".join(text.splitlines()))


def escape_markdown(text: str) -> str:
    """Return text as Markdown shows it to the letter, on one line."""
    return "".join("\\" + letter if letter in r"\`*_|<>[]" else letter for letter in _one_line(text))


ESCAPES: dict[str, Callable[[str], str]] = {
    "latex": _escape_latex,
    "markdown": escape_markdown,
    "html": escape_html,
}
STRONG = {"latex": r"\textbf{%s}", "markdown": "**%s**", "html": "<b>%s</b>"}
