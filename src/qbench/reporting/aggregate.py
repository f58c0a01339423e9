"""From a run's rows to tables of plain values. Pure: no terminal, no files."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from numbers import Real

from qbench.contracts.metric import Column, Direction, MetricDeclaration, column_id
from qbench.errors import QbenchError, did_you_mean
from qbench.registry.catalogue import Catalogue, Offer
from qbench.results.run import Entry, Row, Run, Status


@dataclass(frozen=True)
class Summary:
    """A column over several cells.

    Attributes:
        count: values that went into mean and deviation.
        mean: arithmetic mean; infinite if a value is. Where ``pooling`` says so, what the metric aggregates instead.
        deviation: sample standard deviation; None for fewer than two values, infinite or pooled ones.
        pooling: how the metric itself aggregated, in words; empty for a mean.
    """

    count: int
    mean: float | None
    deviation: float | None
    pooling: str = ""


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


def pools(run: Run, metrics: Catalogue[type[MetricDeclaration]]) -> Pools:
    """Return how a run's metrics aggregate over images, as far as they are installed and have a way of their own."""
    return {
        column_id(planned.label, planned.metric, column.name): (
            offer.cls.pooling,
            partial(pooled_value, offer, column.name),
        )
        for planned in run.plan.metrics
        if planned.metric in metrics and (offer := metrics.offer(planned.metric)).cls.pooling
        for column in planned.columns
    }


def pooled_value(
    offer: Offer[type[MetricDeclaration]], column: str, values: Sequence[float], pixels: Sequence[int]
) -> float | None:
    """Return what a metric's ``pool`` makes of a column's values over images of so many pixels.

    Raises:
        PluginError: it fails, or returns something else than a number or None.
    """
    found = offer.ask("pool", column, values, pixels)
    if found is not None and (isinstance(found, bool) or not isinstance(found, Real) or math.isnan(found)):
        raise offer.broken("pool", f"returned {found!r} for {column}; accepted: a number, or None")
    return None if found is None else float(found)


def _pooled(run: Run, group: Group, rows: Sequence[Row], ways: Pools) -> Group:
    """Return a group with means replaced by what the metrics aggregate instead; deviations don't apply to that."""
    sizes = {image.name: image.pixels for image in run.plan.images}
    summaries = dict(group.summaries)
    for name, (way, pool) in ways.items():
        if name not in run.cell_columns:
            continue
        found = [(value, sizes[row.image]) for row in rows if (value := row.entries[name].value) is not None]
        if found and (aggregate := pool(*map(list, zip(*found, strict=True)))) is not None:
            summaries[name] = Summary(len(found), aggregate, None, way)
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
    return [_pooled(run, _group(run, by, key, rows), rows, ways or {}) for key, rows in groups.items()]


def pooling(groups: Sequence[Group]) -> str:
    """Say which columns metrics aggregated in their own way, and how; empty where all are means."""
    ways = {name: each.pooling for group in groups for name, each in group.summaries.items() if each.pooling}
    return "; ".join(f"{name}: {way}" for name, way in ways.items())


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
