"""Dask's side of a worker: it takes part in a session if it is as the session needs it, and does units."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import signal
import threading
import time
from functools import partial
from typing import Any

from distributed import Worker, WorkerPlugin, get_worker

from qbench.cluster.units import Contract, Done, Unit, WorkerReport
from qbench.cluster.workplace import Workplace, differences, look_around, name_of_process
from qbench.errors import QbenchError
from qbench.execute.starting import OF_TERMINALS

TAKES_PART, ACCELERATOR = "qbench", "qbench-accelerator"
"""Dask's resources: units that a worker does at a time, and as many where it has an accelerator."""
SILENCE = 600.0
"""Seconds after which a coordinator that was not heard of is taken for gone, and its stations are ended."""
SAYING = 0.5
"""Seconds between two lines that a worker says of what it is doing."""


def plugin_name(session: str) -> str:
    """Return what a session's plugin is called."""
    return f"qbench-{session}"


class AtWork(WorkerPlugin):
    """Makes a worker's stations ready for a session, and tells the scheduler so.

    Args:
        kind: what accelerators have to be of.
        own: whether the worker was started for this session alone, by it.
    """

    def __init__(self, contract: Contract, kind: Any, *, own: bool) -> None:
        self._contract = contract
        self._kind = kind
        self._own = own
        self.workplace: Workplace | None = None
        self._said = 0.0
        self.heard = 0.0

    async def setup(self, worker: Worker) -> None:
        """Look whether this worker is as it must be, and offer it if so."""
        # Dask's workers are said to be daemons, which may not start processes; that their own end with them is seen to.
        multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]
        if self._own and threading.current_thread() is threading.main_thread():
            for number in OF_TERMINALS:  # meant for the coordinator, which ends its workers
                signal.signal(number, signal.SIG_IGN)
        threads = int(worker.state.nthreads)
        self._worker = worker
        loop = asyncio.get_running_loop()
        contract = self._contract
        name = _name_of(worker)
        needed = self._kind is not None
        report = await loop.run_in_executor(None, partial(look_around, name, threads, contract.device, needed=needed))
        problems = [*report.problems, *await loop.run_in_executor(None, differences, contract.plan)]
        if report.kind is not None and report.kind != self._kind:
            problems.append(f"its accelerator is {dict(report.kind)}, others' is {dict(self._kind)}")
        if problems:
            worker.log_event(contract.session, {"event": "unfit", "name": name, "problems": problems[:5]})
            return
        self.workplace = await loop.run_in_executor(
            None, partial(Workplace, contract, name, threads, self._say, worker.local_directory)
        )
        self.heard = time.monotonic()
        self._watching = asyncio.create_task(self._watch(worker))
        offered = {TAKES_PART: threads, ACCELERATOR: threads if report.kind is not None else 0}
        await worker.set_resources(**{f"{each}-{contract.session}": count for each, count in offered.items()})
        worker.log_event(contract.session, {"event": "fit", "name": name})

    async def teardown(self, worker: Worker) -> None:
        """End the stations."""
        workplace, self.workplace = self.workplace, None
        offered = [f"{each}-{self._contract.session}" for each in (TAKES_PART, ACCELERATOR)]
        with contextlib.suppress(Exception):  # the scheduler may be gone
            await worker.set_resources(**dict.fromkeys(offered, 0))
        if workplace is not None:
            await asyncio.get_running_loop().run_in_executor(None, workplace.close)

    async def _watch(self, worker: Worker) -> None:
        """End the stations when nobody is left to take what they make."""
        while time.monotonic() - self.heard < SILENCE:
            await asyncio.sleep(SILENCE / 20)
        await self.teardown(worker)

    def _say(self, what: str, image: str, about: str) -> None:
        if time.monotonic() - self._said > SAYING:
            self._said = time.monotonic()
            event = {"event": what, "image": image, "about": about, "name": _name_of(self._worker)}
            self._worker.log_event(self._contract.session, event)


def do_unit(unit: Unit, originals: Any, session: str, sent: int) -> Done:
    """Do a unit at this worker, with originals if any were sent along; ``sent`` tells tries of it apart."""
    worker = get_worker()
    worker.log_event(session, {"event": "started", "unit": unit.number, "sent": sent, "name": _name_of(worker)})
    plugin = worker.plugins[plugin_name(session)]
    assert isinstance(plugin, AtWork)
    if plugin.workplace is None:
        raise QbenchError("the session has ended here")
    return plugin.workplace.do(unit if not originals else unit.given(originals))


def look(device: str, needed: bool, dask_worker: Worker) -> WorkerReport:  # called by Dask, positionally
    """Say what this worker is."""
    return look_around(_name_of(dask_worker), int(dask_worker.state.nthreads), device, needed=needed)


def differs(plan: Any, dask_worker: Worker) -> list[str]:  # what Dask gives
    """Say in what this worker is not as a plan needs it."""
    return differences(plan)


async def hear(session: str, dask_worker: Worker) -> None:
    """Take note that a session's coordinator is there; a coroutine, as whoever calls does not wait."""
    plugin = dask_worker.plugins.get(plugin_name(session))
    if isinstance(plugin, AtWork):
        plugin.heard = time.monotonic()


async def stop(session: str, patience: float, dask_worker: Worker) -> None:
    """Have a session's work end; likewise."""
    plugin = dask_worker.plugins.get(plugin_name(session))
    if isinstance(plugin, AtWork) and plugin.workplace is not None:
        plugin.workplace.stop(patience)


def _name_of(worker: Worker) -> str:
    name = str(worker.name)
    return name_of_process() if "://" in name else name
