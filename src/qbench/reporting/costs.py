"""What operating points cost, and what failed: tables beside that of the scores."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from qbench.records import CallTiming, CodingCost
from qbench.results.run import Row, Run

BESIDE = "other call"
"""What is said of a concurrent load that was one."""


@dataclass(frozen=True)
class Sheet:
    """A table as people read it, and as programs do.

    Attributes:
        title: above it.
        headings: of the columns; the first is that of names.
        lines: as text, a value for each heading.
        records: the same in full, in SI units.
        notes: what must be read with it.
    """

    title: str
    headings: tuple[str, ...]
    lines: list[tuple[str, ...]]
    records: list[dict[str, Any]]
    notes: tuple[str, ...] = ()

    @property
    def left(self) -> list[bool]:
        """Which columns stand on the left, being text."""
        return [
            index == 0 or any(line[index][:1] not in (*"0123456789–∞", "") for line in self.lines)
            for index in range(len(self.headings))
        ]


@dataclass(frozen=True)
class PointTiming:
    """How long an operating point took, over its images.

    Attributes:
        rate: mean bits per pixel; None where no size is known.
        images: how many have a time.
        encode, decode: median seconds; of first calls, which may have set things up, only where there are no others.
        encode_rates, decode_rates: megapixels per second: first quartile, median and third quartile over images.
        repeats: fewest and most calls that an image's time is the median of.
        threads: numbers of threads that were available.
        concurrent_load: what else ran at the same time.
        cached: cells whose timing is an earlier run's.
    """

    point: str
    rate: float | None
    images: int
    encode: float
    decode: float
    encode_rates: tuple[float, float, float]
    decode_rates: tuple[float, float, float]
    repeats: tuple[int, int]
    threads: tuple[int, ...]
    concurrent_load: tuple[str, ...]
    cached: int


def point_timings(run: Run) -> list[PointTiming]:
    """Return the coding times of every operating point that has any."""
    found = []
    by_point: dict[str, list[Row]] = {point.id: [] for point in run.plan.points}
    for row in run.rows:
        by_point[row.point].append(row)
    sizes = {image.name: image.pixels for image in run.plan.images}
    for point in run.plan.points:
        rows = by_point[point.id]
        cells = [row.cell for row in rows if row.cell is not None]
        rates = [row.rate for row in rows if row.rate is not None]
        timings = [cell.timing for cell in cells if cell.timing is not None]
        if not timings:
            continue
        repeats = [call.repeats for timing in timings for call in (timing.encode, timing.decode)]
        load = sorted({timing.concurrent_load for timing in timings})
        for what, largest in (
            ("encoded", max(timing.encode.batch for timing in timings)),
            ("decoded", max(timing.decode.batch for timing in timings)),
        ):
            if largest > 1:
                load.append(f"up to {largest} images {what} together")
        found.append(
            PointTiming(
                point.id,
                statistics.fmean(rates) if rates else None,
                len(timings),
                _median([timing.encode for timing in timings]),
                _median([timing.decode for timing in timings]),
                _rates([(sizes[cell.image], cell.timing.encode) for cell in cells if cell.timing is not None]),
                _rates([(sizes[cell.image], cell.timing.decode) for cell in cells if cell.timing is not None]),
                (min(repeats), max(repeats)),
                tuple(sorted({timing.threads for timing in timings})),
                tuple(load),
                sum(cell.cached for cell in cells),
            )
        )
    return found


def _median(calls: Sequence[CallTiming]) -> float:
    return statistics.median(call.seconds for call in [call for call in calls if not call.first] or calls)


def _rates(calls: Sequence[tuple[int, CallTiming]]) -> tuple[float, float, float]:
    """Return quartiles of megapixels per second over images."""
    chosen = [pair for pair in calls if not pair[1].first] or calls
    found = sorted(pixels / 1e6 / call.seconds if call.seconds > 0 else math.inf for pixels, call in chosen)
    if len(found) < 2:
        return found[0], found[0], found[0]
    low, middle, high = statistics.quantiles(found, n=4, method="inclusive")
    return low, middle, high


def timing_notes(timings: Sequence[PointTiming]) -> list[str]:
    """Say what the times of operating points are not good for."""
    beside = [timing.point for timing in timings if any(BESIDE in load for load in timing.concurrent_load)]
    if not beside:
        return []
    which = "These times were" if len(beside) == len(timings) else f"The times of {len(beside)} operating points were"
    return [
        f"{which} taken beside other work of the run, which slows some calls more than others: they are not for "
        "publication. timing: {exclusive: true} in the suite measures one thing at a time."
    ]


@dataclass(frozen=True)
class PointComplexity:
    """What a codec says its operating point costs, over the images; None where it doesn't say.

    Attributes:
        parameters: of its networks.
        encode_macs, decode_macs: multiply–adds per pixel, of all images together.
        encode_memory, decode_memory: peak bytes, of the image that needs most.
    """

    point: str
    parameters: int | None
    encode_macs: float | None
    decode_macs: float | None
    encode_memory: int | None
    decode_memory: int | None


def point_complexities(run: Run) -> list[PointComplexity]:
    """Return the cost of every operating point whose codec states one."""
    found = []
    for point in run.plan.points:
        rows = [row for row in run.rows if row.point == point.id and row.cell is not None]
        stated = [
            (row.cell.complexity, run.plan.image(row.image).pixels) for row in rows if row.cell and row.cell.complexity
        ]

        def most(attribute: str, stated: Sequence[tuple[CodingCost, int]] = stated) -> int | None:
            return max((value for cost, _ in stated if (value := getattr(cost, attribute)) is not None), default=None)

        def per_pixel(attribute: str, stated: Sequence[tuple[CodingCost, int]] = stated) -> float | None:
            known = [(value, pixels) for cost, pixels in stated if (value := getattr(cost, attribute)) is not None]
            return sum(value for value, _ in known) / sum(pixels for _, pixels in known) if known else None

        if stated:
            found.append(
                PointComplexity(
                    point.id,
                    most("parameters"),
                    per_pixel("encode_macs"),
                    per_pixel("decode_macs"),
                    most("encode_memory"),
                    most("decode_memory"),
                )
            )
    return found


def timings_sheet(run: Run) -> Sheet:
    """Median encode and decode time per operating point, and what else ran at the same time."""
    timings = point_timings(run)
    return Sheet(
        "Coding times, median over images",
        (
            "operating point",
            "bpp",
            "images",
            "repeats",
            "encode ms",
            "encode MP/s",
            "decode ms",
            "decode MP/s",
            "threads",
            "cached",
            "concurrent load",
        ),
        [
            (
                timing.point,
                "–" if timing.rate is None else f"{timing.rate:.3f}",
                str(timing.images),
                _span(*timing.repeats),
                f"{1e3 * timing.encode:.2f}",
                _rate_text(timing.encode_rates),
                f"{1e3 * timing.decode:.2f}",
                _rate_text(timing.decode_rates),
                "/".join(map(str, timing.threads)),
                str(timing.cached),
                "; ".join(timing.concurrent_load),
            )
            for timing in timings
        ],
        [
            {
                "point": timing.point,
                "bits_per_pixel": timing.rate,
                "images": timing.images,
                "encode_seconds": timing.encode,
                "decode_seconds": timing.decode,
                **{
                    f"{what}_mp_per_second{which}": value
                    for what, rates in (("encode", timing.encode_rates), ("decode", timing.decode_rates))
                    for which, value in zip((".q1", "", ".q3"), rates, strict=True)
                },
                "repeats.min": timing.repeats[0],
                "repeats.max": timing.repeats[1],
                "threads": "/".join(map(str, timing.threads)),
                "cached_cells": timing.cached,
                "concurrent_load": "; ".join(timing.concurrent_load),
            }
            for timing in timings
        ],
        (
            "megapixels per second: median over images, and the quartiles; docs/timing.md says how times are taken",
            *timing_notes(timings),
        ),
    )


def _span(low: int, high: int) -> str:
    return str(low) if low == high else f"{low} to {high}"


def _rate_text(rates: tuple[float, float, float]) -> str:
    """Write a median and its quartiles: ``41.2 (38.0 to 44.1)``."""
    low, middle, high = (f"{rate:.3g}" for rate in rates)
    return middle if low == high else f"{middle} ({low} to {high})"


def complexity_sheet(run: Run) -> Sheet:
    """What codecs say of their cost: parameters, multiply–adds per pixel, and peak memory of the largest image."""

    def text(value: float | None, unit: float, digits: int) -> str:
        return "–" if value is None else f"{value / unit:,.{digits}f}"

    found = point_complexities(run)
    return Sheet(
        "Complexity, as the codecs state it",
        (
            "operating point",
            "parameters millions",
            "encode kMAC/pixel",
            "decode kMAC/pixel",
            "encode peak MB",
            "decode peak MB",
        ),
        [
            (
                each.point,
                text(each.parameters, 1e6, 2),
                text(each.encode_macs, 1e3, 1),
                text(each.decode_macs, 1e3, 1),
                text(each.encode_memory, 1e6, 2),
                text(each.decode_memory, 1e6, 2),
            )
            for each in found
        ],
        [
            {
                "point": each.point,
                "parameters": each.parameters,
                "encode_macs_per_pixel": each.encode_macs,
                "decode_macs_per_pixel": each.decode_macs,
                "encode_peak_bytes": each.encode_memory,
                "decode_peak_bytes": each.decode_memory,
            }
            for each in found
        ],
    )


def failures_sheet(run: Run) -> Sheet:
    """Every failure; its traceback is in the records."""
    return Sheet(
        "Failures",
        ("image", "operating point", "what", "message"),
        [(note.image, note.point, note.what, note.message) for note in run.failures],
        [asdict(note) for note in run.failures],
    )
