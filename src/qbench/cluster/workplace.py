"""A worker's side: stations of its own, at which it does what it is given, as on one machine."""

from __future__ import annotations

import os
import platform
import queue
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from qbench.cluster.units import Contract, Done, Unit, WorkerReport, files_in, write_files
from qbench.contracts.context import Context
from qbench.errors import NotApplicable, PluginError, QbenchError
from qbench.execute.accelerators import accelerators, conditions_of, device_name, devices_for, kind_of
from qbench.execute.as_planned import not_as_planned
from qbench.execute.conditions import load_of
from qbench.execute.coordinator import Coordinator
from qbench.execute.cores import available_cores, numerical_threads
from qbench.execute.limits import limits_of
from qbench.execute.means import Means
from qbench.execute.pool import StationPool
from qbench.execute.preflight import require_weights
from qbench.execute.provenance import processor
from qbench.execute.starting import warm_up
from qbench.execute.stations import PluginFailedError
from qbench.execute.work import CellStarted, Notice, Recorded, ScoringStarted, Setup, Stop, TimingPlan
from qbench.images.at_hand import ORIGINALS
from qbench.planning.types import Plan
from qbench.records import CellRecord, ScoreRecord
from qbench.registry.registry import registry_with
from qbench.store.folder import RunFolder


def look_around(name: str, threads: int, device: str, *, needed: bool) -> WorkerReport:
    """Say what this worker is.

    Args:
        device: as the option says it.
        needed: whether anything computes on an accelerator.
    """
    problems: list[str] = []
    found: tuple[str, ...] = ()
    try:
        found = accelerators(device) if needed and device != "cpu" else ()
    except QbenchError as error:
        if device != "auto":
            problems.append(str(error))
    chosen = (*found, "cpu")[0]
    return WorkerReport(
        name=name,
        host=socket.gethostname(),
        threads=threads,
        processor=processor(),
        versions={"python": platform.python_version(), "qbench": version("qbench")},
        device=chosen,
        device_name=device_name(chosen),
        kind=kind_of(chosen),
        accelerators=conditions_of(found) if found else None,
        problems=problems,
    )


def differences(plan: Plan) -> list[str]:
    """Say in what this worker is not as a plan needs it: plugins, libraries, weights."""
    try:
        registry = registry_with(plan.plugins)
    except PluginError as error:
        return [str(error).partition("\n")[0]]
    found = [reason for each in plan.participants if (reason := not_as_planned(each, registry))]
    if not found:
        try:
            require_weights(plan.points, plan.metrics, registry, Context("cpu", plan.seed, plan.profile))
        except QbenchError as error:
            found.append(str(error))
    return list(dict.fromkeys(each.partition(" (known")[0] for each in found))


class Workplace:
    """Where a worker does the units of one session.

    Args:
        threads: units that are done at a time.
        say: takes a line on what is being done.
        parent: a folder for what is under way, which is removed even if this process is killed.
    """

    def __init__(
        self, contract: Contract, name: str, threads: int, say: Callable[[str, str, str], None], parent: str
    ) -> None:
        self._plan = contract.plan
        self._name = name
        self._say = say
        self._stop = Stop()
        self._lock = threading.Lock()
        self._told: list[str] = []
        self._scratch = Path(tempfile.mkdtemp(prefix="qbench-", dir=parent))
        devices = devices_for(self._plan.participants, contract.device)
        sharing = max(1, contract.neighbours.get(socket.gethostname(), 1))
        numerical = numerical_threads(max(1, available_cores() // (threads * sharing)))
        device = (*devices, "cpu")[0]
        context = Context(device, self._plan.seed, self._plan.profile, threads=numerical)
        timing = TimingPlan(contract.repeats, contract.budget, numerical, load_of(threads * sharing))
        self._setup = Setup(self._plan, RunFolder(self._scratch), contract.session, context, timing, self._plan.plugins)
        warm_up({name for each in self._plan.participants for name in each.libraries})
        self._pool = StationPool(self._setup, self._stop, threads, devices, self._tell)

    def do(self, unit: Unit) -> Done:
        """Do a unit. What fails is in its records; what was stopped has none."""
        folder = RunFolder(Path(tempfile.mkdtemp(dir=self._scratch)))
        events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        setup = replace(self._setup, folder=folder)
        registry = registry_with(self._plan.plugins)
        means = Means(setup, self._pool, events.put, partial(limits_of, self._plan), registry)
        try:
            write_files(folder, unit.files)
            works = unit.works(self._plan)
            unseen = [work.image.name for work in works if not (unit.looked_for or self._sees(means, work))]
            if unseen:
                return Done(unseen=tuple(unseen), worker=self._name)
            records: list[CellRecord | ScoreRecord] = []
            for event in Coordinator(works, means, registry, self._stop, 1, events).run():
                if isinstance(event, Recorded):
                    records += event.records
                elif isinstance(event, CellStarted):
                    self._say("coding", event.image, event.point)
                elif isinstance(event, ScoringStarted):
                    self._say("scoring", event.image, event.metric)
                elif isinstance(event, Notice):
                    self._tell(event.text)
            files = {name: data for name, data in files_in(folder).items() if unit.files.get(name) != data}
            return Done(tuple(records), files, self._taken(), seconds=dict(means.seconds), worker=self._name)
        finally:
            shutil.rmtree(folder.path, ignore_errors=True)

    def stop(self, patience: float) -> None:
        """Begin nothing further; give up what is in progress after so many seconds."""
        self._stop.set("interrupted", patience)

    def close(self) -> None:
        """End the stations."""
        self._pool.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    @staticmethod
    def _sees(means: Means, work: Any) -> bool:
        """Read an original, so that it is at hand; return whether that is possible."""
        try:
            shared = means.read(work.source, work.image)
        except (PluginFailedError, NotApplicable):
            return False
        ORIGINALS.put(shared.image)
        shared.close()
        return True

    def _tell(self, text: str) -> None:
        with self._lock:
            self._told.append(text)

    def _taken(self) -> tuple[str, ...]:
        with self._lock:
            told, self._told = self._told, []
        return tuple(dict.fromkeys(told))


def name_of_process() -> str:
    """Return a name for a worker that has none."""
    return f"{socket.gethostname()}:{os.getpid()}"
