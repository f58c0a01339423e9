"""The records of a run, looked up by cell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

from qbench.planning.types import OperatingPoint, Plan, PlannedImage, PlannedMetric, plan_from_json
from qbench.records import CellRecord, PlanRecord, ScoreRecord, SessionRecord

Record = SessionRecord | PlanRecord | CellRecord | ScoreRecord


class RunState:
    """What is known of a run so far. Where a cell or score was recorded twice, the later record is valid.

    Attributes:
        damaged: numbers of the journal's lines that could not be read.
    """

    def __init__(self, records: Iterable[Record], damaged: Sequence[int] = ()) -> None:
        self.damaged = tuple(damaged)
        self.sessions: dict[str, SessionRecord] = {}
        self.plan_record: PlanRecord | None = None
        self._cells: dict[tuple[str, str], CellRecord] = {}
        self._scores: dict[tuple[str, str, str], ScoreRecord] = {}
        self._fitting: dict[tuple[str, str], dict[str, ScoreRecord | None]] = {}
        for record in records:
            self.add(record)

    def add(self, record: Record) -> None:
        """Take in one more record."""
        if isinstance(record, CellRecord):
            self._cells[record.image, record.point] = record
            if self._fitting:
                self._fitting.pop((record.image, record.point), None)
        elif isinstance(record, ScoreRecord):
            self._scores[record.image, record.point, record.metric] = record
            if self._fitting:
                self._fitting.pop((record.image, record.point), None)
        elif isinstance(record, SessionRecord):
            self.sessions[record.id] = record
        else:
            self.plan_record = record
            self._fitting.clear()
            self.__dict__.pop("plan", None)

    @cached_property
    def plan(self) -> Plan:
        """The plan, without image sources."""
        assert self.plan_record is not None  # RunFolder.load sees to it
        return plan_from_json(self.plan_record.plan)

    @property
    def cells(self) -> Iterable[CellRecord]:
        """The records of all cells that have one."""
        return self._cells.values()

    @property
    def scores(self) -> Iterable[ScoreRecord]:
        """The records of all scores that have one, fitting or not."""
        return self._scores.values()

    def cell(self, image: PlannedImage, point: OperatingPoint) -> CellRecord | None:
        """Return the record of a cell, None while it has none."""
        return self._cells.get((image.name, point.id))

    def score(
        self, plan: Plan, metric: PlannedMetric, image: PlannedImage, point: OperatingPoint
    ) -> ScoreRecord | None:
        """Return the record of a score, None while it has none that fits the cell's present bitstream."""
        place, label = (image.name, point.id), metric.label
        known = self._fitting.get(place)
        if known is None:
            known = self._fitting[place] = {}
        elif label in known:  # hashed once for each cell: a report looks a score up several times
            return known[label]
        record, cell = self._scores.get((*place, label)), self._cells.get(place)
        fits = record is not None and cell is not None and record.key == score_key(plan, metric, image, cell)
        found = known[label] = record if fits else None
        return found

    @property
    def failed(self) -> bool:
        """Whether any record is of a failure, fitting or not."""
        return any(each.failure is not None for records in (self._cells, self._scores) for each in records.values())

    def point_score(self, plan: Plan, metric: PlannedMetric, point: OperatingPoint) -> ScoreRecord | None:
        """Return a distribution metric's record of an operating point, None while it has none that fits its cells."""
        record = self._scores.get(("", point.id, metric.label))
        return record if record is not None and record.key == self.point_score_key(plan, metric, point) else None

    def point_score_key(self, plan: Plan, metric: PlannedMetric, point: OperatingPoint) -> str:
        """Return the content key of a distribution metric on the present cells of an operating point."""
        cells = [self.cell(image, point) for image in plan.images]
        return plan.point_score_key(metric, [str(cell and cell.reconstruction_sha256) for cell in cells])


def score_key(plan: Plan, metric: PlannedMetric, image: PlannedImage, cell: CellRecord) -> str:
    """Return the content key of a metric on a coded cell."""
    return plan.score_key(metric, image, str(cell.bitstream_sha256), str(cell.reconstruction_sha256))
