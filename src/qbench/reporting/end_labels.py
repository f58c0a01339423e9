"""Labels at the ends of a figure's lines, where they cover no point and no other label."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

GAP = 6.0
"""Between a point and its label, in points of print, as all lengths here."""
STEP = 2.0
"""Between two places of a curve that are looked at."""
RADIUS = 3.5
"""Of a marker, with some air."""
LEVELS = (0, 1, -1, 2, -2, 3, -3, 4, -4, 5, -5, 6, -6)
"""How far up or down a label may be moved, in half heights of a line."""
COVERED, NEARER_TO_OTHERS, FROM_THE_END = 8.0, 6.0, 4.0
"""What it costs that a label lies on a curve, is nearer to another's, and does not stand at the end of its own."""
FAR = 9.0
"""From its point, from which on a line leads to a label."""


Box = tuple[float, float, float, float]
"""Left, bottom, right, top."""


@dataclass(frozen=True)
class EndedLine:
    """A line that is to be labelled.

    Attributes:
        text: the label.
        points: places of its markers on the page, from left to right.
        course: places along the curve, close to each other.
        width, height: of the label.
    """

    text: str
    points: Sequence[tuple[float, float]]
    course: Sequence[tuple[float, float]]
    width: float
    height: float


@dataclass(frozen=True)
class Placed:
    """Where a label's left end and middle are, and the point that it belongs to."""

    x: float
    y: float
    point: tuple[float, float]
    width: float
    height: float

    @property
    def box(self) -> Box:
        """What it covers."""
        return self.x, self.y - self.height / 2, self.x + self.width, self.y + self.height / 2

    @property
    def leader(self) -> tuple[float, float] | None:
        """Where a line from the point meets the label; None where it stands beside the point."""
        if _distance(self.box, *self.point) <= FAR:
            return None
        left, bottom, right, top = self.box
        return min(max(self.point[0], left), right), min(max(self.point[1], bottom), top)


def place_labels(lines: Sequence[EndedLine], frame: Box) -> list[Placed] | None:
    """Return where labels go, each near the end of its line and within the frame.

    Returns:
        A place for each line in their order; None where some label can't be placed without covering a marker or
        another label.
    """
    upwards = sorted(range(len(lines)), key=lambda index: lines[index].points[-1][1])
    for clear in (True, False):  # of curves, too, if that can be
        attempts = [_attempt(lines, frame, order, clear=clear) for order in (upwards, upwards[::-1])]
        usable = [attempt for attempt in attempts if attempt is not None]
        if usable:
            return min(usable, key=lambda attempt: attempt[0])[1]
    return None


def _attempt(
    lines: Sequence[EndedLine], frame: Box, order: Sequence[int], *, clear: bool
) -> tuple[float, list[Placed]] | None:
    """Place labels one after the other in an order; return what that costs, and where they are.

    Args:
        clear: whether no label may lie on a curve.
    """
    placed: dict[int, Placed] = {}
    boxes: list[Box] = []
    total = 0.0
    for index in order:
        best: tuple[float, Placed, Box] | None = None
        for cost, place in _places(lines[index]):
            box = place.box
            if best is not None and cost >= best[0]:
                continue
            if not _within(box, frame) or any(_overlap(box, other) for other in boxes) or _covers_marker(box, lines):
                continue
            passing = _on_curves(box, lines, index)
            if clear and passing >= COVERED:
                continue
            cost += passing
            if best is None or cost < best[0]:
                best = cost, place, box
        if best is None:
            return None
        total += best[0]
        placed[index] = best[1]
        boxes.append(best[2])
    return total, [placed[index] for index in range(len(lines))]


def _places(line: EndedLine) -> Iterator[tuple[float, Placed]]:
    """Yield places for a label, and what is against each: right of the last point first, then about the others."""
    size = line.width, line.height
    for number, (x, y) in enumerate(reversed(line.points)):
        away = number * FROM_THE_END
        for level in LEVELS:
            rise = level * line.height / 2
            yield away + abs(level), Placed(x + GAP, y + rise, (x, y), *size)
            yield away + 1 + abs(level), Placed(x - GAP - line.width, y + rise, (x, y), *size)
        for sign in (1, -1):
            rise = sign * (RADIUS + line.height / 2 + 1)
            for share in (0.5, 0.0, 1.0):
                yield away + 2 + share, Placed(x - share * line.width, y + rise, (x, y), *size)


def _within(box: Box, frame: Box) -> bool:
    return box[0] >= frame[0] and box[1] >= frame[1] and box[2] <= frame[2] and box[3] <= frame[3]


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _covers_marker(box: Box, lines: Sequence[EndedLine]) -> bool:
    marks = ((x, y) for line in lines for x, y in line.points)
    return any(_overlap(box, (x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS)) for x, y in marks)


def _on_curves(box: Box, lines: Sequence[EndedLine], own: int) -> float:
    """Return what is against a place for the curves that pass through it, or nearer than the label's own."""
    cost = 0.0
    distances = []
    for line in lines:
        distances.append(min(_distance(box, x, y) for x, y in line.course))
        cost += COVERED * (distances[-1] == 0)
    nearest = min(distance for index, distance in enumerate(distances) if index != own) if len(lines) > 1 else math.inf
    return cost + NEARER_TO_OTHERS * (nearest < distances[own])


def _distance(box: Box, x: float, y: float) -> float:
    return math.hypot(max(box[0] - x, 0.0, x - box[2]), max(box[1] - y, 0.0, y - box[3]))


def drawn_places(axes: Any, xs: Sequence[float], ys: Sequence[float]) -> list[tuple[float, float]]:
    """Return where points of data are on the page, in points of print; those outside the axes are left out."""
    points = 72 / axes.figure.dpi
    low, high = axes.get_xlim(), axes.get_ylim()
    kept = [(x, y) for x, y in zip(xs, ys, strict=True) if min(low) <= x <= max(low) and min(high) <= y <= max(high)]
    return [(float(x) * points, float(y) * points) for x, y in axes.transData.transform(kept)] if kept else []


def closely(places: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return places along straight lines between places, so close that no label slips through."""
    found = list(places[:1])
    for (x, y), (other, above) in pairwise(places):
        steps = max(1, math.ceil(math.hypot(other - x, above - y) / STEP))
        found += [(x + (other - x) * k / steps, y + (above - y) * k / steps) for k in range(1, steps + 1)]
    return found
