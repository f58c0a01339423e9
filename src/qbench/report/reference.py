"""The reference pages of the documentation, written from what plugins declare, as ``qbench plugins show`` says it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from qbench.metric import Column, MetricDeclaration
from qbench.parameter_forms import parameter_rows
from qbench.registry import Registry


def metrics_page(registry: Registry) -> str:
    """Return the page of all metrics, in Markdown."""
    metrics: Mapping[str, type[MetricDeclaration]] = registry.metrics
    lines = [
        "# Metrics",
        "",
        "Written by `qbench plugins reference metrics` from what every metric declares of itself; `qbench plugins show "
        "NAME` says the same. A metric that is not defined for a picture says *not applicable* and why; it never gives "
        "a value that stands for something else.",
        "",
        "| metric | looks at | better | what |",
        "|---|---|---|---|",
        *(
            f"| [`{name}`](#{name}) | {cls.scope.value} | {cls.columns[0].direction.value} | {_cell(cls.summary)} |"
            for name, cls in metrics.items()
        ),
    ]
    for name, cls in metrics.items():
        lines += ["", f"## {name}", "", *_section(cls)]
    return "\n".join(lines) + "\n"


def _section(cls: type[MetricDeclaration]) -> list[str]:
    lines = _paragraphs(cls.__doc__ or cls.summary)
    if cls.reference:
        lines += ["", f"Reference: {cls.reference}."]
    lines += ["", "| column | better | range | unit | |", "|---|---|---|---|---|"]
    lines += [_column(cls.name, column) for column in cls.columns]
    rows = parameter_rows(cls.Parameters)
    if rows:
        lines += ["", "| setting | accepts | default | |", "|---|---|---|---|"]
        lines += [_row(f"`{row['name']}`", row["accepts"], row["default"], row["description"]) for row in rows]
    return lines


def _column(metric: str, column: Column) -> str:
    low = "-∞" if column.lower is None else f"{column.lower:g}"
    high = "∞" if column.upper is None else f"{column.upper:g}"
    name = metric if column.name == metric else f"{metric}.{column.name}"
    return _row(f"`{name}`", column.direction.value, f"{low} to {high}", column.unit, column.summary)


def _row(*values: Any) -> str:
    return "| " + " | ".join(_cell(str(value)) for value in values) + " |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _paragraphs(docstring: str) -> list[str]:
    paragraphs = inspect.cleandoc(docstring).replace("``", "`").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs).split("\n")
