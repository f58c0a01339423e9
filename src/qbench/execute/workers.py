"""Executing in worker processes, which yield the same events in the same form as this process does."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import traceback
from collections import Counter, deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from typing import Any

from qbench.errors import QbenchError, StoreError
from qbench.execute.device import limit_threads
from qbench.execute.in_process import coder_and_scorer
from qbench.execute.scoring import score_record
from qbench.execute.work import (
    CellStarted,
    CellWork,
    CodedImage,
    Event,
    ImageWork,
    Notice,
    Recorded,
    ScoringStarted,
    Setup,
    Stop,
)
from qbench.records import CellRecord, Failure, ScoreRecord
from qbench.registry.registry import default_registry
from qbench.store.folder import now


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
    """Runs images in ``jobs`` worker processes. A worker that dies loses only the cell that it is working on."""

    def __init__(self, works: Sequence[ImageWork], setup: Setup, jobs: int, stop: Stop) -> None:
        self._todo = deque(works)
        self._setup = setup
        self._jobs = min(jobs, len(works))
        self._stop = stop
        self._shared_stop = stop.share()
        self._workers: list[_Worker] = []
        self._started = 0
        self._unexplained: Counter[str] = Counter()

    def run(self) -> Generator[Event]:
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
        """Blame what a dead worker was working on, and give the rest of its image to a new one."""
        worker.process.join()
        worker.connection.close()
        self._workers.remove(worker)
        cause = _exit_text(worker.process.exitcode)
        if not worker.ready:
            raise StoreError(
                f"a worker process {cause} before it was ready; use jobs=1 to see why. (A script that runs qbench "
                "with workers must put its own code under `if __name__ == '__main__':`)"
            )
        work = worker.work
        if work is not None:
            text = f"the worker process {cause}"
            yield Notice(f"{text} at image {work.image.name}; restarting it")
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
        failure = Failure(plugin=metric.owner, error="WorkerDied", message=text)
        return score_record(self._setup.plan, self._setup.session, work.image, record, metric, failure)

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
    coder, scorer = coder_and_scorer(setup, default_registry(), stop.is_set, number)
    try:
        while True:
            work = connection.recv()
            coded = CodedImage(work)
            for stage in (coder.code(work, coded), scorer.score(coded)):
                for event in stage:
                    connection.send(event)
                limit_threads(setup.timing.threads)  # a codec or metric may just have loaded torch
            connection.send(None)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        coder.close()
    except QbenchError as error:
        connection.send(error)
    except Exception:
        connection.send(RuntimeError(f"in worker process {number}:\n{traceback.format_exc()}"))


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
