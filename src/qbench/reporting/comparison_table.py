"""A comparison of two runs for a terminal."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from qbench.reporting.aggregate import format_value
from qbench.reporting.comparison import Comparison, Difference
from qbench.reporting.notation import ARROWS
from qbench.results.run import Run

MOST_DIFFERENCES = 40
"""More are shown only to those who ask for all."""


def print_comparison(console: Console, first: Run, second: Run, found: Comparison, *, everything: bool = False) -> None:
    """Print rates saved, then differences, significant regressions first."""
    console.print(
        Text(f"{first.name} → {second.name}: {len(found.points)} operating points, {len(found.images)} images", "bold")
    )
    if found.missing:
        console.print(Text(f"only in one run: {', '.join(found.missing)}", "yellow"))
    if found.rates:
        console.print(_rates(found))
    changed = [each for each in found.differences if each.change]
    shown = changed if everything else changed[:MOST_DIFFERENCES]
    if shown:
        console.print(_differences(shown))
    same = len(found.differences) - len(changed)
    rest = len(changed) - len(shown)
    notes = [f"{same} of {len(found.differences)} means are equal"]
    if rest:
        notes.append(f"{rest} more differences with --all")
    notes.append("95 % intervals of the mean difference, bootstrapped over images; bold: significantly worse")
    console.print(Text("; ".join(notes), "dim"))


def _rates(found: Comparison) -> Table:
    table = Table(title="Rate at equal quality, second run against first", box=box.SIMPLE_HEAD)
    for heading in ("codec", "metric"):
        table.add_column(heading)
    for heading in ("BD-rate", "interval", "over"):
        table.add_column(heading, justify="right")
    for metric, each in found.rates:
        if each.percent is None:
            table.add_row(each.codec, metric, Text("–", "dim"), "", Text(each.reason, "dim", overflow="fold"))
            continue
        worse = each.low is not None and each.low > 0
        sure = "" if each.low is None else f"[{each.low:+.2f}, {each.high:+.2f}]"
        share = "" if each.overlap is None else f"{each.lower:.4g} to {each.upper:.4g} ({100 * each.overlap:.0f} %)"
        table.add_row(each.codec, metric, Text(f"{each.percent:+.2f} %", "bold red" if worse else ""), sure, share)
    return table


def _differences(shown: list[Difference]) -> Table:
    table = Table(title="Differences", box=box.SIMPLE_HEAD)
    table.add_column("operating point", overflow="fold")
    table.add_column("column")
    for heading in ("first", "second", "change", "interval", "images"):
        table.add_column(heading, justify="right")
    for each in shown:
        arrow = ARROWS[each.column.direction]
        style = "bold red" if each.certain and each.worse > 0 else "green" if each.certain else ""
        sure = "" if each.low is None or each.high is None else f"[{each.low:+.4g}, {each.high:+.4g}]"
        table.add_row(
            each.point,
            f"{each.name} {arrow}",
            format_value(each.first, each.column),
            format_value(each.second, each.column),
            Text(f"{each.change:+.4g}", style),
            sure,
            str(each.images),
        )
    return table
