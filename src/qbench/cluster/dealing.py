"""Dividing a session's work into units: what is done in one piece, and what comes first."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from qbench.cluster.units import CellPart, ImagePart, Unit
from qbench.execute.work import CellWork, ImageWork
from qbench.planning.types import OperatingPoint, Plan

UNITS_PER_SLOT = 4
"""That there should be, so that no slot is left without while others have much to do."""
MOST_IMAGES = 8
"""Of a unit, where there are many: what a unit costs beside its work is shared by them."""
MOST_SECONDS = 60.0
"""Of a unit, if it can be divided: it is what a worker takes along that is lost."""
UNKNOWN_NETWORK, UNKNOWN = 5.0, 0.05
"""Seconds that a cell is taken to need as long as nothing is known."""


@dataclass(frozen=True)
class Crew:
    """The workers that there are.

    Attributes:
        slots: units that they do at a time; 0 while there are none.
        accelerators: whether some have one that something computes on.
        processors: whether others have none.
    """

    slots: int
    accelerators: bool = False
    processors: bool = False


class Dealer:
    """Divides work for a crew.

    Args:
        seconds: that an image took at an operating point, the longest so far, as far as that is known.
    """

    def __init__(self, plan: Plan, crew: Crew, seconds: Mapping[str, float]) -> None:
        self._crew = crew
        self._seconds = seconds
        there = (metric.label for metric in plan.metrics if metric.runs_on == "accelerator" and crew.accelerators)
        self._metrics_there = frozenset(there)
        self._points = {point.id: point for point in plan.points}
        self._number = 0

    def units(self, works: Sequence[ImageWork]) -> list[Unit]:
        """Return the units of some work, the longest first.

        An image with all its operating points is one unit where there are many images; several images are one where
        there are very many. Where there are few, operating points of one codec stay together, as they often have
        work in common, unless that leaves slots without.
        """
        wanted = UNITS_PER_SLOT * max(1, self._crew.slots)
        longest = max((self._of_image(work) for work in works), default=0.0)
        together = max(1, min(MOST_IMAGES, len(works) // (4 * wanted), int(MOST_SECONDS // max(longest, 1e-3))))
        pieces = -(-wanted // max(1, len(works)))
        found: list[Unit] = []
        for first in range(0, len(works), together):
            chosen = works[first : first + together]
            if together > 1:
                found += self._of([(work, work.cells) for work in chosen])
            else:
                needed = math.ceil(self._of_image(chosen[0]) / MOST_SECONDS)
                for cells in self._dealt(chosen[0].cells, max(1, pieces, needed)):
                    found += self._of([(chosen[0], cells)])
        return sorted(found, key=self.cost, reverse=True)

    def unit(
        self, parts: tuple[ImagePart, ...], *, accelerator: bool = False, later: frozenset[str] = frozenset()
    ) -> Unit:
        """Return a unit of some parts."""
        self._number += 1
        return Unit(self._number, parts, accelerator, later=later)

    def cost(self, unit: Unit) -> float:
        """Return the seconds that a unit is expected to take."""
        return sum(self._expected(self._points[cell.point]) for part in unit.parts for cell in part.cells)

    def _of(self, parts: Sequence[tuple[ImageWork, Sequence[CellWork]]]) -> Iterator[Unit]:
        """Yield units of these cells: apart, where a part of them needs an accelerator and not all workers have one."""
        for accelerator in (False, True):
            chosen = [
                (work, [cell for cell in cells if self._needs_accelerator(cell) == accelerator])
                for work, cells in parts
            ]
            later = self._metrics_there if not accelerator and self._crew.processors else frozenset()
            made = tuple(
                ImagePart(work.image.name, work.source, tuple(_part(cell, later) for cell in cells))
                for work, cells in chosen
                if cells
            )
            if made:
                yield self.unit(made, accelerator=accelerator, later=later)

    def _needs_accelerator(self, cell: CellWork) -> bool:
        """Whether a cell can only be begun where there is an accelerator."""
        if not self._crew.accelerators:
            return False
        if cell.coded is None and cell.point.runs_on == "accelerator":
            return True
        there = self._metrics_there.intersection(cell.metrics)
        # A processor codes, and an accelerator scores afterwards, where there are workers for each.
        return bool(there) and not (self._crew.processors and cell.coded is None)

    def _dealt(self, cells: Sequence[CellWork], pieces: int) -> list[Sequence[CellWork]]:
        """Split an image's cells into so many pieces of about the same cost."""
        if pieces == 1 or len(cells) == 1:
            return [cells]
        groups: dict[str, list[CellWork]] = {}
        for cell in cells:
            groups.setdefault(cell.point.label, []).append(cell)
        bundles = list(groups.values())
        if len(bundles) < pieces:
            bundles = [part for each in bundles for part in ([each] if each[0].point.models else [[c] for c in each])]
        if len(bundles) < pieces:
            bundles = [[cell] for cell in cells]
        bundles.sort(key=lambda each: -sum(self._expected(cell.point) for cell in each))
        dealt: list[list[CellWork]] = [[] for _ in range(min(pieces, len(bundles)))]
        costs = [0.0] * len(dealt)
        for bundle in bundles:
            least = costs.index(min(costs))
            dealt[least] += bundle
            costs[least] += sum(self._expected(cell.point) for cell in bundle)
        return [each for each in dealt if each]

    def _of_image(self, work: ImageWork) -> float:
        return sum(self._expected(cell.point) for cell in work.cells)

    def _expected(self, point: OperatingPoint) -> float:
        return self._seconds.get(point.id, UNKNOWN_NETWORK if point.models else UNKNOWN)


def _part(cell: CellWork, later: frozenset[str]) -> CellPart:
    return CellPart(cell.point.id, cell.key, cell.coded, tuple(name for name in cell.metrics if name not in later))
