"""A comparison of two runs for a terminal, and as Markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from qbench.errors import shown
from qbench.reporting.aggregate import format_value
from qbench.reporting.bd import BdRate
from qbench.reporting.comparison import Comparison, Difference
from qbench.reporting.conditions import Judgement
from qbench.reporting.formats import escape_markdown
from qbench.reporting.notation import ARROWS
from qbench.results.run import Run
from qbench.toolkit.resampling import FEWEST

MOST_DIFFERENCES = 40
"""More are shown only to those who ask for all."""
MOST_UNJUDGED = 20
INTERVALS = (
    f"95 % intervals over images (Student's t; of BD-rates the jackknife), from {FEWEST} images on; bold: "
    "significantly worse"
)
RATE_HEADINGS = ("codec", "metric", "BD-rate", "interval", "over", "images")
DIFFERENCE_HEADINGS = ("operating point", "column", "first", "second", "change", "interval", "images")


def print_comparison(console: Console, first: Run, second: Run, found: Comparison, *, everything: bool = False) -> None:
    """Print rates saved, then differences, significant regressions first; and what can't be compared."""
    console.print(Text(_heading(first, second, found), "bold"))
    for line in _notes(found, everything=everything):
        console.print(Text(line, "yellow"), soft_wrap=False)
    if found.rates:
        console.print(_table("Rate at equal quality, second run against first", RATE_HEADINGS, 2, _rate_lines(found)))
        for metric, rate in found.rates:
            if rate.note:
                console.print(Text(f"{rate.codec} ({metric}): {rate.note}", "yellow"))
    every = [*found.differences, *(found.times if everything else ())]
    changed = [each for each in every if each.change or each.improved]
    listed = changed if everything else changed[:MOST_DIFFERENCES]
    if listed:
        lines = [(_difference_line(each), _style(each)) for each in listed]
        console.print(_table("Differences", DIFFERENCE_HEADINGS, 2, lines))
    notes = [f"{len(every) - len(changed)} of {len(every)} means are equal"]
    if len(changed) > len(listed):
        notes.append(f"{len(changed) - len(listed)} more differences with --all")
    console.print(Text("; ".join([*notes, INTERVALS]), "dim"))


def comparison_markdown(
    first: Run, second: Run, found: Comparison, judgements: Sequence[Judgement], *, allow_missing: bool
) -> str:
    """Return the same as Markdown, for a comment in a forge, with what became of a guard's conditions on top."""
    lines = [f"### {escape_markdown(_heading(first, second, found))}", ""]
    for each in judgements:
        mark = "failed" if each.failed(allow_missing=allow_missing) else "passed"
        lines.append(f"- **{mark}**: {escape_markdown(each.condition.text)}")
        lines += [f"  - {escape_markdown(text)}" for text in each.violations]
        lines += [f"  - can't be judged: {escape_markdown(text)}" for text in each.unjudged]
    lines += [f"- {escape_markdown(line)}" for line in _notes(found, everything=True)]
    if found.rates:
        lines += ["", *_markdown_table(RATE_HEADINGS, 2, [line for line, _ in _rate_lines(found)])]
        lines += [
            f"\n{escape_markdown(f'{rate.codec} ({metric}): {rate.note}')}" for metric, rate in found.rates if rate.note
        ]
    changed = [each for each in (*found.differences, *found.times) if each.change or each.improved]
    if changed:
        lines += ["", *_markdown_table(DIFFERENCE_HEADINGS, 2, [_difference_line(each) for each in changed])]
    return "\n".join([*lines, "", INTERVALS.replace("; bold: significantly worse", "."), ""])


def _heading(first: Run, second: Run, found: Comparison) -> str:
    return (
        f"{first.name} → {second.name}: {len(found.points)} operating points, {len(found.images)} images in both runs"
    )


def _notes(found: Comparison, *, everything: bool) -> list[str]:
    notes = [f"changed: {line}" for line in found.changed]
    notes += [f"coding times were taken under other conditions: {line}" for line in found.unlike]
    notes += [f"only in the second run: {', '.join(found.new_points)}"] if found.new_points else []
    notes += [f"images only in the second run: {', '.join(found.new_images)}"] if found.new_images else []
    told = [
        f"not compared: {', '.join(text for text in (each.point, each.name, ', '.join(each.images)) if text)}: "
        f"{each.reason.splitlines()[0]}"
        for each in found.unjudged
    ]
    most = len(told) if everything else MOST_UNJUDGED
    notes += told[:most]
    notes += [f"not compared: {len(told) - most} more with --all"] if len(told) > most else []
    return [shown(note) for note in notes]


def _rate_lines(found: Comparison) -> list[tuple[tuple[str, ...], str]]:
    return [
        (_rate_line(metric, rate), "bold red" if rate.low is not None and rate.low > 0 else "")
        for metric, rate in found.rates
    ]


def _rate_line(metric: str, rate: BdRate) -> tuple[str, ...]:
    images = str(rate.images or "")
    if rate.percent is None:
        return rate.codec, metric, "–", "", rate.reason, images
    sure = "" if rate.low is None else f"[{rate.low:+.2f}, {rate.high:+.2f}]"
    share = "" if rate.overlap is None else f"{rate.lower:.4g} to {rate.upper:.4g} ({100 * rate.overlap:.0f} %)"
    return rate.codec, metric, f"{rate.percent:+.2f} %", sure, share, images


def _difference_line(each: Difference) -> tuple[str, ...]:
    sure = "" if each.low is None or each.high is None else f"[{each.low:+.4g}, {each.high:+.4g}]"
    change = f"{each.change:+.4g}" if math.isfinite(each.change) else f"{'+' if each.change > 0 else '-'}∞"
    images = str(each.images)
    if each.worsened or each.improved:
        images += f"; {len(each.worsened)} no longer infinite" if each.worsened else ""
        images += f"; {len(each.improved)} infinite now" if each.improved else ""
    return (
        each.point,
        f"{each.name} {ARROWS[each.column.direction]}",
        format_value(each.first, each.column),
        format_value(each.second, each.column),
        change,
        sure,
        images,
    )


def _style(each: Difference) -> str:
    return "bold red" if each.certain and each.worse > 0 else "green" if each.certain else ""


def _table(title: str, headings: Sequence[str], left: int, lines: Sequence[tuple[tuple[str, ...], str]]) -> Table:
    table = Table(title=title, box=box.SIMPLE_HEAD)
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="left" if index < left else "right", overflow="fold")
    for line, style in lines:
        table.add_row(
            *(
                Text(shown(cell), style if index == 4 or (headings is RATE_HEADINGS and index == 2) else "")
                for index, cell in enumerate(line)
            )
        )
    return table


def _markdown_table(headings: Sequence[str], left: int, lines: Sequence[tuple[str, ...]]) -> list[str]:
    rule = ["---" if index < left else "--:" for index in range(len(headings))]
    return [
        f"| {' | '.join(map(escape_markdown, line))} |" if line is not rule else f"| {' | '.join(rule)} |"
        for line in (headings, rule, *lines)
    ]
