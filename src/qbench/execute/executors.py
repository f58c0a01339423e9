"""Who does the work: this process, or worker processes. Both yield the same events in the same form."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import signal
import threading
import traceback
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from typing import Any

from qbench.errors import QbenchError, StoreError
from qbench.execute.bench import Bench, CellWork, CodedImage, ImageWork, Setup
from qbench.execute.device import limit_threads
from qbench.execute.events import CellStarted, Event, Notice, Recorded, ScoringStarted
from qbench.records import CellRecord, Failure, ScoreRecord
from qbench.registry import Registry, default_registry
from qbench.store import now, score_key


class Stop:
    """Asks the work to end soon: cells and scores in flight are finished, no new ones begun."""

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


def run_here(
    works: Sequence[ImageWork], setup: Setup, registry: Registry, stop: Stop, *, overlap: bool
) -> Iterator[Event]:
    """Work in this process. With ``overlap``, one thread codes the next image while another scores this one."""
    bench = Bench(setup, registry, stop.is_set)
    events: queue.SimpleQueue[Event | BaseException | None] = queue.SimpleQueue()
    handover: queue.Queue[CodedImage | None] = queue.Queue(maxsize=1)

    def code() -> None:
        for group in bench.groups(works):
            for event in bench.encode_ahead(group):
                events.put(event)
            for work in group:
                if stop.is_set():
                    break
                coded = CodedImage(work)
                for event in bench.code(work, coded):
                    events.put(event)
                if overlap:
                    handover.put(coded)
                else:
                    score(coded)
        handover.put(None)

    def score(coded: CodedImage) -> None:
        for event in bench.score(coded):
            events.put(event)

    def score_all() -> None:
        while (coded := handover.get()) is not None:
            score(coded)

    def guarded(target: Any) -> None:
        try:
            target()
        except BaseException as error:  # handed to the loop below, which raises it
            stop.set()
            events.put(error)
            handover.put(None) if target is code else _drain(handover)
        events.put(None)

    threads = [
        threading.Thread(target=guarded, args=(target,), name=f"qbench-{target.__name__}", daemon=True)
        for target in (code, score_all)
    ]
    for thread in threads:
        thread.start()
    running = len(threads)
    trouble: BaseException | None = None
    try:
        while running:
            event = events.get()
            if event is None:
                running -= 1
            elif isinstance(event, BaseException):
                trouble = trouble or event
            else:
                yield event
    finally:
        if running:
            stop.set()  # whoever listens has gone: leave no thread at work behind
        for thread in threads:
            thread.join()
    if trouble is not None:
        raise trouble


def _drain(handover: queue.Queue[CodedImage | None]) -> None:
    """Take what the coder still hands over, so that it is not left waiting for a scorer that is gone."""
    while handover.get() is not None:
        pass


# -- worker processes ---------------------------------------------------------------------------------------------


@dataclass
class _Worker:
    number: int
    process: Any
    connection: Connection
    work: ImageWork | None = None
    doing: CellStarted | ScoringStarted | None = None
    recorded: set[tuple[str, str]] = field(default_factory=set)
    coded: dict[str, CellRecord] = field(default_factory=dict)
    ready: bool = False


class WorkerPool:
    """Runs images in ``jobs`` worker processes. A worker that dies takes only the cell in its hands along."""

    def __init__(self, works: Sequence[ImageWork], setup: Setup, jobs: int, stop: Stop) -> None:
        self._todo = deque(works)
        self._setup = setup
        self._jobs = min(jobs, len(works))
        self._stop = stop
        self._shared_stop = stop.share()
        self._workers: list[_Worker] = []
        self._started = 0
        self._unexplained: Counter[str] = Counter()

    def run(self) -> Iterator[Event]:
        """Yield events until the work is done or stopped."""
        try:
            for _ in range(self._jobs):
                self._start()
            while any(worker.work for worker in self._workers) or (self._todo and not self._stop.is_set()):
                for worker in self._workers:
                    if worker.work is None and self._todo and not self._stop.is_set():
                        self._give(worker, self._todo.popleft())
                yield from self._listen()
        finally:
            self._end()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        number = self._started
        process = context.Process(
            target=_worker_main,
            args=(theirs, self._setup, self._shared_stop, number),
            name=f"qbench-worker-{number}",
            daemon=True,
        )
        process.start()
        theirs.close()
        self._started += 1
        self._workers.append(_Worker(number, process, ours))

    def _give(self, worker: _Worker, work: ImageWork) -> None:
        worker.work, worker.doing = work, None
        worker.recorded, worker.coded = set(), {cell.point.id: cell.coded for cell in work.cells if cell.coded}
        with contextlib.suppress(OSError):  # if it is dead, _listen finds out and gives the work to another
            worker.connection.send(work)

    def _listen(self) -> Iterator[Event]:
        ready = wait([worker.connection for worker in self._workers])
        for worker in [worker for worker in self._workers if worker.connection in ready]:
            try:
                message = worker.connection.recv()
            except (EOFError, OSError):
                yield from self._bury(worker)
                continue
            if message is None:  # the image is done
                worker.work = worker.doing = None
            elif isinstance(message, Exception):
                raise message
            else:
                worker.ready = True
                self._note(worker, message)
                yield message

    @staticmethod
    def _note(worker: _Worker, event: Event) -> None:
        if isinstance(event, (CellStarted, ScoringStarted)):
            worker.doing = event
        elif isinstance(event, Recorded):
            for record in event.records:
                if isinstance(record, CellRecord):
                    worker.coded[record.point] = record
                else:
                    worker.recorded.add((record.point, record.metric))

    def _bury(self, worker: _Worker) -> Iterator[Event]:
        """Blame what a dead worker had in hands, and give the rest of its image to a new one."""
        worker.process.join()
        worker.connection.close()
        self._workers.remove(worker)
        cause = _exit_text(worker.process.exitcode)
        if not worker.ready:
            raise StoreError(
                f"a worker process {cause} before it could work; try jobs=1 to see why. (A script that runs qbench "
                "with workers must keep its own work below `if __name__ == '__main__':`)"
            )
        work = worker.work
        if work is not None:
            text = f"the worker process {cause}"
            yield Notice(f"{text} at image {work.image.name}; a new one takes over")
            rest, blamed = self._blame(worker, work, text)
            if blamed:
                yield Recorded(tuple(blamed))
            if rest.cells:
                self._todo.appendleft(rest)
        if self._todo and not self._stop.is_set():
            self._start()

    def _blame(self, worker: _Worker, work: ImageWork, text: str) -> tuple[ImageWork, list[CellRecord | ScoreRecord]]:
        """Split what was left of an image into what is to blame, as failures, and what another worker is to do."""
        doing = worker.doing
        # A cell that has a record was being decoded at most: then nothing in particular is to blame.
        between = doing is None or (isinstance(doing, CellStarted) and doing.point in worker.coded)
        if between:
            self._unexplained[work.image.name] += 1
        hopeless = self._unexplained[work.image.name] > 1  # twice without a culprit: give the image up
        blamed: list[CellRecord | ScoreRecord] = []
        left: list[CellWork] = []
        for cell in work.cells:
            point = cell.point.id
            record = worker.coded.get(point)
            metrics = [label for label in cell.metrics if (point, label) not in worker.recorded]
            if record is None and (hopeless or (isinstance(doing, CellStarted) and doing.point == point)):
                blamed.append(self._failed_cell(work, cell, text))
                continue
            if record is not None and record.outcome != "coded":
                continue
            for label in list(metrics):
                at_fault = isinstance(doing, ScoringStarted) and doing.metric == label
                if record is not None and (hopeless or at_fault):
                    blamed.append(self._failed_score(work, record, label, text))
                    metrics.remove(label)
            if record is None or metrics:
                left.append(replace(cell, coded=record, metrics=tuple(metrics)))
        return replace(work, cells=tuple(left)), blamed

    def _failed_cell(self, work: ImageWork, cell: CellWork, text: str) -> CellRecord:
        return CellRecord(
            key=cell.key,
            image=work.image.name,
            point=cell.point.id,
            outcome="failed",
            failure=Failure(plugin=cell.point.owner, error="WorkerDied", message=text),
            reason=text,
            session=self._setup.session,
            at=now(),
        )

    def _failed_score(self, work: ImageWork, record: CellRecord, label: str, text: str) -> ScoreRecord:
        metric = next(metric for metric in self._setup.plan.metrics if metric.label == label)
        return ScoreRecord(
            key=score_key(self._setup.plan, metric, work.image, record),
            image=work.image.name,
            point=record.point,
            metric=label,
            outcome="failed",
            failure=Failure(plugin=metric.owner, error="WorkerDied", message=text),
            reason=text,
            session=self._setup.session,
            at=now(),
        )

    def _end(self) -> None:
        for worker in self._workers:
            worker.connection.close()  # a worker without a parent's end to read from ends itself
        for worker in self._workers:
            worker.process.join(timeout=2)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()


def _exit_text(code: int | None) -> str:
    if code is not None and code < 0:
        try:
            return f"was killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"was killed by signal {-code}"
    return f"ended with exit code {code}"


def _worker_main(connection: Connection, setup: Setup, stop: Any, number: int) -> None:
    # Ctrl-C, and a batch system's SIGTERM, reach the whole group; the parent decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    limit_threads(setup.timing.threads)
    bench = Bench(setup, default_registry(), stop.is_set, number)
    try:
        while True:
            work = connection.recv()
            coded = CodedImage(work)
            for stage in (bench.code(work, coded), bench.score(coded)):
                for event in stage:
                    connection.send(event)
                limit_threads(setup.timing.threads)  # a codec or metric may just have loaded torch
            connection.send(None)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass
    except QbenchError as error:
        connection.send(error)
    except Exception:
        connection.send(RuntimeError(f"in worker process {number}:\n{traceback.format_exc()}"))


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
