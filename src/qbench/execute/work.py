"""The words of this package: tasks, options, and the events reported while they run."""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypedDict

from qbench.contracts.context import Context
from qbench.errors import QbenchError
from qbench.images.sources import ImageSource
from qbench.planning.shards import Shard
from qbench.planning.types import OperatingPoint, Plan, PlannedImage
from qbench.records import CellRecord, ScoreRecord
from qbench.results.state import RunState
from qbench.store.folder import RunFolder

MOST_JOBS = 1024
GIVING_UP = 1.0
"""Seconds that giving up takes, where it is possible."""


class ContractError(Exception):
    """A plugin did something its contract doesn't allow. Becomes a failure that names the plugin."""


# -- how ----------------------------------------------------------------------------------------------------------


class ExecutionOptions(TypedDict, total=False):
    """How to execute; nothing here changes the values that are measured."""

    jobs: int | Literal["auto"]
    """How many cores' worth of work is done at a time; ``auto`` means as many as there are."""
    device: str
    """``auto``, ``cpu``, ``cuda`` or ``cuda:n``."""
    cache: bool
    """Use and fill the cache across runs."""
    fail_fast: bool
    """Stop at the first failure."""
    retry_failed: bool
    """Try again what failed in an earlier session."""
    shard: str
    """The part of the cells to do: ``3/16``."""
    cluster: str
    """Workers on other machines, or several on this one: ``local:4``, ``tcp://scheduler:8786``, ``slurm:8``, …"""
    cluster_options: Mapping[str, Sequence[str]]
    """Of dask-jobqueue's class for the batch system."""
    in_process: bool
    """Run plugins in this process, for debugging: nothing protects the run, and the originals, from them."""


@dataclass(frozen=True)
class Options:
    """:class:`ExecutionOptions`, with defaults."""

    jobs: int | Literal["auto"] = "auto"
    device: str = "auto"
    cache: bool = True
    fail_fast: bool = False
    retry_failed: bool = False
    shard: str = ""
    cluster: str | None = None
    cluster_options: Mapping[str, Sequence[str]] = field(default_factory=dict)
    in_process: bool = False

    def __post_init__(self) -> None:
        """Refuse numbers of cores that can't be, shards, and what belongs to other options."""
        if self.cluster is None and self.cluster_options:
            raise QbenchError("--cluster-option is of a --cluster, which is not given")
        if self.cluster is not None and self.jobs != "auto":
            raise QbenchError("--jobs is for this machine; workers of a --cluster do as much as they have threads")
        if self.shard:
            Shard.parse(self.shard)
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
    """What codes and scores needs to know this."""

    plan: Plan
    folder: RunFolder
    session: str
    context: Context
    timing: TimingPlan
    plugins: tuple[str, ...] = ()
    """Files that are plugins."""


class Stop:
    """Asks the work to end soon: what is in progress is finished, if there is patience for that, and nothing begun."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._until = math.inf
        self.reason = ""
        self.last_acts: list[Callable[[], None]] = []
        """Done before the process is ended without waiting for anything: what would otherwise be left elsewhere."""

    def set(self, reason: str = "", patience: float = math.inf) -> None:
        """Ask.

        Args:
            reason: remembered.
            patience: seconds after which what is still in progress is given up.
        """
        self.reason = self.reason or reason
        self._until = min(self._until, time.monotonic() + patience)
        self._event.set()

    def is_set(self) -> bool:
        """Whether somebody asked."""
        return self._event.is_set()

    @property
    def patience(self) -> float:
        """Seconds that are left for what is in progress."""
        return max(0.0, self._until - time.monotonic())

    @property
    def impatient(self) -> bool:
        """Whether what is in progress is to be given up."""
        return time.monotonic() >= self._until

    @property
    def overdue(self) -> bool:
        """Whether it should have been given up by now."""
        return time.monotonic() >= self._until + GIVING_UP


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
    """What is left to do for one image: read once, and scored once it is coded."""

    image: PlannedImage
    source: ImageSource
    cells: tuple[CellWork, ...]


# -- events ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CellStarted:
    """A cell is being coded."""

    image: str
    point: str
    hand: int = 0


@dataclass(frozen=True)
class ScoringStarted:
    """An image's reconstructions are being scored by one metric."""

    image: str
    metric: str
    hand: int = 0


@dataclass(frozen=True)
class Recorded:
    """Records were made; after the run's loop has passed this on, they are in the journal."""

    records: tuple[CellRecord | ScoreRecord, ...]


@dataclass(frozen=True)
class Notice:
    """Something worth telling that is not a record: a cache that can't be used, what a plugin warns of."""

    text: str


@dataclass(frozen=True)
class Progress:
    """How far the run is, before anything of this session is executed."""

    cells: int
    cells_done: int
    jobs: int
    jobs_done: int

    @classmethod
    def of(cls, plan: Plan, state: RunState, works: Iterable[ImageWork]) -> Progress:
        """Return how far a run is, of which so much is left to do, what failed and is tried again included."""
        left = {(work.image.name, cell.point.id): cell for work in works for cell in work.cells}
        cells = jobs = 0
        for image, point in itertools.product(plan.images, plan.points):
            record, cell = state.cell(image, point), left.get((image.name, point.id))
            missing = () if cell is None else cell.metrics
            cells += record is not None and (cell is None or cell.coded is not None)
            if record is not None and record.outcome != "coded":
                jobs += len(plan.metrics) - len(missing)
            else:
                known = [metric.label for metric in plan.metrics if state.score(plan, metric, image, point) is not None]
                jobs += sum(label not in missing for label in known)
        return cls(plan.cells, cells, plan.jobs, jobs)


WorkEvent = CellStarted | ScoringStarted | Recorded | Notice
Event = WorkEvent | Progress
