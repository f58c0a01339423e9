"""How many bytes each codec saves at equal quality, and what that costs in time: as numbers, as a table, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from rich.console import RenderableType
from rich.text import Text

from qbench.contracts.metric import Column
from qbench.errors import shown
from qbench.markup import escape_html
from qbench.reporting.bd import SMALL_OVERLAP, BdRate
from qbench.reporting.costs import Sheet
from qbench.reporting.tables import sheet_table

BESIDE = "times were taken beside other work of the run, and are not for publication"
ALIKE = 1.1
"""Factor up to which two times are called alike."""
NARROW = 10.0
"""Percentage points of an interval around 0 up to which two codecs are said to need as much."""
LITTLE = "°"
"""Behind a BD-rate of curves that overlap by less than half."""


@dataclass(frozen=True)
class Savings:
    """The rate that codecs save against an anchor, by several metrics.

    Attributes:
        anchor: the codec's label.
        columns: of the metrics, by name.
        rates: codec → metric → BD-rate.
        times: codec → how many times as long it takes to encode, and to decode; None where that is not known.
        absent: metrics without any curve of the anchor that others could be compared with, and why.
        notes: what must be read with it.
        origin: where values are from: runs, when and where they were measured, and by which version.
    """

    anchor: str
    columns: Mapping[str, Column]
    rates: Mapping[str, Mapping[str, BdRate]]
    times: Mapping[str, tuple[float | None, float | None]]
    absent: Mapping[str, str]
    notes: tuple[str, ...] = ()
    origin: Mapping[str, str] = field(default_factory=dict)

    def _repr_html_(self) -> str:
        from qbench.reporting.formats import sheet_text

        said = "".join(f"<p>{escape_html(line)}</p>\n" for line in sentences(self))
        return sheet_text(savings_sheet(self), "html") + said

    def records(self) -> list[dict[str, object]]:
        """Return a flat dictionary for each codec and metric."""
        found = []
        for codec, rates in self.rates.items():
            encode, decode = self.times.get(codec, (None, None))
            for metric, rate in rates.items():
                values = asdict(rate)
                methods = values.pop("by_method")
                values |= {f"by_{name}": methods.get(name) for name in methods}
                values["lacking"] = ", ".join(rate.lacking)
                found.append(
                    {
                        **self.origin,
                        "anchor": self.anchor,
                        "metric": metric,
                        **values,
                        "encode_factor": encode,
                        "decode_factor": decode,
                    }
                )
        return found


def savings_sheet(found: Savings, metrics: Sequence[str] = (), between: str = " ") -> Sheet:
    """Return the table: a line for each codec, a column for each metric (or some of them).

    Args:
        between: what stands before an interval.
    """
    metrics = metrics or [name for name in found.columns if name not in found.absent]
    lines = []
    for codec, rates in found.rates.items():
        encode, decode = found.times.get(codec, (None, None))
        cells = [rate_text(rates[name], between) if name in rates else "–" for name in metrics]
        lines.append((codec, *cells, _times(encode), _times(decode)))
    headings = ("codec", *metrics, "encode time", "decode time")
    return Sheet(
        f"Rate saved against {found.anchor} at equal quality (BD-rate)", headings, lines, found.records(), _notes(found)
    )


def rate_text(rate: BdRate, between: str = " ") -> str:
    """Write a BD-rate with its interval: ``-38.2 % (-40 to -36)``.

    Args:
        between: what stands before the interval; a new line where columns are to be narrow.
    """
    if rate.percent is None:
        return "–"
    mark = LITTLE if rate.overlap is not None and rate.overlap < SMALL_OVERLAP else ""
    if rate.low is None or rate.high is None:
        return f"{_signed(rate.percent, 1)} %{mark}"
    return f"{_signed(rate.percent, 1)} %{mark}{between}({_signed(rate.low)} to {_signed(rate.high)})"


def _signed(value: float, digits: int = 0) -> str:
    rounded = round(value, digits) + 0.0  # no -0
    return f"{rounded:+.{digits}f}"


def _times(factor: float | None) -> str:
    if factor is None:
        return "–"
    return f"{factor:.0f}×" if factor >= 10 else f"{factor:.2g}×"


def _notes(found: Savings) -> tuple[str, ...]:
    notes = [
        "negative: fewer bytes; in brackets 95 % intervals over images, where there are three or more, of metrics that "
        "score each image"
    ]
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
        reasons = dict.fromkeys([*found.absent.values(), *_whys(found)])
        return [Text(f"no BD-rates against {found.anchor}: {'; '.join(reasons)}", "dim")] if reasons else []
    chosen, between = names, " "
    if _width(savings_sheet(found, chosen)) > width:
        between = "\n"
    while len(chosen) > 1 and _width(savings_sheet(found, chosen, between)) > width:
        chosen = chosen[:-1]
    sheet = savings_sheet(found, chosen, between)
    hidden = len(names) - len(chosen)
    left = f"has {hidden} more metric{'s' * (hidden != 1)}, " if hidden else ""
    below = [*sheet.notes[: 1 + any(LITTLE in cell for line in sheet.lines for cell in line)]]
    below += [note for note in found.notes if note == BESIDE]
    below.append(f"`qbench bd RUN` {left}says why some have none, and takes --anchor")
    return [
        sheet_table(sheet, width),
        *(Text(shown(line), "dim") for line in below),
        "",
        *(Text(shown(line)) for line in said),
    ]


def _whys(found: Savings) -> list[str]:
    """Say of each codec, by its first metric, why it has no BD-rate."""
    first = {codec: next(iter(rates.values()), None) for codec, rates in found.rates.items()}
    return [f"{codec}: {rate.reason}" for codec, rate in first.items() if rate is not None and rate.reason]


def _said(rate: BdRate | None) -> bool:
    return rate is not None and rate.percent is not None


def _width(sheet: Sheet) -> int:
    columns = range(len(sheet.headings))
    cells = [(sheet.headings[index].replace(" ", "\n", 1), *(line[index] for line in sheet.lines)) for index in columns]
    longest = [max(len(part) for cell in column for part in cell.split("\n")) for column in cells]
    return sum(width + 3 for width in longest)


def sentences(found: Savings) -> list[str]:
    """Say of each codec, in words, what it saves by the first metric that tells, and what that takes."""
    lines = []
    for codec, rates in found.rates.items():
        metric, rate = next(((name, each) for name, each in rates.items() if each.percent is not None), ("", None))
        if rate is not None:
            long = _long(found.times.get(codec))
            lines.append(f"at equal {metric}, {codec} {_bytes(rate, found.anchor)}{_but(rate)}{long}")
        elif rates:
            name, first = next(iter(rates.items()))
            lines.append(f"{codec} can't be compared with {found.anchor} by {name}: {first.reason}")
    return lines


def _bytes(rate: BdRate, anchor: str) -> str:
    percent = rate.percent or 0.0
    if rate.low is not None and rate.high is not None and rate.low <= 0 <= rate.high:
        if rate.high - rate.low <= NARROW:
            return f"needs about as many bytes as {anchor} ({_signed(rate.low)} to {_signed(rate.high)} %)"
        ends = f"from {abs(rate.low):.0f} % fewer to {rate.high:.0f} % more"
        return f"may need fewer or more bytes than {anchor}: these images leave open anything {ends}"
    return f"needs {abs(percent):.0f} % {'fewer' if percent < 0 else 'more'} bytes than {anchor}"


def _but(rate: BdRate) -> str:
    """Say what makes a number less than sure."""
    doubts = []
    if rate.overlap is not None and rate.overlap < SMALL_OVERLAP:
        doubts.append(f"curves overlap by {100 * rate.overlap:.0f} %")
    if rate.low is None:
        doubts.append(f"{rate.images} image{'s' * (rate.images != 1)}, no interval")
    return f" ({'; '.join(doubts)})" if doubts else ""


def _long(times: tuple[float | None, float | None] | None) -> str:
    encode = None if times is None else times[0]
    if encode is None or not math.isfinite(encode) or encode <= 0:
        return ""
    if 1 / ALIKE <= encode <= ALIKE:
        return ", and as long to encode"
    if encode > 1:
        return f", and {_factor(encode)} times as long to encode"
    return f", and {100 * encode:.0f} % of the time to encode" if encode >= 0.01 else ", and next to no time to encode"


def _factor(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"
