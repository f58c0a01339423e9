"""The words of this package: tasks, options, and the events reported while they run."""

from __future__ import annotations

import multiprocessing
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict

from qbench.contracts.context import Context
from qbench.errors import QbenchError
from qbench.images.image import Image
from qbench.images.sources import ImageSource
from qbench.planning.types import OperatingPoint, Plan, PlannedImage
from qbench.records import CellRecord, ScoreRecord
from qbench.store.folder import RunFolder

MOST_JOBS = 1024


class ContractError(Exception):
    """A plugin did something its contract doesn't allow. Becomes a failure that names the plugin."""


# -- how ----------------------------------------------------------------------------------------------------------


class ExecutionOptions(TypedDict, total=False):
    """How to execute; nothing here changes the values that are measured."""

    jobs: int | Literal["auto"]
    """Worker processes; 1 works in this process, ``auto`` means as many as there are cores (or images)."""
    device: str
    """``auto``, ``cpu``, ``cuda`` or ``cuda:n``."""
    cache: bool
    """Use and fill the cache across runs."""
    fail_fast: bool
    """Stop at the first failure."""
    retry_failed: bool
    """Try again what failed in an earlier session."""


@dataclass(frozen=True)
class Options:
    """:class:`ExecutionOptions`, with defaults."""

    jobs: int | Literal["auto"] = 1
    device: str = "auto"
    cache: bool = True
    fail_fast: bool = False
    retry_failed: bool = False

    def __post_init__(self) -> None:
        """Refuse numbers of processes that can't be."""
        whole = isinstance(self.jobs, int) and not isinstance(self.jobs, bool)
        if self.jobs != "auto" and not (whole and 1 <= int(self.jobs) <= MOST_JOBS):
            raise QbenchError(
                f"jobs: {self.jobs!r} is not accepted; accepted: an integer from 1 to {MOST_JOBS}, or auto"
            )


@dataclass(frozen=True)
class TimingPlan:
    """How to time: see :class:`qbench.suite.model.TimingOptions`; ``concurrent_load`` is recorded with the result."""

    repeats: int
    budget: float
    threads: int
    concurrent_load: str


@dataclass(frozen=True)
class Setup:
    """What a coder and a scorer need to know, all of it picklable."""

    plan: Plan
    folder: RunFolder
    session: str
    context: Context
    timing: TimingPlan


class Stop:
    """Asks the work to end soon: cells and scores in progress are finished, no new ones begun."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._shared: list[Any] = []
        self.reason = ""

    def set(self, reason: str = "") -> None:
        """Ask; ``reason`` is remembered."""
        self.reason = self.reason or reason
        self._event.set()
        for event in self._shared:
            event.set()

    def is_set(self) -> bool:
        """Whether somebody asked."""
        return self._event.is_set()

    def share(self) -> Any:
        """Return an event that worker processes can poll, set when this is."""
        event = multiprocessing.get_context("spawn").Event()
        self._shared.append(event)
        if self.is_set():
            event.set()
        return event


# -- what ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CellWork:
    """What is left to do at one operating point of one image.

    Attributes:
        coded: the cell's record if it is coded already and only scores are missing.
        metrics: labels of the metrics to score it with.
        left: whether it is left alone, as its codec is another here than the run's.
    """

    point: OperatingPoint
    key: str
    coded: CellRecord | None
    metrics: tuple[str, ...]
    left: bool = False


@dataclass(frozen=True)
class ImageWork:
    """What is left to do for one image: the unit that is handed to a worker."""

    image: PlannedImage
    source: ImageSource
    cells: tuple[CellWork, ...]


@dataclass
class CodedImage:
    """An image with the reconstructions that wait to be scored."""

    work: ImageWork
    image: Image | None = None
    waiting: list[tuple[CellWork, CellRecord, Image]] = field(default_factory=list)


# -- events ------------------------------------------------------------------------------------------------------


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


def told(notices: deque[str]) -> Iterator[Notice]:
    """Yield the plugins' notices since the last call; they may come from several threads."""
    while notices:
        yield Notice(notices.popleft())
