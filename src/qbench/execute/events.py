"""What execution tells its caller while it works. Executing prints nothing; who called decides what to show."""

from __future__ import annotations

from dataclasses import dataclass

from qbench.records import CellRecord, ScoreRecord


@dataclass(frozen=True)
class CellStarted:
    """A cell is being coded."""

    image: str
    point: str
    worker: int = 0


@dataclass(frozen=True)
class ScoringStarted:
    """An image's reconstructions are being scored by one metric."""

    image: str
    metric: str
    worker: int = 0


@dataclass(frozen=True)
class Recorded:
    """Records were made; after the run's loop has passed this on, they are in the journal."""

    records: tuple[CellRecord | ScoreRecord, ...]


@dataclass(frozen=True)
class Notice:
    """Something worth telling that is not a record: a cache that can't be used, a worker that died."""

    text: str


@dataclass(frozen=True)
class Progress:
    """How far the run is, before anything of this session is executed."""

    cells: int
    cells_done: int
    jobs: int
    jobs_done: int


WorkEvent = CellStarted | ScoringStarted | Recorded | Notice
Event = WorkEvent | Progress
