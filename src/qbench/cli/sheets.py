"""Tables that commands show, or write in other formats."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qbench.cli.streams import put

if TYPE_CHECKING:
    from qbench.reporting.costs import Sheet

Format = Annotated[str, typer.Option("--format", "-f", help="table, markdown, latex, html, csv or json.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Write to a file.")]


def require_format(form: str) -> None:
    """Refuse a format that tables can't be written in.

    Raises:
        QbenchError: with those that they can.
    """
    from qbench.errors import QbenchError, did_you_mean
    from qbench.reporting.formats import TEXT_FORMATS

    forms = ("table", *TEXT_FORMATS)
    if form not in forms:
        raise QbenchError(f"unknown format `{form}`{did_you_mean(form, forms)} (accepted: {', '.join(forms)})")


def show_sheet(sheet: Sheet, form: str, output: Path | None, words: Sequence[str] = ()) -> None:
    """Show a table, and what it says in words; or write the table.

    Raises:
        QbenchError: no such format, or the file can't be written.
    """
    from qbench.reporting.console import Console
    from qbench.reporting.formats import sheet_text
    from qbench.reporting.tables import print_sheet

    require_format(form)
    if form == "table":
        kept = None if output is None else io.StringIO()
        print_sheet(Console(file=kept), sheet, words)
        text = "" if kept is None else kept.getvalue()
    else:
        text = sheet_text(sheet, form)
    if text:
        put(text, output)
