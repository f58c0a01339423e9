"""Correlations for people and programs: a heat map and a table, CSV, JSON."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console, Group, RenderableType
from rich.style import Style
from rich.table import Table
from rich.text import Text

from qbench.errors import QbenchError
from qbench.reporting.correlation import FEWEST_IMAGES, HUMAN, METHODS, Cells, Correlation, Estimate
from qbench.reporting.formats import csv_text
from qbench.toolkit.files import writing
from qbench.toolkit.resampling import too_few

FORMS = (".svg", ".html", ".csv", ".json")
MOST_NAMED = 6
SQUARE = 5
"""Characters of a square of the heat map."""
BLUE, WHITE, RED = (5, 113, 176), (247, 247, 247), (202, 0, 32)
"""Of a diverging scale that people with any colour vision can read (ColorBrewer's RdBu)."""


def correlation_view(cells: Cells, found: Sequence[Correlation], method: str, width: int) -> RenderableType:
    """Show a heat map of one method where there are several columns, and all pairs with all methods, closest first."""
    parts: list[RenderableType] = []
    counts = sorted({each.images for each in found if any(each.estimates.values())})
    over = "–".join(map(str, counts[:1] + counts[1:][-1:]))
    images = f"{over} image{'s' * (over != '1')}" if over else "no image"
    notes = [f"{len(cells.values)} cells, {images} used; 95 % intervals over images (jackknife)"]
    if counts and (reason := too_few(counts[0], FEWEST_IMAGES)):
        notes.append(f"no interval over {reason}")
    if cells.observers[1] > 1:
        spread = "" if cells.deviation is None else f", standard deviation {cells.deviation:.3g} on average"
        notes.append(f"human: mean of {_count(cells.observers)} observers per cell{spread}")
    if HUMAN not in cells.columns and len(cells.columns) > 2:
        needed = _width(cells.columns)
        if needed <= width:
            parts.append(heat_map(cells.columns, found, method))
        else:
            notes.append(f"the heat map needs a terminal of {needed} columns, or -o with a name in .svg or .html")
    parts.append(_pairs(found, method))
    if cells.turned:
        notes.append(f"lower is better for {', '.join(cells.turned)}: signs flipped so that agreement is positive")
    names, number = cells.lacking
    if names:
        shown = ", ".join(names[:MOST_NAMED]) + (" …" if len(names) > MOST_NAMED else "")
        notes.append(f"{number} cells have no value in some column, and are not used for it ({shown})")
    if cells.empty:
        notes.append(f"no values at all: {', '.join(cells.empty)}")
    if cells.infinite:
        notes.append(f"no Pearson correlation of {', '.join(cells.infinite)}: some values are infinite")
    if cells.unmatched:
        notes.append(f"{cells.unmatched} human scores have no matching cell in the runs")
    return Group(*parts, Text("\n".join(notes), "dim"))


def _count(observers: tuple[int, int]) -> str:
    least, most = observers
    return str(most) if least == most else f"{least} to {most}"


def _width(columns: Sequence[str]) -> int:
    return SQUARE * len(columns) + max(map(len, columns)) + 5


def heat_map(columns: Sequence[str], found: Sequence[Correlation], method: str) -> Table:
    """Return a square of correlations; columns are numbered like rows."""
    values = {(each.one, each.other): each.estimates[method] for each in found}
    table = Table(title=f"{method.capitalize()}'s correlation", box=None, padding=0, show_edge=False)
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for index in range(len(columns)):
        table.add_column(f"{index + 1} ", justify="right", no_wrap=True)
    for index, one in enumerate(columns):
        cells = []
        for other_index, other in enumerate(columns):
            if other_index == index:
                cells.append(Text("1 ".rjust(SQUARE), "dim"))
                continue
            cells.append(_square(values.get((one, other)) or values.get((other, one))))
        table.add_row(Text(f"{index + 1}"), Text(f"  {one} "), *cells)
    return table


def _square(estimate: Estimate | None) -> Text:
    if estimate is None:
        return Text("– ".rjust(SQUARE), "dim")
    share = max(-1.0, min(1.0, estimate.value))
    end = BLUE if share > 0 else RED
    colour = [round(white + abs(share) * (strong - white)) for white, strong in zip(WHITE, end, strict=True)]
    ink = "white" if abs(share) > 0.6 else "black"
    background = f"#{colour[0]:02x}{colour[1]:02x}{colour[2]:02x}"
    number = f"{estimate.value:.2f}".replace("0.", ".") if abs(estimate.value) < 0.995 else f"{estimate.value:.1f}"
    return Text(f"{number} ".rjust(SQUARE), Style(color=ink, bgcolor=background))


def _pairs(found: Sequence[Correlation], method: str) -> Table:
    table = Table(title="Pairs", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("columns", min_width=16, overflow="fold")
    for name in METHODS:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("cells", justify="right")

    def closeness(each: Correlation) -> float:
        estimate = each.estimates[method]
        return -2.0 if estimate is None else estimate.value

    for each in sorted(found, key=closeness, reverse=True):
        pair = Text(each.one if each.other == HUMAN else f"{each.one} · {each.other}", overflow="fold")
        table.add_row(pair, *(_estimate(each.estimates[name]) for name in METHODS), str(each.cells))
    return table


def _estimate(estimate: Estimate | None) -> Text:
    if estimate is None:
        return Text("–", "dim")
    text = Text(f"{estimate.value:.2f} ")
    if estimate.low is not None and estimate.high is not None:
        text.append(f"[{estimate.low:.2f},{estimate.high:.2f}]", "dim")
    return text


def write_correlations(path: Path, cells: Cells, found: Sequence[Correlation], method: str) -> None:
    """Write to a file, in the form that its ending says.

    Raises:
        QbenchError: not one of :data:`FORMS`.
    """
    form = path.suffix.lower()
    if form not in FORMS:
        raise QbenchError(f"{path}: unknown ending; accepted: {', '.join(FORMS)}")
    if form in (".svg", ".html"):
        console = Console(record=True, width=max(100, _width(cells.columns)), file=io.StringIO())
        console.print(correlation_view(cells, found, method, console.width))
        text = console.export_svg(title="qbench correlate") if form == ".svg" else console.export_html()
    else:
        people = {"observers": _count(cells.observers), "observers_deviation": cells.deviation}
        records = [{**_record(each), **(people if each.other == HUMAN else {})} for each in found]
        if form == ".json":
            content = {
                "turned": list(cells.turned),
                "observers": list(cells.observers),
                "observers_deviation": cells.deviation,
                "correlations": records,
            }
            text = json.dumps(content, indent=1) + "\n"
        else:
            text = csv_text(records)
    with writing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _record(each: Correlation) -> dict[str, str | int | float | None]:
    record: dict[str, str | int | float | None] = {
        "one": each.one,
        "other": each.other,
        "cells": each.cells,
        "images": each.images,
    }
    for method, estimate in each.estimates.items():
        record[method] = None if estimate is None else estimate.value
        record[f"{method}.low"] = None if estimate is None else estimate.low
        record[f"{method}.high"] = None if estimate is None else estimate.high
    return record
