"""One session: bring a run folder as far as the plan goes, whatever is done already."""

from __future__ import annotations

import contextlib
import queue
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from qbench.contracts.context import Context
from qbench.errors import PluginError
from qbench.execute.accelerators import devices_for, kind_of
from qbench.execute.as_planned import made_elsewhere, not_as_planned
from qbench.execute.conditions import load_of
from qbench.execute.coordinator import Coordinator
from qbench.execute.cores import available_cores, numerical_threads
from qbench.execute.elsewhere import Elsewhere
from qbench.execute.extending import require_extendable
from qbench.execute.left_to_do import LeftToDo
from qbench.execute.limits import limits_of
from qbench.execute.means import Means
from qbench.execute.point_scoring import PointScorer
from qbench.execute.pool import StationPool
from qbench.execute.preflight import require_settings, require_weights
from qbench.execute.provenance import name_of, provenance_of
from qbench.execute.starting import warm_up
from qbench.execute.trust import require_trusted
from qbench.execute.work import (
    Event,
    ImageWork,
    Notice,
    Options,
    Progress,
    Recorded,
    Setup,
    Stop,
    TimingPlan,
)
from qbench.images.at_hand import ORIGINALS
from qbench.planning.types import OperatingPoint, Plan, PlannedMetric
from qbench.records import CellRecord, PlanRecord, ScoreRecord, SessionRecord
from qbench.registry.registry import Registry
from qbench.results.state import RunState
from qbench.store.cache import Cache
from qbench.store.folder import LOGS, RunFolder, now
from qbench.store.journal import JournalWriter


