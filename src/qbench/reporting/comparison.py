"""Two runs side by side: paired differences by image, and rate saved at equal quality."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from qbench.contracts.metric import Column, Direction
from qbench.errors import QbenchError, did_you_mean
from qbench.reporting.bd import FEWEST_POINTS, BdRate, Method, bd_rates, unusable
from qbench.reporting.curves import Curves, curve_metrics, curves
from qbench.results.comparability import check_same_columns
from qbench.results.run import Entry, Run, Status
from qbench.toolkit.resampling import mean_interval

TIMES = {
    "encode-time": Column("encode-time", Direction.LOWER, 0, None, "s", 4),
    "decode-time": Column("decode-time", Direction.LOWER, 0, None, "s", 4),
}
"""What is compared of cells beside their columns."""


@dataclass(frozen=True)
class Difference:
    """What changed in one column at one operating point, from the first run to the second.

    A value that is infinite in one run only, as the PSNR of what became lossless or no longer is, is in no mean.

    Attributes:
        codec: label of the point's codec.
        images: with a finite value in both.
        first, second: means over them; infinite where there are none.
        low, high: 95 % interval of the mean difference over images (Student's t); None with fewer than three.
        worsened, improved: images whose value is infinite in one of the runs only, in which the second is worse, or
            better.
    """

    point: str
    codec: str
    name: str
    column: Column
    images: int
    first: float
    second: float
    low: float | None
    high: float | None
    worsened: tuple[str, ...] = ()
    improved: tuple[str, ...] = ()

    @property
    def change(self) -> float:
        """Second less first; infinite where the value of an image became finite, or was."""
        sign = 1.0 if self.column.direction is Direction.HIGHER else -1.0
        if self.worsened:
            return -sign * math.inf
        if self.improved and not self.images:
            return sign * math.inf
        return self.second - self.first if self.images else 0.0

    @property
    def worse(self) -> float:
        """By how much the second is worse; negative if it is better."""
        return -self.change if self.column.direction is Direction.HIGHER else self.change

    @property
    def certain(self) -> bool:
        """Whether 0 is outside of the interval; what is no longer lossless is worse for certain."""
        if self.worsened:
            return True
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


@dataclass(frozen=True)
class Unjudged:
    """Values of a column that can't be compared, as one run lacks them, or both do.

    Attributes:
        point, codec: where; ``name`` is the column, or empty for all columns.
        images: which.
        reason: why.
    """

    point: str
    codec: str
    name: str
    images: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class Comparison:
    """Two runs side by side.

    Attributes:
        points: operating points in both; ``new_points`` those in the second only.
        images: names of the images in both whose pixels are the same; ``new_images`` those in the second only.
        differences: significant regressions first, the largest relative ones at the top; then the rest, likewise.
        times: differences in coding times; ``times_unjudged`` what can't be compared of them.
        rates: metric and BD-rate of each codec in both, the first run's curve being the anchor.
        codecs: labels of those that both have points of.
        unlike: how the conditions of the two runs' coding times differ.
        unjudged: what can't be compared, points and images of the first run that the second lacks included.
        changed: settings and libraries of operating points that are called alike in both and are not.
    """

    points: tuple[str, ...]
    new_points: tuple[str, ...]
    images: tuple[str, ...]
    new_images: tuple[str, ...]
    differences: tuple[Difference, ...]
    times: tuple[Difference, ...]
    rates: tuple[tuple[str, BdRate], ...]
    unjudged: tuple[Unjudged, ...]
    times_unjudged: tuple[Unjudged, ...]
    changed: tuple[str, ...]
    codecs: tuple[str, ...] = ()
    unlike: tuple[str, ...] = ()


def compare(
    first: Run, second: Run, metrics: Sequence[str] = (), *, method: Method = "pchip", mixed: bool = False
) -> Comparison:
    """Compare two runs.

    Args:
        metrics: columns that BD-rates are taken of; by default the first that both runs have.
        mixed: compare columns of different models or settings, and imported images by their names.

    Raises:
        QbenchError: nothing in common, a column that one lacks, or columns that can't be compared.
    """
    if not mixed:
        check_same_columns([first, second])
    by_name = mixed and (first.imported or second.imported)  # whose pixels nobody knows
    pixels = {image.name: "" if by_name else image.sha256 for image in first.plan.images}
    images = tuple(
        image.name for image in second.plan.images if pixels.get(image.name) == ("" if by_name else image.sha256)
    )
    points = {point.id: point for point in first.plan.points}
    both = tuple(point.id for point in second.plan.points if point.id in points)
    columns = {name: column for name, column in first.cell_columns.items() if name in second.cell_columns}
    if not (images and both and columns):
        raise QbenchError(
            f"{first.name} and {second.name} have nothing in common: {len(images)} images "
            f"{'of the same name' if by_name else 'with the same pixels'}, "
            f"{len(both)} operating points, {len(columns)} columns"
        )
    unjudged = [
        Unjudged(point.id, point.label, "", (), f"not in {second.name}")
        for point in first.plan.points
        if point.id not in both
    ]
    lost = tuple(name for name in pixels if name not in images)
    if lost:
        unjudged.append(Unjudged("", "", "", lost, f"not in {second.name}, or of other pixels there"))
    unjudged += [
        Unjudged("", "", name, (), f"no such column in {second.name}")
        for name in first.columns
        if name not in second.columns
    ]
    entries = [{(row.image, row.point): row.entries for row in run.rows} for run in (first, second)]
    timings = [{(row.image, row.point): _times(row.cell, row.status) for row in run.rows} for run in (first, second)]
    differences: list[Difference] = []
    times: list[Difference] = []
    times_unjudged: list[Unjudged] = []
    for cells, known, into, left in (
        (entries, columns, differences, unjudged),
        (timings, TIMES, times, times_unjudged),
    ):
        for point in both:
            for name, column in known.items():
                pairs = [(image, cells[0][image, point][name], cells[1][image, point][name]) for image in images]
                found, lacking = _difference(point, points[point].label, name, column, pairs)
                into += found
                left += lacking
    same_images = len(images) == len(first.plan.images) == len(second.plan.images)
    for point in both:
        for name in first.columns.keys() & second.columns.keys() - first.cell_columns.keys():
            one, other = (run.point_entries[point][name] for run in (first, second))
            if not same_images:
                other = Entry(Status.SKIPPED, reason="it is over other images")
            pairs = [("all images", one, other)]
            found, lacking = _difference(point, points[point].label, name, first.columns[name], pairs)
            differences += [replace(each, images=len(images) * bool(each.images)) for each in found]
            unjudged += lacking
    differences.sort(key=_importance, reverse=True)
    rates = [each for metric in _metrics(first, second, metrics) for each in _rates(first, second, metric, method)]
    return Comparison(
        both,
        tuple(point.id for point in second.plan.points if point.id not in points),
        images,
        tuple(image.name for image in second.plan.images if image.name not in images),
        tuple(differences),
        tuple(times),
        tuple(rates),
        tuple(unjudged),
        tuple(times_unjudged),
        tuple(dict.fromkeys(line for point in both for line in _changed(first, second, point))),
        tuple(dict.fromkeys(points[point].label for point in both)),
        tuple(_unlike(first, second, both)),
    )


def _unlike(first: Run, second: Run, points: Sequence[str]) -> Iterator[str]:
    """Say in what the conditions differ that coding times were taken under."""
    conditions = [_conditions(run, points) for run in (first, second)]
    for name in conditions[0]:
        one, other = (" and ".join(sorted(each[name])) or "unknown" for each in conditions)
        if one != other and all(each[name] for each in conditions):
            yield f"{name}: {one} in the first run, {other} in the second"


def _conditions(run: Run, points: Sequence[str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {"threads": set(), "beside": set(), "processor": set(), "device": set()}
    sessions = {session.id: session.provenance for session in run.sessions}
    for row in run.rows:
        if row.point not in points or row.cell is None or row.cell.timing is None:
            continue
        where = sessions.get(row.cell.session, {})
        found["threads"].add(str(row.cell.timing.threads))
        found["beside"].add(row.cell.timing.concurrent_load)
        for name in ("processor", "device"):
            found[name] |= {str(where[name])} if where.get(name) else set()
    return found


def _importance(each: Difference) -> tuple[bool, float]:
    share = each.worse / max(abs(each.first), 1e-12) if math.isfinite(each.first) else each.worse
    return each.certain and each.worse > 0, share


def _times(cell: object, status: Status) -> dict[str, Entry]:
    timing = getattr(cell, "timing", None)
    if timing is None or status is not Status.OK:
        return {name: Entry(status if status is not Status.OK else Status.PENDING) for name in TIMES}
    return {
        "encode-time": Entry(Status.OK, timing.encode.seconds),
        "decode-time": Entry(Status.OK, timing.decode.seconds),
    }


def _difference(
    point: str, codec: str, name: str, column: Column, pairs: Sequence[tuple[str, Entry, Entry]]
) -> tuple[list[Difference], list[Unjudged]]:
    """Compare one column of one point image by image: docs/reports.md has the table of what is compared how."""
    finite: list[tuple[float, float]] = []
    worsened: list[str] = []
    improved: list[str] = []
    infinite: list[tuple[float, float]] = []
    lacking: dict[str, list[str]] = {}
    sign = 1.0 if column.direction is Direction.HIGHER else -1.0
    for image, one, other in pairs:
        if one.value is None or other.value is None:
            if (_undefined(one) and _undefined(other)) or (one.value is None and other.value is not None):
                continue  # nothing to lose, or it was mended
            lacking.setdefault(_why(one, other), []).append(image)
        elif math.isfinite(one.value) and math.isfinite(other.value):
            finite.append((one.value, other.value))
        elif one.value != other.value:
            (improved if sign * other.value > sign * one.value else worsened).append(image)
            infinite.append((one.value, other.value))
    unjudged = [Unjudged(point, codec, name, tuple(images), reason) for reason, images in lacking.items()]
    if not (finite or worsened or improved):
        return [], unjudged
    one, other = (sum(values) / len(values) for values in zip(*(infinite or finite), strict=True))
    found = Difference(point, codec, name, column, 0, one, other, None, None, tuple(worsened), tuple(improved))
    if finite:
        values: npt.NDArray[np.float64] = np.array(finite)
        changes = values[:, 1] - values[:, 0]
        low, high = mean_interval(changes) or (None, None)
        first, second = values.mean(axis=0)
        found = replace(found, images=len(changes), first=float(first), second=float(second), low=low, high=high)
    return [found], unjudged


def _undefined(entry: Entry) -> bool:
    """Whether a metric, or the codec of its cell, is not applicable."""
    skipped = entry.status is Status.SKIPPED and entry.reason.startswith(f"the cell is {Status.NOT_APPLICABLE.value}")
    return entry.status is Status.NOT_APPLICABLE or skipped


def _why(one: Entry, other: Entry) -> str:
    if other.value is None and one.value is None:
        same = one.status is other.status
        because = f": {other.reason}" if other.reason else ""
        return (
            f"{other.status.value} in both{because}" if same else f"{one.status.value} then, {other.status.value} now"
        )
    return f"{other.status.value} in the second: {other.reason}" if other.reason else f"{other.status.value} there"


def _changed(first: Run, second: Run, point_id: str) -> list[str]:
    """Say what is different in two operating points of one name."""
    one, other = first.plan.point(point_id), second.plan.point(point_id)
    lines = []
    for name in sorted({*one.parameters, *other.parameters}):
        before, after = one.parameters.get(name), other.parameters.get(name)
        if before != after:
            lines.append(f"{one.label}: {name} {before} → {after}")
    if one.codec != other.codec:
        lines.append(f"{one.label}: codec {one.codec} → {other.codec}")
    for key in sorted({*one.identity, *other.identity} - {"name", "parameters"}):
        before, after = one.identity.get(key), other.identity.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            lines += [
                f"{one.label}: {name} {_short(before.get(name))} → {_short(after.get(name))}"
                for name in sorted({*before, *after})
                if before.get(name) != after.get(name)
            ]
        elif before != after:
            lines.append(f"{one.label}: {key} {_short(before)} → {_short(after)}")
    return lines


def _short(value: object) -> str:
    text = "none" if value is None else str(value)
    return f"{text[:12]}…" if len(text) == 64 else text


def _metrics(first: Run, second: Run, asked: Sequence[str]) -> list[str]:
    known = [name for name in curve_metrics(first) if name in curve_metrics(second)]
    for name in asked:
        if name not in known:
            raise QbenchError(
                f"no curve of `{name}` in both runs{did_you_mean(name, known)} (both: {', '.join(known)})"
            )
    return list(asked) or known[:1]


def _rates(first: Run, second: Run, metric: str, method: Method) -> list[tuple[str, BdRate]]:
    """Return every codec's BD-rate, over the images that all its points have values of in both runs."""
    labels = [dict.fromkeys(point.label for point in run.plan.points) for run in (first, second)]
    return [(metric, _rate(first, second, metric, codec, method)) for codec in labels[0] if codec in labels[1]]


def _rate(first: Run, second: Run, metric: str, codec: str, method: Method) -> BdRate:
    one, other = curves(first, metric, [codec]), curves(second, metric, [codec])
    for run, found in ((first, one), (second, other)):
        if codec not in found.by_codec:
            return BdRate(codec, None, f"in {run.name}: no image has a finite value at all its operating points")
    drawn = [{point.point for point in found.by_codec[codec]} for found in (one, other)]
    unlike = sorted(drawn[0].symmetric_difference(drawn[1]))
    if unlike:
        verb = "have" if len(unlike) > 1 else "has"
        return BdRate(codec, None, f"{', '.join(unlike)} {verb} finite values in one of the runs only")
    per_image = all(point.values for found in (one, other) for point in found.by_codec[codec])
    shared = [name for name in one.images if name in other.images]
    if not per_image and (one.images, one.left_out) != (other.images, other.left_out):
        return BdRate(codec, None, "the runs are of other images")
    if not shared:
        return BdRate(codec, None, "no image has values in both runs")
    if per_image:
        one, other = one.of_images(shared), other.of_images(shared)
    points = one.by_codec[codec]
    reason = unusable(points, one.sign)
    if reason:
        return BdRate(codec, None, f"in {first.name}: {reason}", too_few=len(points) < FEWEST_POINTS)
    pair: Curves = replace(one, by_codec={first.name: points, second.name: other.by_codec[codec]})
    if first.name == second.name:
        pair = replace(one, by_codec={"the first": points, "the second": other.by_codec[codec]})
    (rate,) = bd_rates(pair, next(iter(pair.by_codec)), method)
    missing = [image.name for image in first.plan.images if image.name not in shared]
    names = f"over {len(shared)} of {len(first.plan.images)} images (without {', '.join(missing)})" if missing else ""
    absent = f"without {', '.join(one.absent)} (no finite value)" if one.absent else ""
    note = "; ".join(text for text in (rate.note, names, absent) if text)
    pixels = {image.name: image.sha256 for image in second.plan.images}
    lacking = tuple(
        image.name
        for image in first.plan.images
        if image.name in missing and pixels.get(image.name) == image.sha256
        if not (_undefined_at(first, codec, image.name) and _undefined_at(second, codec, image.name))
    )
    return replace(rate, codec=codec, note=note, lacking=lacking)


def _undefined_at(run: Run, codec: str, image: str) -> bool:
    """Whether a codec is not applicable to an image."""
    found = [row.status for row in run.rows if (row.codec, row.image) == (codec, image)]
    return all(status is Status.NOT_APPLICABLE for status in found)
