"""Tables as text for other programs and for papers: Markdown, LaTeX, CSV, JSON, Parquet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qbench.contracts.metric import Direction
from qbench.errors import QbenchError
from qbench.records import plain_number
from qbench.reporting.aggregate import best, format_value, group_rows, model_lines, sort_groups, sort_rows
from qbench.reporting.notation import ABSENT, ARROWS
from qbench.reporting.originals import originals_content
from qbench.results.run import Run, Status
from qbench.toolkit.files import writing

TEXT_FORMATS = ("markdown", "latex", "csv", "json")
FORMATS = ("table", *TEXT_FORMATS, "parquet")


LATEX_ARROWS = {Direction.HIGHER: r"$\uparrow$", Direction.LOWER: r"$\downarrow$"}


def write_text(run: Run, form: str, by: str | None, sort: str | None) -> str:
    """Write the cells (``by`` None) or a summary by group in one of :data:`TEXT_FORMATS`."""
    if form in ("csv", "json"):
        records = _flat(run, by, sort)
        return _csv(records) if form == "csv" else _json(run, records)
    header, body = _typeset(run, by, sort, latex=form == "latex")
    return _latex(run, header, body) if form == "latex" else _markdown(header, body) + _models(run)


def write_parquet(run: Run, path: Path, by: str | None, sort: str | None) -> None:
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
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(_flat(run, by, sort, whole=True)), temporary)


def _flat(run: Run, by: str | None, sort: str | None, *, whole: bool = False) -> list[dict[str, Any]]:
    """Return records with the same keys in each."""
    if by is None:
        place = {(row.image, row.point): index for index, row in enumerate(sort_rows(run, sort))}
        records = sorted(run.records(), key=lambda record: place[record["image"], record["point"]])
    else:
        records = []
        for group in sort_groups(run, group_rows(run, by), sort):
            record: dict[str, Any] = {by: group.key, "cells": group.cells}
            record |= {str(status): count for status, count in group.without.items()}
            for name, summary in group.summaries.items():
                record |= {name: summary.mean, f"{name}.std": summary.deviation, f"{name}.count": summary.count}
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


def _csv(records: Sequence[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(records[0]) if records else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()


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
        user.label: {
            name: {"summary": summary, "sha256": user.identity["weights"][name]}
            for name, summary in user.models.items()
        }
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
                "run": run.name,
                "suite": run.plan.suite,
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


def _typeset(run: Run, by: str | None, sort: str | None, *, latex: bool) -> tuple[list[str], list[list[str]]]:
    """Return header and cells as people read them; the best value of each image (or group) is emphasised."""
    escape = _escape_latex if latex else _escape_markdown
    strong = r"\textbf{%s}" if latex else "**%s**"
    plus_minus = r" $\pm$ " if latex else " ± "

    def number(value: float | None, name: str, finest: float | None) -> str:
        text = format_value(value, run.columns[name])
        if latex:
            text = text.replace("∞", r"$\infty$")
        return strong % text if finest is not None and value == finest else text

    names = [
        f"{escape(name)} {LATEX_ARROWS[column.direction] if latex else ARROWS[column.direction]}"
        for name, column in (run.cell_columns if by is None else run.columns).items()
    ]
    body = []
    if by is None:
        finest = {
            (image.name, name): best([row.entries[name].value for row in run.rows if row.image == image.name], column)
            for image in run.plan.images
            for name, column in run.cell_columns.items()
        }
        for row in sort_rows(run, sort):
            cells = [
                number(entry.value, name, finest[row.image, name])
                if entry.value is not None
                else escape(ABSENT[entry.status])
                for name, entry in row.entries.items()
            ]
            body.append([escape(row.image), escape(row.point), *cells])
        return ["image", "operating point", *names], body
    groups = sort_groups(run, group_rows(run, by), sort)
    for group in groups:
        cells = []
        for name, column in run.columns.items():
            summary = group.summaries[name]
            text = number(summary.mean, name, best([other.summaries[name].mean for other in groups], column)) or (
                "--" if latex else "–"
            )
            if summary.deviation is not None:
                text += plus_minus + format_value(summary.deviation, column)
            cells.append(text)
        body.append(
            [
                escape(group.key),
                str(group.cells),
                str(group.without[Status.FAILED]),
                str(group.without[Status.NOT_APPLICABLE]),
                *cells,
            ]
        )
    return [by, "cells", "failed", "n/a", *names], body


def _markdown(header: list[str], body: list[list[str]]) -> str:
    widths = [max(len(line[index]) for line in (header, *body)) for index in range(len(header))]
    text = [header, ["-" * width for width in widths], *body]
    text[1] = [line if index < 2 else line[:-1] + ":" for index, line in enumerate(text[1])]
    return "".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |\n" for line in text
    )


def _models(run: Run) -> str:
    """Name the model behind each metric that uses one, below a table."""
    lines = [_escape_markdown(line) for line in model_lines(run)]
    return "".join(f"\n{line}\n" for line in lines)


def _latex(run: Run, header: list[str], body: list[list[str]]) -> str:
    left = 2 if header[0] == "image" and header[1] == "operating point" else 1
    alignment = "l" * left + "r" * (len(header) - left)
    lines = [f"% {line}" for line in model_lines(run)]
    lines += [f"% {run.name}; needs \\usepackage{{booktabs}}", rf"\begin{{tabular}}{{{alignment}}}"]
    lines += [r"\toprule", " & ".join(header) + r" \\", r"\midrule"]
    for index, line in enumerate(body):
        if index and header[0] == "image" and line[0] != body[index - 1][0]:
            lines.append(r"\addlinespace")
        lines.append(" & ".join(line) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _escape_latex(text: str) -> str:
    special = {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "–": "--",
        "…": r"\dots{}",
    }
    special |= {letter: "\\" + letter for letter in "&%$#_{}"}
    return "".join(special.get(letter, letter) for letter in text)


def _escape_markdown(text: str) -> str:
    return "".join("\\" + letter if letter in r"\`*_|<>[]" else letter for letter in text.replace("\n", " "))