class Session:
    """Executes a plan in a run folder.

    Args:
        elsewhere: machines that code and score in the place of this one.
    """

    def __init__(
        self,
        plan: Plan,
        folder: RunFolder,
        registry: Registry,
        options: Options,
        cache: Cache | None,
        stop: Stop,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        self._plan = plan
        self._folder = folder
        self._registry = registry
        self._options = options
        self._cache = cache
        self._stop = stop
        self._elsewhere = elsewhere
        self._devices = devices_for(plan.participants, options.device) if elsewhere is None else ()
        self._cores = available_cores()
        self._in_process = options.in_process or not registry.portable
        jobs = self._cores if options.jobs == "auto" else options.jobs
        if self._in_process:
            if options.jobs not in (1, "auto"):
                raise PluginError("in one process there is one job at a time; use jobs=1")
            if elsewhere is not None:
                raise PluginError("what works in one process can't work on a cluster; leave one of the two out")
            jobs = 1
        self._jobs = 1 if plan.timing["exclusive"] else max(1, min(jobs, plan.cells))
        self._points = {point.id: point for point in plan.points}
        self._id = uuid.uuid4().hex[:12]
        self._told: set[str] = set()
        self._left: dict[str, str] = {}
        self._events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        threads = numerical_threads(max(1, self._cores // self._jobs))
        self._context = Context((*self._devices, "cpu")[0], plan.seed, plan.profile, threads=threads)
        timing = TimingPlan(plan.timing["repeats"], plan.timing["budget"], threads, load_of(self._jobs))
        self._setup = Setup(plan, folder, self._id, self._context, timing, registry.files)
        if not self._in_process:
            warm_up({name for each in plan.participants for name in each.libraries})
        own = registry if self._in_process else None
        self._pool = StationPool(self._setup, stop, self._jobs, self._devices, self._tell, registry=own)

    @property
    def _kind(self) -> Mapping[str, str] | None:
        return kind_of(self._context.device) if self._elsewhere is None else self._elsewhere.kind

    @property
    def _device_name(self) -> str:
        return name_of(self._context.device) if self._elsewhere is None else self._elsewhere.device_name

    def _tell(self, text: str) -> None:
        """Take what plugins tell; the same is told once."""
        if text not in self._told:
            self._told.add(text)
            self._events.put(Notice(text))

    def run(self, on_event: Callable[[Event], None], begun: Callable[[], None]) -> RunState:
        """Execute, passing events on as they come. Returns what is known then: when all is done, or soon after a stop.

        Args:
            begun: called once nothing speaks against it any more.

        Raises:
            StoreError: the folder can't be used, holds a run of something else, or another process is at it.
            QbenchError: weights are not available, or settings that only the metric itself can judge are wrong.
        """
        with self._ended_afterwards(on_event):
            return self._run(on_event, begun)

    def _run(self, on_event: Callable[[Event], None], begun: Callable[[], None]) -> RunState:
        self._preflight(self._plan.points, self._plan.metrics)
        with self._folder.locked(), self._folder.writing() as journal:
            state = self._folder.begin(self._plan, journal)
            self._go_by(self._with_metrics_of(state), state, journal)
            begun()
            self._execute(state, journal, on_event)
            return state

    def _with_metrics_of(self, state: RunState) -> Plan:
        """Return the plan with the metrics that the run was scored by since, which go on to be part of it."""
        own = {metric.label for metric in self._plan.metrics}
        added = [metric for metric in state.plan.metrics if metric.label not in own]
        self._leave_alone(added, state.plan)
        added_here = [metric for metric in added if metric.label not in self._left]
        if added_here:
            # They come from the folder, not from the suite.
            require_trusted(self._folder.path, added_here, self._registry)
            self._preflight((), added_here)
        return replace(self._plan, metrics=(*self._plan.metrics, *added))

    def _leave_alone(self, planned: Sequence[OperatingPoint | PlannedMetric], plan: Plan) -> None:
        """Remember what of a plan is another here: what is missing of it can't be made under the run's keys."""
        elsewhere = made_elsewhere(plan, self._kind)
        for each in planned:
            reason = not_as_planned(each, self._registry) or elsewhere.get(id(each), "")
            if reason:
                name = each.id if isinstance(each, OperatingPoint) else each.label
                self._left[name] = f"{each.owner} is not the one that the run was made with ({reason})"

    def _go_by(self, plan: Plan, state: RunState, journal: JournalWriter) -> None:
        """Record a plan where it is not the newest: other metrics, or originals in other places."""
        self._plan, self._setup = plan, replace(self._setup, plan=plan)
        assert state.plan_record is not None
        plain = plan.to_json()
        if plain != state.plan_record.plan and plain != state.plan.to_json():  # written by another version, it may be
            record = PlanRecord(at=now(), base=state.plan_record.base, plan=plain)
            journal.append([record])
            state.add(record)

    def extend(self, on_event: Callable[[Event], None], begun: Callable[[], None], *, trust: bool) -> RunState:
        """Execute a plan that is the folder's own with more metrics; records the plan when it differs.

        Raises:
            RunLockedError: another process is at it.
            QbenchError: what the metrics need is not there; nothing has been written then.
        """
        with self._ended_afterwards(on_event):
            return self._extend(on_event, begun, trust=trust)

    def _extend(self, on_event: Callable[[Event], None], begun: Callable[[], None], *, trust: bool) -> RunState:
        with self._folder.locked(), self._folder.writing() as journal:
            state = self._folder.load()
            known = {metric.label for metric in state.plan.metrics}
            further = [metric for metric in self._plan.metrics if metric.label not in known]
            self._leave_alone(state.plan.participants, state.plan)
            require_extendable(self._folder, self._plan, state, further, self._registry, trust=trust)
            self._preflight((), further)
            self._go_by(self._plan, state, journal)
            begun()
            self._execute(state, journal, on_event)
            return state

    def _execute(self, state: RunState, journal: JournalWriter, on_event: Callable[[Event], None]) -> None:
        unknown = [(each.owner, name) for each in self._plan.participants for name in each.unknown_code]
        for owner, name in dict.fromkeys(unknown) if self._cache is not None else ():
            on_event(Notice(f"{owner}: its code ({name}) can't be read, so the cache keeps nothing of it"))
        for line in state.damaged:
            on_event(Notice(f"{self._folder.journal_path}: line {line} is damaged; its results will be recomputed"))
        left = LeftToDo(self._setup, self._registry, self._options, self._cache, self._left, self._device_name)
        works = list(left.works(state, journal))
        for reason in dict.fromkeys(self._left.values()):
            on_event(Notice(f"{reason}; what is missing of it stays missing. Run its suite again in another folder"))
        on_event(Progress.of(self._plan, state, works))
        self._tell_trouble()
        self._pool.log_to(self._folder.path / LOGS)
        means = Means(self._setup, self._pool, self._events.put, partial(limits_of, self._plan), self._registry)
        if works:
            self._begin_session(state, journal)
            self._listen(self._events_of(works, means, state), state, journal, on_event)
        if not self._stop.is_set():
            points = PointScorer(means, retry_failed=self._options.retry_failed, left=self._left)
            if points.ready(state):
                self._begin_session(state, journal)
                self._listen(points.score(state), state, journal, on_event)
            if not self._options.shard:  # whoever merges it needs all of it
                self._prune()

    def _events_of(self, works: Sequence[ImageWork], means: Means, state: RunState) -> Generator[Event]:
        """Code and score, here or elsewhere."""
        if self._elsewhere is None:
            means.begin(works, self._jobs)
            return Coordinator(works, means, self._registry, self._stop, self._jobs, self._events).run()
        for record in state.cells:
            if record.timing is not None:  # what took longest before is begun first
                known = means.seconds.get(record.point, 0.0)
                means.seconds[record.point] = max(known, record.timing.encode.seconds + record.timing.decode.seconds)
        return self._elsewhere.work(works, means, self._stop, self._events)

    def _begin_session(self, state: RunState, journal: JournalWriter) -> None:
        """Record where, when and with what this session works, once there is something to do."""
        if self._id in state.sessions:
            return
        provenance = provenance_of(
            self._plan, self._registry, self._options, self._devices, self._jobs, in_process=self._in_process
        )
        if self._elsewhere is not None:
            provenance |= self._elsewhere.provenance()
        session = SessionRecord(id=self._id, at=now(), provenance=provenance)
        journal.append([session])
        state.add(session)
        self._folder.write_provenance(provenance)
        if self._cache is not None:
            self._cache.put(sessions=[session])

    def _listen(
        self, events: Generator[Event], state: RunState, journal: JournalWriter, on_event: Callable[[Event], None]
    ) -> None:
        """Store records as they come, then pass the events on."""
        with contextlib.closing(events):  # whatever happens here, nobody goes on working when this returns
            for event in events:
                if isinstance(event, Recorded):
                    journal.append(event.records)
                    self._keep(event.records, state)
                    if self._options.fail_fast and any(record.outcome == "failed" for record in event.records):
                        self._stop.set()
                on_event(event)
                self._tell_trouble()

    def _preflight(self, points: Sequence[OperatingPoint], metrics: Sequence[PlannedMetric]) -> None:
        if self._elsewhere is not None:
            self._elsewhere.require(self._plan)
            return
        require_weights(points, metrics, self._registry, self._context)
        if metrics:
            require_settings(metrics, self._pool, self._registry, limits_of(self._plan, None))

    @contextlib.contextmanager
    def _ended_afterwards(self, on_event: Callable[[Event], None]) -> Iterator[None]:
        """End the stations, however it goes, and tell what they told at last."""
        try:
            yield
        finally:
            ORIGINALS.clear()
            for text in self._pool.close():
                self._tell(text)
            while not self._events.empty():
                if isinstance(event := self._events.get(), Notice):
                    on_event(event)

    # -- what was done --------------------------------------------------------------------------------------------

    def _keep(self, records: Sequence[CellRecord | ScoreRecord], state: RunState) -> None:
        cells = []
        for record in records:
            state.add(record)
            if isinstance(record, CellRecord) and record.outcome == "coded" and self._cache is not None:
                point = self._points[record.point]
                if not point.unknown_code:
                    path = self._folder.bitstream_path(point, record.image)
                    cells.append((record, path.read_bytes()))
        if self._cache is not None:
            unknown = {metric.label for metric in self._plan.metrics if metric.unknown_code}
            # A distribution's records belong to this run: its features are here, and its cells all together.
            scores = [
                record
                for record in records
                if isinstance(record, ScoreRecord)
                and record.outcome == "scored"
                and record.values
                and record.image
                and record.metric not in unknown
            ]
            self._cache.put(cells=cells, scores=scores)

    def _prune(self) -> None:
        """Remove what the suite doesn't keep; it was needed to go on after an interruption."""
        if not self._plan.keep["bitstreams"]:
            self._folder.remove("bitstreams")
        if not self._plan.keep["features"]:
            self._folder.remove("features")

    def _tell_trouble(self) -> None:
        if self._cache is not None and self._cache.trouble:
            self._tell(self._cache.trouble)
