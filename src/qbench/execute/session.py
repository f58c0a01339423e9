"""One session: bring a run folder as far as the plan goes, whatever is done already."""

from __future__ import annotations

import contextlib
import queue
import uuid
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from qbench.contracts.context import Context
from qbench.errors import PluginError
from qbench.execute.accelerators import devices_for, kind_of
from qbench.execute.as_planned import made_elsewhere, not_as_planned
from qbench.execute.conditions import load_of, measured_here, timed_as_asked
from qbench.execute.coordinator import Coordinator
from qbench.execute.cores import available_cores, numerical_threads
from qbench.execute.extending import require_extendable
from qbench.execute.limits import limits_of
from qbench.execute.means import Means
from qbench.execute.point_scoring import PointScorer, lacks_point_score
from qbench.execute.pool import StationPool
from qbench.execute.preflight import require_settings, require_weights
from qbench.execute.provenance import name_of, provenance_of
from qbench.execute.starting import warm_up
from qbench.execute.trust import require_trusted
from qbench.execute.work import (
    CellWork,
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
from qbench.planning.types import OperatingPoint, Plan, PlannedImage, PlannedMetric
from qbench.records import CellRecord, PlanRecord, ScoreRecord, SessionRecord
from qbench.registry.registry import Registry, default_registry
from qbench.results.state import RunState, score_key
from qbench.store.cache import Cache
from qbench.store.folder import LOGS, RunFolder, now
from qbench.store.journal import JournalWriter
from qbench.suite.images import sources_at


class Session:
    """Executes a plan in a run folder."""

    def __init__(
        self, plan: Plan, folder: RunFolder, registry: Registry, options: Options, cache: Cache | None, stop: Stop
    ) -> None:
        self._plan = plan
        self._folder = folder
        self._registry = registry
        self._options = options
        self._cache = cache
        self._stop = stop
        self._devices = devices_for(plan.participants, options.device)
        self._cores = available_cores()
        self._in_process = options.in_process or registry is not default_registry()
        jobs = self._cores if options.jobs == "auto" else options.jobs
        if self._in_process:
            if options.jobs not in (1, "auto"):
                raise PluginError("in one process there is one job at a time; use jobs=1")
            jobs = 1
        self._jobs = 1 if plan.timing["exclusive"] else max(1, min(jobs, plan.cells))
        self._points = {point.id: point for point in plan.points}
        self._id = uuid.uuid4().hex[:12]
        self._told: set[str] = set()
        self._left: dict[str, str] = {}
        self._lacking: dict[tuple[str, str], bool] = {}
        self._events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        threads = numerical_threads(max(1, self._cores // self._jobs))
        self._context = Context((*self._devices, "cpu")[0], plan.seed, plan.profile, threads=threads)
        timing = TimingPlan(plan.timing["repeats"], plan.timing["budget"], threads, load_of(self._jobs))
        self._setup = Setup(plan, folder, self._id, self._context, timing)
        if not self._in_process:
            warm_up({name for each in plan.participants for name in each.libraries})
        own = registry if self._in_process else None
        self._pool = StationPool(self._setup, stop, self._jobs, self._devices, self._tell, registry=own)

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
        elsewhere = made_elsewhere(plan, kind_of(self._context.device))
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
        works = list(self._works(state, journal))
        for reason in dict.fromkeys(self._left.values()):
            on_event(Notice(f"{reason}; what is missing of it stays missing. Run its suite again in another folder"))
        on_event(Progress.of(self._plan, state, works))
        self._tell_trouble()
        self._pool.log_to(self._folder.path / LOGS)
        means = Means(self._setup, self._pool, self._events.put, partial(limits_of, self._plan), self._registry)
        if works:
            means.begin(works, self._jobs)
            self._begin_session(state, journal)
            coordinator = Coordinator(works, means, self._registry, self._stop, self._jobs, self._events)
            self._listen(coordinator.run(), state, journal, on_event)
        if not self._stop.is_set():
            points = PointScorer(means, retry_failed=self._options.retry_failed, left=self._left)
            if points.ready(state):
                self._begin_session(state, journal)
                self._listen(points.score(state), state, journal, on_event)
            self._prune()

    def _begin_session(self, state: RunState, journal: JournalWriter) -> None:
        """Record where, when and with what this session works, once there is something to do."""
        if self._id in state.sessions:
            return
        provenance = provenance_of(
            self._plan, self._registry, self._options, self._devices, self._jobs, in_process=self._in_process
        )
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

    # -- what is left to do ---------------------------------------------------------------------------------------

    def _works(self, state: RunState, journal: JournalWriter) -> Iterator[ImageWork]:
        places = [(image.location, image.dataset, image.alpha) for image in self._plan.images]
        for image, source in zip(self._plan.images, sources_at(places, self._registry), strict=True):
            found = [self._cell_work(image, point, state, journal) for point in self._plan.points]
            cells = [
                cell
                for cell in found
                if not cell.left
                if cell.coded is None or cell.metrics or self._reconstruction_missing(image, cell.coded)
            ]
            if cells:
                yield ImageWork(image, source, tuple(cells))

    def _cell_work(
        self, image: PlannedImage, point: OperatingPoint, state: RunState, journal: JournalWriter
    ) -> CellWork:
        key = self._plan.cell_key(image, point)
        record = state.cell(image, point)
        retry = self._options.retry_failed
        if record is not None and (record.key != key or (retry and record.outcome == "failed")):
            record = None
        if record is None and point.id in self._left:
            return CellWork(point, key, state.cell(image, point), (), left=True)
        earlier = record
        if record is None:
            record = self._cached_cell(key, image, point, state, journal)
        scores = [state.score(self._plan, metric, image, point) for metric in self._plan.metrics]
        if (
            earlier is not None
            and earlier.outcome == "coded"
            and any(score is None or (retry and score.outcome == "failed") for score in scores)
            and not self._folder.keeps(point, image.name)  # it has to be had once more
        ):
            record = None
        missing = []
        if record is None or record.outcome == "coded":
            for metric, known in zip(self._plan.metrics, scores, strict=True):
                if metric.label in self._left:
                    continue
                score = known if record is not None else None
                if metric.per_point:
                    score = self._usable_features(metric, image, point, score, state)
                elif record is not None and score is None and not metric.unknown_code:
                    key_of_score = score_key(self._plan, metric, image, record)
                    score = self._cached_score(key_of_score, record, metric.label, state, journal)
                if score is None or (retry and score.outcome == "failed"):
                    missing.append(metric.label)
        return CellWork(point, key, record, tuple(missing))

    def _usable_features(
        self,
        metric: PlannedMetric,
        image: PlannedImage,
        point: OperatingPoint,
        score: ScoreRecord | None,
        state: RunState,
    ) -> ScoreRecord | None:
        """Return the record of a cell's features, None if they are still needed and their files are gone."""
        if score is None or score.outcome != "scored":
            return score
        if not self._lacks_point_score(metric, point, state):
            return score
        paths = [self._folder.features_path(metric.label, where, image.name) for where in (None, point)]
        return score if all(path.is_file() for path in paths) else None

    def _lacks_point_score(self, metric: PlannedMetric, point: OperatingPoint, state: RunState) -> bool:
        key = metric.label, point.id
        if key not in self._lacking:
            retry = self._options.retry_failed
            self._lacking[key] = lacks_point_score(self._plan, metric, point, state, retry)
        return self._lacking[key]

    def _reconstruction_missing(self, image: PlannedImage, record: CellRecord) -> bool:
        """Whether a coded cell's reconstruction is to be kept, is missing, and can be had: from the cache, mostly."""
        if record.outcome != "coded" or not self._plan.keep["reconstructions"]:
            return False
        point = self._points[record.point]
        there = self._folder.reconstruction_path(point, image.name).is_file()
        return not there and self._folder.bitstream_path(point, image.name).is_file()

    def _cached_cell(
        self, key: str, image: PlannedImage, point: OperatingPoint, state: RunState, journal: JournalWriter
    ) -> CellRecord | None:
        found = self._cache.cell(key) if self._cache is not None and not point.unknown_code else None
        if found is None or self._cache is None:
            return None
        codec, asked, device = self._registry.codecs[point.codec], self._setup.timing, name_of(self._context.device)
        session = self._cache.session(found[0].session)
        alone = self._plan.timing["exclusive"]
        if not (timed_as_asked(found[0], codec, asked, exclusive=alone) and measured_here(session, point, device)):
            return None
        record, bitstream = found
        update = {"image": image.name, "point": point.id, "cached": True, "artifacts": ()}
        record = record.model_copy(update=update)
        self._folder.write_file(self._folder.bitstream_path(point, image.name), bitstream)
        self._append_cached(record, state, journal)
        return record

    def _cached_score(
        self, key: str, cell: CellRecord, metric: str, state: RunState, journal: JournalWriter
    ) -> ScoreRecord | None:
        record = self._cache.score(key) if self._cache is not None else None
        if record is None:
            return None
        update = {"image": cell.image, "point": cell.point, "metric": metric, "cached": True}
        record = record.model_copy(update=update)
        self._append_cached(record, state, journal)
        return record

    def _append_cached(self, record: CellRecord | ScoreRecord, state: RunState, journal: JournalWriter) -> None:
        assert self._cache is not None
        if record.session not in state.sessions:
            session = self._cache.session(record.session)
            if session is not None:
                journal.append([session])
                state.add(session)
        journal.append([record])
        state.add(record)

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
