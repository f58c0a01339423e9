"""From a run's rows to tables of plain values. Pure: no terminal, no files."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from qbench.contracts.metric import Column, Direction, MetricDeclaration, column_id
from qbench.errors import QbenchError, did_you_mean
from qbench.records import CodingCost
from qbench.results.run import Entry, Row, Run, Status


@dataclass(frozen=True)
class Summary:
    """A column over several cells.

    Attributes:
        count: values that went into mean and deviation.
        mean: arithmetic mean; infinite if a value is.
        deviation: sample standard deviation; None for fewer than two values or infinite ones.
    """

    count: int
    mean: float | None
    deviation: float | None


@dataclass(frozen=True)
class Group:
    """Cells that share a key: an operating point, a codec, or an image.

    Attributes:
        cells: how many.
        without: status → in how many of them the coding or a score has it (failed, not applicable, pending).
    """

    key: str
    cells: int
    without: dict[Status, int]
    summaries: dict[str, Summary]


GROUPINGS: dict[str, Callable[[Row], str]] = {
    "point": lambda row: row.point,
    "codec": lambda row: row.codec,
    "image": lambda row: row.image,
}


def summarise(entries: Sequence[Entry]) -> Summary:
    """Summarise a column's entries."""
    values = [entry.value for entry in entries if entry.value is not None]
    finite = all(math.isfinite(value) for value in values)
    return Summary(
        len(values),
        statistics.fmean(values) if values else None,
        statistics.stdev(values) if len(values) > 1 and finite else None,
    )


Pools = Mapping[str, tuple[str, Callable[[Sequence[float], Sequence[int]], float | None]]]
"""Column → in words and as a function, how its metric aggregates over images where that is not the mean."""


def pools(run: Run, metrics: Mapping[str, type[MetricDeclaration]]) -> Pools:
    """Return how a run's metrics aggregate over images, as far as they are installed and have a way of their own."""
    return {
        column_id(planned.label, planned.metric, column.name): (cls.pooling, partial(cls.pool, column.name))
        for planned in run.plan.metrics
        if planned.metric in metrics and (cls := metrics[planned.metric]).pooling
        for column in planned.columns
    }


def pooled(run: Run, group: Group, rows: Sequence[Row], ways: Pools) -> Group:
    """Return a group with means replaced by what the metrics aggregate instead; deviations don't apply to that."""
    sizes = {image.name: image.pixels for image in run.plan.images}
    summaries = dict(group.summaries)
    for name, (_, pool) in ways.items():
        if name not in run.cell_columns:
            continue
        found = [(value, sizes[row.image]) for row in rows if (value := row.entries[name].value) is not None]
        if found:
            summaries[name] = Summary(len(found), pool(*zip(*found, strict=True)), None)
    return replace(group, summaries=summaries)


def group_rows(run: Run, by: str, ways: Pools | None = None) -> list[Group]:
    """Group a run's cells and summarise every column; by the metrics' own ``ways`` if they are given.

    Raises:
        QbenchError: no such grouping.
    """
    if by not in GROUPINGS:
        raise QbenchError(f"can't group by `{by}`{did_you_mean(by, GROUPINGS)}; accepted: {', '.join(GROUPINGS)}")
    groups: dict[str, list[Row]] = {}
    for row in run.rows:
        groups.setdefault(GROUPINGS[by](row), []).append(row)
    return [pooled(run, _group(run, by, key, rows), rows, ways or {}) for key, rows in groups.items()]


def _group(run: Run, by: str, key: str, rows: list[Row]) -> Group:
    # An image alone has no value of a distribution metric.
    points = [] if by == "image" else list(dict.fromkeys(row.point for row in rows))
    entries = {
        name: [row.entries[name] for row in rows]
        if name in run.cell_columns
        else [run.point_entries[point][name] for point in points]
        for name in run.columns
    }
    without = {
        status: sum(status in (row.status, *(entry.status for entry in row.entries.values())) for row in rows)
        for status in (Status.FAILED, Status.NOT_APPLICABLE, Status.PENDING)
    }
    return Group(key, len(rows), without, {name: summarise(found) for name, found in entries.items()})


@dataclass(frozen=True)
class PointTiming:
    """How long an operating point took, over its images.

    Attributes:
        encode, decode: median seconds.
        threads: numbers of threads that were available.
        concurrent_load: what else ran at the same time.
        cached: cells whose timing is an earlier run's.
    """

    point: str
    encode: float
    decode: float
    threads: tuple[int, ...]
    concurrent_load: tuple[str, ...]
    cached: int


def point_timings(run: Run) -> list[PointTiming]:
    """Return the coding times of every operating point that has any."""
    found = []
    for point in run.plan.points:
        cells = [row.cell for row in run.rows if row.point == point.id and row.cell is not None]
        timings = [cell.timing for cell in cells if cell.timing is not None]
        if not timings:
            continue
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
                statistics.median(timing.encode.seconds for timing in timings),
                statistics.median(timing.decode.seconds for timing in timings),
                tuple(sorted({timing.threads for timing in timings})),
                tuple(load),
                sum(cell.cached for cell in cells),
            )
        )
    return found


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


def find_column(run: Run, name: str) -> str:
    """Check that a column is there.

    Raises:
        QbenchError: it is not; with the nearest name.
    """
    known = ["image", "codec", "point", *run.columns]
    if name not in known:
        raise QbenchError(f"no column `{name}` in this run{did_you_mean(name, known)} (columns: {', '.join(known)})")
    return name


def sort_rows(run: Run, by: str | None) -> list[Row]:
    """Return the rows, best first by a metric's column, or in order of image, codec or point; None: as planned."""
    if by is None:
        return run.rows
    if find_column(run, by) in run.columns:
        return sorted(run.rows, key=lambda row: _rank(_value(run, row, by), run.columns[by]))
    return sorted(run.rows, key=lambda row: str(getattr(row, by)))


def sort_groups(run: Run, groups: list[Group], by: str | None) -> list[Group]:
    """Return groups, best mean first by a metric's column; None: as planned."""
    if by is None or find_column(run, by) not in run.columns:
        return groups if by is None else sorted(groups, key=lambda group: group.key)
    return sorted(groups, key=lambda group: _rank(group.summaries[by].mean, run.columns[by]))


def best(values: Iterable[float | None], column: Column) -> float | None:
    """Return the best value in the column's direction; None if there are none, or nothing to choose between."""
    present = [value for value in values if value is not None]
    if len(set(present)) < 2:
        return None
    return max(present) if column.direction is Direction.HIGHER else min(present)


def format_value(value: float | None, column: Column) -> str:
    """Write a value with the column's decimals; ``∞`` for infinite, empty for none."""
    if value is None:
        return ""
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    return f"{value:.{column.digits}f}"


def _value(run: Run, row: Row, column: str) -> float | None:
    entry = row.entries[column] if column in row.entries else run.point_entries[row.point][column]
    return entry.value


def _rank(value: float | None, column: Column) -> tuple[bool, float]:
    if value is None:
        return True, 0.0
    return False, -value if column.direction is Direction.HIGHER else value


def model_lines(run: Run) -> list[str]:
    """Name the models that codecs and metrics use, a line each: ``vit-score: name (what it is)``."""
    users = run.plan.participants
    lines = [f"{user.label}: {name} ({summary})" for user in users for name, summary in user.models.items()]
    return list(dict.fromkeys(lines))  # once for all operating points of a codec
