"""A run as people use it: what was planned, what was measured, row by row."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qbench.contracts.metric import Column, Direction, Scope, column_id
from qbench.errors import QbenchError
from qbench.planning.shards import Shard
from qbench.planning.types import OperatingPoint, Plan, PlannedImage, PlannedMetric
from qbench.records import IMPORTED, CellRecord, ScoreRecord, SessionRecord
from qbench.results.state import RunState

if TYPE_CHECKING:
    import pandas


class Status(StrEnum):
    """What became of a cell or a score."""

    OK = "ok"
    FAILED = "failed"
    NOT_APPLICABLE = "not-applicable"
    SKIPPED = "skipped"
    """Not tried, because what it needs failed or is not applicable."""
    PENDING = "pending"
    """Not done yet: the run was stopped before."""


@dataclass(frozen=True)
class Entry:
    """One column's value in one cell, or the reason why there is none."""

    status: Status
    value: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class Row:
    """One cell with everything measured on it.

    Attributes:
        image, point, codec: where it belongs; ``codec`` is the label of the suite's entry.
        parameters: the operating point's settings; ``swept`` those that the suite varied.
        rate: bits per pixel, from the bitstream's size; of imported results also from a column of theirs. None while
            there is no bitstream.
        entries: column id → entry, for every column that has a value per cell.
        cell: the coding's record, None while it is pending.
    """

    image: str
    point: str
    codec: str
    parameters: dict[str, Any]
    swept: dict[str, Any]
    status: Status
    reason: str
    rate: float | None
    entries: dict[str, Entry]
    cell: CellRecord | None


@dataclass(frozen=True)
class FailureNote:
    """A failure and where it happened."""

    image: str
    point: str
    what: str
    message: str
    traceback: str
    printed: str = ""


RATE = Column("bpp", Direction.LOWER, 0.0, None, "bit/pixel", 3, "bits per pixel of the whole bitstream")


