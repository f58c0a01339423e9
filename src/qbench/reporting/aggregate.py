"""From a run's rows to tables of plain values. Pure: no terminal, no files."""

from __future__ import annotations

import math
import statistics
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from numbers import Real

from qbench.contracts.metric import Column, Direction, MetricDeclaration, column_id
from qbench.errors import QbenchError, did_you_mean
from qbench.registry.catalogue import Catalogue, Offer
from qbench.reporting.notation import FEWER_LEGEND
from qbench.results.comparability import column_owners
from qbench.results.run import Entry, Row, Run, Status


@dataclass(frozen=True)
class Summary:
    """A column over several cells.

    Attributes:
        count: values that went into it.
        mean: arithmetic mean over images; infinite if a value is, None if some are infinite in one direction and some
            in the other. Where ``pooling`` says so, what the metric aggregates instead. None of cells at several
            operating points, whose mean would mean nothing.
        deviation: sample standard deviation; None for fewer than two values, infinite or pooled ones.
        pooling: how the metric itself aggregated, in words; empty for a mean.
        images: names of those that it is over; of several operating points those that all are over.
        low, high: of cells at several operating points, the least and the greatest of their means.
        alike: whether all operating points are over the same images.
        infinite: images whose value is infinite where those of others are not, or infinite the other way, so that the
            mean says nothing.
    """

    count: int
    mean: float | None
    deviation: float | None
    pooling: str = ""
    images: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    alike: bool = True
    infinite: tuple[str, ...] = ()


@dataclass(frozen=True)
class Group:
    """Cells that share a key: an operating point, a codec, or an image.

    Attributes:
        cells: how many.
        size, pixels: bytes of all its bitstreams, and pixels of the images that they code.
        points: how many operating points they are at.
        versions: of their codecs.
        without: status → in how many of them the coding or a score has it (failed, not applicable, pending).
    """

    key: str
    cells: int
    size: int
    pixels: int
    points: int
    without: dict[Status, int]
    summaries: dict[str, Summary]
    versions: tuple[str, ...] = ()


MOST_NAMED = 6
GROUPINGS: dict[str, Callable[[Row], str]] = {
    "point": lambda row: row.point,
    "codec": lambda row: row.codec,
    "image": lambda row: row.image,
}


def summarise(entries: Mapping[str, Entry]) -> Summary:
    """Summarise a column's entries of one operating point, image → entry."""
    known = {image: entry.value for image, entry in entries.items() if entry.value is not None}
    values = list(known.values())
    infinite = tuple(image for image, value in known.items() if math.isinf(value))
    return Summary(
        len(values),
        _mean(values),
        _deviation(values) if len(values) > 1 and all(map(math.isfinite, values)) else None,
        images=tuple(known),
        infinite=infinite if len({value if math.isinf(value) else 0.0 for value in values}) > 1 else (),
    )


def _mean(values: Sequence[float]) -> float | None:
    if not values or {math.inf, -math.inf} <= set(values):
        return None
    try:
        return statistics.fmean(values)
    except OverflowError:  # the sum is beyond a double, the mean isn't
        return math.fsum(value / len(values) for value in values)


def _deviation(values: Sequence[float]) -> float:
    largest = max(map(abs, values))
    if largest < math.sqrt(sys.float_info.max) / len(values):
        return statistics.stdev(values)
    return largest * statistics.stdev([value / largest for value in values])  # the squares are beyond a double


Pools = Mapping[str, tuple[str, Callable[[Sequence[float], Sequence[int]], float | None]]]
"""Column → in words and as a function, how its metric aggregates over images where that is not the mean."""


def pools(run: Run, metrics: Catalogue[type[MetricDeclaration]]) -> Pools:
    """Return how a run's metrics aggregate over images, as far as they are installed and have a way of their own."""
    own = {} if run.rate_column in column_owners(run) else {run.rate_column: ("total bits by total pixels", _weighted)}
    return own | {
        column_id(planned.label, planned.metric, column.name): (
            offer.cls.pooling,
            partial(pooled_value, offer, column.name),
        )
        for planned in run.plan.metrics
        if planned.metric in metrics and (offer := metrics.offer(planned.metric)).cls.pooling
        for column in planned.columns
    }


