"""BD-rates as people and programs read them."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, RenderableType
from rich.text import Text

from qbench.errors import shown
from qbench.reporting.bd import SMALL_OVERLAP, BdRate
from qbench.reporting.costs import Sheet
from qbench.reporting.savings import BESIDE, Savings, sentences
from qbench.reporting.tables import sheet_table

LITTLE = "°"
"""Behind a BD-rate of curves that overlap by less than half."""


def savings_sheet(found: Savings, metrics: Sequence[str] = ()) -> Sheet:
    """Return the table: a line for each codec, a column for each metric (or some of them)."""
    metrics = metrics or [name for name in found.columns if name not in found.absent]
    lines = []
    for codec, rates in found.rates.items():
        encode, decode = found.times.get(codec, (None, None))
        cells = [rate_text(rates[name]) if name in rates else "–" for name in metrics]
        lines.append((codec, *cells, _times(encode), _times(decode)))
    headings = ("codec", *metrics, "encode time", "decode time")
    return Sheet(
        f"Rate saved against {found.anchor} at equal quality (BD-rate)", headings, lines, found.records(), _notes(found)
    )


def rate_text(rate: BdRate) -> str:
    """Write a BD-rate with its interval: ``-38.2 % (-40 to -36)``."""
    if rate.percent is None:
        return "–"
    mark = LITTLE if rate.overlap is not None and rate.overlap < SMALL_OVERLAP else ""
    interval = "" if rate.low is None or rate.high is None else f" ({rate.low:+.0f} to {rate.high:+.0f})"
    return f"{rate.percent:+.1f} %{mark}{interval}"


def _times(factor: float | None) -> str:
    if factor is None:
        return "–"
    return f"{factor:.0f}×" if factor >= 10 else f"{factor:.2g}×"


def _notes(found: Savings) -> tuple[str, ...]:
    notes = ["negative: fewer bytes; in brackets 95 % intervals over images, where there are three or more"]
    shown_rates = [rate for rates in found.rates.values() for rate in rates.values()]
    if any(rate.percent is not None and LITTLE in rate_text(rate) for rate in shown_rates):
        notes.append(f"{LITTLE} the curves overlap by less than half of their range")
    reasons: dict[str, list[str]] = {}
    for codec, rates in found.rates.items():
        for name, rate in rates.items():
            if rate.percent is None:
                reasons.setdefault(f"{codec}: {rate.reason}", []).append(name)
    notes += [f"– {reason} ({', '.join(names)})" for reason, names in reasons.items()]
    notes += [f"– {name}: {found.anchor} can't be the anchor: {reason}" for name, reason in found.absent.items()]
    return (*notes, *found.notes)


def savings_parts(found: Savings, width: int) -> list[RenderableType]:
    """Return the table with as many metrics as fit, what must be read with it, and what it says in words."""
    names = [name for name in found.columns if any(_said(rates.get(name)) for rates in found.rates.values())]
    said = sentences(found)
    if not names:
        reasons = dict.fromkeys(found.absent.values())
        return [Text(f"no BD-rates against {found.anchor}: {'; '.join(reasons)}", "dim")] if reasons else []
    chosen = names
    while len(chosen) > 1 and _width(savings_sheet(found, chosen)) > width:
        chosen = chosen[:-1]
    sheet = savings_sheet(found, chosen)
    left = f"; {len(names) - len(chosen)} more metrics" if len(chosen) < len(names) else ""
    below = [*sheet.notes[: 1 + any(LITTLE in cell for line in sheet.lines for cell in line)]]
    below += [note for note in found.notes if note == BESIDE]
    below.append(f"`qbench bd RUN` says why some have none{left}, and takes --anchor")
    return [
        sheet_table(sheet, width),
        *(Text(shown(line), "dim") for line in below),
        "",
        *(Text(shown(line)) for line in said),
    ]


def _said(rate: BdRate | None) -> bool:
    return rate is not None and rate.percent is not None


def _width(sheet: Sheet) -> int:
    columns = range(len(sheet.headings))
    longest = [max(len(line[index]) for line in (sheet.headings, *sheet.lines)) for index in columns]
    return sum(width + 3 for width in longest)


def print_savings(console: Console, found: Savings) -> None:
    """Show the table, what must be read with it, and in words what each codec saves."""
    sheet = savings_sheet(found)
    if sheet.lines:
        console.print(sheet_table(sheet, console.width))
    for line in sheet.notes:
        console.print(Text(shown(line), "dim"))
    for line in sentences(found):
        console.print(Text(shown(line)))