class Run:
    """A finished, interrupted or still executing run, read from its folder."""

    def __init__(self, path: Path, state: RunState) -> None:
        self.path = path
        self._state = state
        self.plan: Plan = state.plan

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def imported(self) -> bool:
        """Whether its values are another tool's."""
        return any(session.id == IMPORTED for session in self.sessions)

    @property
    def averaging(self) -> str:
        """How values were formed that are means over images: by this program's tables, or by the tool they are from."""
        told = [session.provenance.get("averaging") for session in self.sessions if session.id == IMPORTED]
        return str(told[0] or "") if told else "mean over images"

    @property
    def sessions(self) -> list[SessionRecord]:
        """The sessions that its values were measured in, also those of other runs that the cache remembers."""
        return list(self._state.sessions.values())

    @property
    def remarks(self) -> tuple[str, ...]:
        """What one must know before reading on: what was passed over, lines of the journal that are damaged."""
        lines = ", ".join(map(str, self._state.damaged))
        damage = f"journal.jsonl is damaged in line {lines}: what stood there counts as not measured"
        means = [f"values are {self.averaging}"] if self.imported and self.averaging else []
        if any(session.provenance.get("in_process") for session in self.sessions):
            means.append("coded and scored in one process, where nothing keeps a decoder from seeing the original")
        return (*self.plan.remarks, *means, *([damage] if lines else []))

    @cached_property
    def columns(self) -> dict[str, Column]:
        """Column id → declaration: the rate first, then in the order of the suite."""
        planned = self._planned_columns
        return {self.rate_column: planned.get(self.rate_column, RATE), **planned}

    @cached_property
    def rate_column(self) -> str:
        """Id of the column of bits per pixel, which every run has: a metric's, or else of its own."""
        own = next(iter(self._rate_columns), "")
        return own or next(name for name in ("bpp", "rate.bpp", "rate.bits") if name not in self._planned_columns)

    @cached_property
    def rate_columns(self) -> set[str]:
        """Ids of all columns that say what pixels cost, not how they look."""
        rates = [metric for metric in self.plan.metrics if metric.scope == Scope.RATE]
        return {self.rate_column, *(name for metric in rates for name in metric.column_ids())}

    @cached_property
    def _planned_columns(self) -> dict[str, Column]:
        return {
            column_id(metric.label, metric.metric, column.name): column
            for metric in self.plan.metrics
            for column in metric.columns
        }

    @cached_property
    def cell_columns(self) -> dict[str, Column]:
        """The columns with a value per cell; the others (of distribution metrics) have one per operating point."""
        per_point = {name for metric in self.plan.metrics if metric.per_point for name in metric.column_ids()}
        return {name: column for name, column in self.columns.items() if name not in per_point}

    @cached_property
    def point_entries(self) -> dict[str, dict[str, Entry]]:
        """Operating point → column id → entry, for the columns of distribution metrics."""
        found: dict[str, dict[str, Entry]] = {point.id: {} for point in self.plan.points}
        for metric in self.plan.metrics:
            if not metric.per_point:
                continue
            for point in self.plan.points:
                record = self._state.point_score(self.plan, metric, point)
                for column in metric.columns:
                    name = column_id(metric.label, metric.metric, column.name)
                    entry = _entry(Status.OK, "", record, column.name)
                    if record is None:
                        entry = self._unfinished(metric, point)
                    found[point.id][name] = entry
        return found

    def _unfinished(self, metric: PlannedMetric, point: OperatingPoint) -> Entry:
        """Say why an operating point has no result of a distribution metric."""
        states = [
            (self._state.cell(image, point), self._state.score(self.plan, metric, image, point))
            for image in self.plan.images
        ]
        without = sum(
            any(record is not None and record.outcome not in ("coded", "scored") for record in pair) for pair in states
        )
        if without:
            return Entry(Status.SKIPPED, reason=f"{without} of {len(states)} images have no features")
        return Entry(Status.PENDING, reason="not finished yet")

    @cached_property
    def rows(self) -> list[Row]:
        """One row per cell, in the suite's order: image by image, point by point."""
        return [self._row(image, point) for image in self.plan.images for point in self.plan.points]

    def _row(self, image: PlannedImage, point: OperatingPoint) -> Row:
        cell = self._state.cell(image, point)
        status, reason = Status.PENDING, "not coded yet"
        if cell is not None:
            status = {"coded": Status.OK, "failed": Status.FAILED}.get(cell.outcome, Status.NOT_APPLICABLE)
            reason = cell.reason
        entries: dict[str, Entry] = {}
        for metric in self.plan.metrics:
            if metric.per_point:
                continue
            record = self._state.score(self.plan, metric, image, point)
            for column in metric.columns:
                name = column_id(metric.label, metric.metric, column.name)
                entries[name] = _entry(status, reason, record, column.name)
        rate = next((entries[name].value for name in self._rate_columns), None)
        if cell is not None and cell.bitstream_size is not None and image.pixels:
            rate = 8 * cell.bitstream_size / image.pixels
        if self.rate_column not in entries:
            entry = Entry(Status.OK, rate)
            if rate is None:
                unknown = Entry(Status.NOT_APPLICABLE, reason="the bitstream's size is not known")
                entry = unknown if status is Status.OK else _entry(status, reason)
            entries[self.rate_column] = entry
        entries = {self.rate_column: entries[self.rate_column], **entries}
        settings = dict(point.parameters), dict(point.swept)
        return Row(image.name, point.id, point.label, *settings, status, reason, rate, entries, cell)

    @cached_property
    def _rate_columns(self) -> list[str]:
        return [
            name
            for metric in self.plan.metrics
            if metric.scope == Scope.RATE
            for name in metric.column_ids()
            if self._planned_columns[name].unit == "bit/pixel"
        ]

    @cached_property
    def failures(self) -> list[FailureNote]:
        """Every failure, with its traceback."""
        notes: list[FailureNote] = []
        if not self._state.failed:
            return notes
        for image in self.plan.images:
            for point in self.plan.points:
                records: list[CellRecord | ScoreRecord | None] = [self._state.cell(image, point)]
                records += [self._state.score(self.plan, metric, image, point) for metric in self.plan.metrics]
                notes.extend(_failure_note(image.name, record) for record in records if record and record.failure)
        for metric in self.plan.metrics:
            for point in self.plan.points:
                finished = self._state.point_score(self.plan, metric, point) if metric.per_point else None
                if finished is not None and finished.failure is not None:
                    notes.append(_failure_note("all images", finished))
        return notes

    def measured(self, shard: Shard | None = None) -> bool:
        """Whether every cell, and every score of a cell, has an outcome.

        Args:
            shard: of these cells alone; then features for distribution metrics count, too.
        """
        metrics = [metric for metric in self.plan.metrics if shard is not None or not metric.per_point]
        for (i, image), (j, point) in itertools.product(enumerate(self.plan.images), enumerate(self.plan.points)):
            if shard is not None and not shard.holds(self.plan, i, j):
                continue
            cell = self._state.cell(image, point)
            if cell is None:
                return False
            if cell.outcome == "coded" and any(
                self._state.score(self.plan, metric, image, point) is None for metric in metrics
            ):
                return False
        return True

    @cached_property
    def complete(self) -> bool:
        """Whether every cell and score has an outcome."""
        if not self.measured():
            return False
        entries = [entry for found in self.point_entries.values() for entry in found.values()]
        return Status.PENDING not in {entry.status for entry in entries}

    def origin(self) -> dict[str, str]:
        """Return what says where values are from: run, day of the last measurement, hosts, versions of qbench."""

        def told(name: str) -> str:
            return ", ".join(sorted({str(s.provenance[name]) for s in self.sessions if s.provenance.get(name)}))

        measured = max((session.at for session in self.sessions), default="")
        return {"run": self.name, "measured": measured, "host": told("host"), "qbench": told("qbench")}

    def version_of(self, point: str) -> str:
        """Return which codec coded at an operating point: its plugin, and versions of the libraries that it uses."""
        planned = self.plan.point(point)
        libraries = planned.identity.get("libraries", {})
        return ", ".join([planned.plugin, *(f"{name} {found}" for name, found in libraries.items())])

    def records(self) -> list[dict[str, Any]]:
        """Return a flat dictionary per cell: image, point, codec, parameters, sizes, times, then every column.

        Values that are not there are None; ``<column>.status`` and ``<column>.reason`` say why.
        """
        flat = []
        sizes = {image.name: image for image in self.plan.images}
        for row in self.rows:
            timing = row.cell.timing if row.cell is not None else None
            record: dict[str, Any] = {
                "image": row.image,
                "codec": row.codec,
                "point": row.point,
                "width": sizes[row.image].width,
                "height": sizes[row.image].height,
                **{f"parameter.{name}": value for name, value in row.parameters.items()},
                "status": row.status.value,
                "reason": row.reason,
                "bitstream_bytes": row.cell.bitstream_size if row.cell is not None else None,
                "encode_seconds": timing.encode.seconds if timing is not None else None,
                "decode_seconds": timing.decode.seconds if timing is not None else None,
                "cached": row.cell.cached if row.cell is not None else None,
                "codec_version": self.version_of(row.point),
            }
            if row.cell is not None:
                record |= {f"bytes.{name}": size for name, size in row.cell.parts.items()}
            if row.cell is not None and row.cell.found is not None:
                found = row.cell.found
                record |= {f"found.{found.parameter}": found.value, "wanted": found.wanted, "reached": found.reached}
            for name, entry in row.entries.items():
                record[name] = entry.value
                if entry.status is not Status.OK:
                    record[f"{name}.status"] = entry.status.value
                    record[f"{name}.reason"] = entry.reason
            flat.append(record)
        return flat

    def to_pandas(self) -> pandas.DataFrame:
        """Return :meth:`records` as a data frame.

        Raises:
            QbenchError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise QbenchError("to_pandas needs pandas: pip install 'qbench[pandas]'") from error
        return pandas.DataFrame.from_records(self.records())

    def __repr__(self) -> str:
        """Say what it is."""
        state = "complete" if self.complete else "incomplete"
        return f"<Run {self.name}: {self.plan.cells} cells, {len(self.failures)} failures, {state}>"


def _failure_note(image: str, record: CellRecord | ScoreRecord) -> FailureNote:
    failure = record.failure
    assert failure is not None
    return FailureNote(image, record.point, failure.plugin, failure.message, failure.traceback, failure.printed)


def _entry(cell: Status, reason: str, record: ScoreRecord | None = None, column: str = "") -> Entry:
    if cell in (Status.FAILED, Status.NOT_APPLICABLE):
        return Entry(Status.SKIPPED, reason=f"the cell is {cell.value}: {reason}")
    if record is None:
        return Entry(Status.PENDING, reason="not scored yet")
    if record.outcome == "scored":
        if column in record.absent:
            return Entry(Status.NOT_APPLICABLE, reason=record.absent[column])
        if column not in record.values:  # of another version of the metric, or by somebody's hand
            return Entry(Status.FAILED, reason="the record has no value of this column")
        return Entry(Status.OK, value=record.values[column])
    status = Status.FAILED if record.outcome == "failed" else Status.NOT_APPLICABLE
    return Entry(status, reason=record.reason)