def _weighted(values: Sequence[float], pixels: Sequence[int]) -> float:
    return math.fsum(value * count for value, count in zip(values, pixels, strict=True)) / sum(pixels)


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
    return [_group(run, by, key, rows, ways or {}) for key, rows in groups.items()]


def pooling(groups: Sequence[Group]) -> str:
    """Say which columns metrics aggregated in their own way, and how; empty where all are means."""
    ways = {name: each.pooling for group in groups for name, each in group.summaries.items() if each.pooling}
    return "; ".join(f"{name}: {way}" for name, way in ways.items())


def _group(run: Run, by: str, key: str, rows: list[Row], ways: Pools) -> Group:
    points: dict[str, list[Row]] = {}
    for row in rows:
        points.setdefault(row.point, []).append(row)
    summaries = {}
    for name in run.columns:
        if name in run.cell_columns:
            found = [_at_a_point(run, name, each, ways) for each in points.values()]
        else:  # an image alone has no value of a distribution metric
            found = [] if by == "image" else [_of_a_point(run, name, point) for point in points]
        summaries[name] = _together(found)
    without = {
        status: sum(status in (row.status, *(entry.status for entry in row.entries.values())) for row in rows)
        for status in (Status.FAILED, Status.NOT_APPLICABLE, Status.PENDING)
    }
    sizes = {image.name: image.pixels for image in run.plan.images}
    coded = [row for row in rows if row.cell is not None and row.cell.bitstream_size is not None]
    size = sum(row.cell.bitstream_size or 0 for row in coded if row.cell is not None)
    versions = tuple(dict.fromkeys(run.version_of(point) for point in points))
    return Group(
        key, len(rows), size, sum(sizes[row.image] for row in coded), len(points), without, summaries, versions
    )


def _at_a_point(run: Run, name: str, rows: Sequence[Row], ways: Pools) -> Summary:
    """Summarise one operating point: by the mean, or as the metric itself aggregates."""
    summary = summarise({row.image: row.entries[name] for row in rows})
    if name in ways and summary.count:
        way, pool = ways[name]
        sizes = {image.name: image.pixels for image in run.plan.images}
        values = [(value, sizes[row.image]) for row in rows if (value := row.entries[name].value) is not None]
        aggregate = pool(*map(list, zip(*values, strict=True)))
        if aggregate is not None:
            return replace(summary, mean=aggregate, deviation=None, pooling=way, infinite=())
    return summary


def _of_a_point(run: Run, name: str, point: str) -> Summary:
    """Return a distribution metric's one value of an operating point, which is over all images."""
    value = run.point_entries[point][name].value
    images = () if value is None else tuple(image.name for image in run.plan.images)
    return Summary(int(value is not None), value, None, images=images)


def _together(found: Sequence[Summary]) -> Summary:
    """Return what there is to say of several operating points: that of one, or between which means they lie."""
    if len(found) == 1:
        return found[0]
    means = [each.mean for each in found if each.mean is not None]
    count = sum(each.count for each in found)
    if not means:
        return Summary(count, None, None)
    common = [image for image in found[0].images if all(image in each.images for each in found)]
    pooled = next((each.pooling for each in found if each.pooling), "")
    alike = all(set(each.images) == set(common) for each in found)
    infinite = tuple(dict.fromkeys(image for each in found for image in each.infinite))
    return Summary(count, None, None, pooled, tuple(common), min(means), max(means), alike, infinite)


def fewer_values(run: Run, group: Group, column: str) -> bool:
    """Say whether a group has fewer values of a column than it has cells, or operating points."""
    count = group.summaries[column].count
    return 0 < count < (group.cells if column in run.cell_columns else group.points)


def comparable(groups: Sequence[Group], column: str) -> set[str]:
    """Return the keys of groups whose means of a column are over the same images, and so can be compared: over the most
    that any are over, and what most of these are over. None where some are of several operating points."""
    found = [(group.key, group.summaries[column]) for group in groups]
    if any(summary.low is not None for _, summary in found):
        return set()
    sets = Counter(frozenset(summary.images) for _, summary in found if summary.mean is not None)
    most = max(sets, key=lambda images: (len(images), sets[images]), default=frozenset())
    unfinished = {group.key for group in groups if group.without.get(Status.PENDING)}
    fair = {key for key, summary in found if summary.mean is not None and set(summary.images) == most} - unfinished
    return fair - {key for key, summary in found if summary.infinite}


def marked(groups: Sequence[Group], column: str, by: str) -> set[str]:
    """Return the keys of groups whose mean, or range of means, is over other images than those it stands beside.

    Args:
        by: how cells are grouped; images stand for themselves.
    """
    ranges = any(group.summaries[column].low is not None for group in groups)
    if by == "image":
        return set()
    if ranges:
        found = [(group.key, group.summaries[column]) for group in groups]
        most = max((set(summary.images) for _, summary in found if summary.alike), key=len, default=set())
        return {key for key, each in found if each.count and not (each.alike and set(each.images) == most)}
    fair = comparable(groups, column)
    return {
        group.key
        for group in groups
        if group.summaries[column].mean is not None and not group.summaries[column].infinite and group.key not in fair
    }


def best_of(groups: Sequence[Group], name: str, column: Column) -> float | None:
    """Return the best mean of a column among the groups that can be compared in it."""
    keys = comparable(groups, name)
    return best([group.summaries[name].mean for group in groups if group.key in keys], column)


def fewer_images(run: Run, groups: Sequence[Group], by: str, columns: Sequence[str] = ()) -> list[str]:
    """Say which means are over fewer images than the run has, and which these lack; and what a mark on them means.

    Args:
        by: how cells are grouped; a group of one image's cells lacks no others.
        columns: that are shown; all by default.
    """
    if by == "image":
        return []
    names = [image.name for image in run.plan.images]
    lines: dict[str, dict[str, list[str]]] = {}
    infinite: dict[str, dict[str, list[str]]] = {}
    for group in groups:
        for column, summary in group.summaries.items():
            if columns and column not in columns:
                continue
            if summary.infinite:
                text = f"{_some(summary.infinite)}"
                infinite.setdefault(text, {}).setdefault(group.key, []).append(column)
            there = set(summary.images)
            missing = [name for name in names if name not in there]
            if (summary.mean is not None or summary.low is not None) and missing:
                text = f"{len(names) - len(missing)} of {len(names)} images (without {_some(missing)})"
                if summary.low is not None:
                    text += ", which all its operating points have"
                lines.setdefault(text, {}).setdefault(group.key, []).append(column)
    any_marked = any(marked(groups, name, by) for name in columns or run.columns)
    return (
        [FEWER_LEGEND] * any_marked
        + [
            f"over {text}: " + "; ".join(f"{key}: {_some(columns)}" for key, columns in found.items())
            for text, found in lines.items()
        ]
        + [
            f"infinite because of {text}, and so compared with none: "
            + "; ".join(f"{key}: {_some(columns)}" for key, columns in found.items())
            for text, found in infinite.items()
        ]
    )


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:MOST_NAMED])
    return f"{shown} and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else shown


def mean_text(summary: Summary, column: Column) -> str:
    """Write a mean, or between which means several operating points lie; empty for none."""
    if summary.low is None or summary.high is None:
        return format_value(summary.mean, column)
    return f"{format_value(summary.low, column)} to {format_value(summary.high, column)}"


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
    return sorted(
        groups, key=lambda group: _rank(_representative(group.summaries[by], run.columns[by]), run.columns[by])
    )


def _representative(summary: Summary, column: Column) -> float | None:
    """Return what a summary is sorted by: its mean, or the best of several."""
    return (
        summary.mean if summary.low is None else summary.high if column.direction is Direction.HIGHER else summary.low
    )


def best(values: Iterable[float | None], column: Column) -> float | None:
    """Return the best value in the column's direction; None if there are none, or nothing to choose between."""
    present = [value for value in values if value is not None]
    if len(set(present)) < 2 or not column.ranked:
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
