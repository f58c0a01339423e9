"""Finding or starting workers by Dask: on this machine, at a scheduler that is there, or as jobs of a batch system."""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import os
import queue
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from functools import partial
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qbench.cluster.dealing import Crew
from qbench.cluster.units import Contract, WorkerReport
from qbench.errors import ClusterError
from qbench.execute.means import Means
from qbench.execute.starting import OF_TERMINALS
from qbench.execute.work import Event, ImageWork, Stop
from qbench.planning.types import OperatingPoint, Plan, PlannedMetric

if TYPE_CHECKING:
    import distributed

ACCEPTED = (
    "local, local:N or local:N-M (workers on this machine); tcp://HOST:PORT (a Dask scheduler) or the path of its "
    "scheduler file; slurm, pbs, lsf, sge, htcondor, oar or moab, with :N or :N-M jobs"
)
QUEUES = {
    "slurm": "SLURMCluster",
    "pbs": "PBSCluster",
    "lsf": "LSFCluster",
    "sge": "SGECluster",
    "htcondor": "HTCondorCluster",
    "oar": "OARCluster",
    "moab": "MoabCluster",
}
CONNECTING = 10.0
"""Seconds within which a scheduler answers."""
ARRIVING = 60.0
"""Seconds within which a scheduler that is there, or this machine, has workers."""
QUIET = {
    "distributed.scheduler.allowed-failures": 0,  # qbench itself knows what was being done, and tries again
    "distributed.worker.memory.target": False,  # stations have limits of their own, in processes of their own
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": False,
    "distributed.worker.daemon": False,
    "distributed.comm.timeouts.connect": "10s",
}


class Cluster:
    """Workers that a session's work is given to. Made by :func:`open_cluster`; use it as a context manager."""

    def __init__(
        self,
        client: distributed.Client,
        label: str,
        close: Callable[[], None],
        wait: Callable[[], None],
        *,
        own: bool,
    ) -> None:
        self.label = label
        self._client = client
        self._close = close
        self._wait = wait
        self._own = own
        self._kind: Mapping[str, str] | None = None
        self._device = "auto"
        self._reports: dict[str, WorkerReport] = {}

    def __enter__(self) -> Cluster:
        """Return it."""
        return self

    def __exit__(self, *_: object) -> None:
        """End what was started for it: workers, jobs in a queue."""
        self._close()

    # -- what they are ------------------------------------------------------------------------------------------------

    def look(self, participants: Sequence[OperatingPoint | PlannedMetric], device: str) -> None:
        """Find out what the workers are, and where their networks compute.

        Raises:
            ClusterError: one lacks qbench, or the accelerator that is asked for; or theirs are of several models.
        """
        from qbench.cluster import on_worker

        needed = device != "auto" or any(each.runs_on == "accelerator" for each in participants)
        self._device = device
        found = self._asked(on_worker.look, device, needed)
        self._reports = {address: each for address, each in found.items() if isinstance(each, WorkerReport)}
        self._refuse(
            {
                self._name(address): [_told(each)] if isinstance(each, Exception) else each.problems
                for address, each in found.items()
            }
        )
        kinds = {json.dumps(each.kind, sort_keys=True) for each in self._reports.values() if each.kind is not None}
        if len(kinds) > 1:
            raise ClusterError(
                f"{self.label}: workers have accelerators of several kinds ({'; '.join(sorted(kinds))}), whose results "
                "differ in their last digits; have workers of one kind, or choose --device cpu"
            )
        self._kind = json.loads(kinds.pop()) if kinds else None

    def require(self, plan: Plan) -> None:
        """Check that the workers' plugins, libraries and weights are those of a plan.

        Raises:
            ClusterError: some are not; the differences are listed.
        """
        from qbench.cluster import on_worker

        found = self._asked(on_worker.differs, plan)
        self._refuse(
            {
                self._name(address): [_told(each)] if isinstance(each, Exception) else each
                for address, each in found.items()
            }
        )
        hosts = Counter(each.host for each in self._reports.values())
        if plan.timing["exclusive"] and (max(hosts.values()) > 1 or any(w.threads > 1 for w in self._reports.values())):
            raise ClusterError(
                f"{self.label}: `timing: {{exclusive: true}}` measures with nothing beside it, but workers share a "
                "machine; have one worker with one thread on each, or leave `exclusive` out"
            )

    def _asked(self, function: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
        """Return what a function gives at each worker, or raises there; of those that are gone meanwhile, nothing."""
        while True:
            found: dict[str, Any] = self._client.run(function, *arguments, on_error="return")
            there = {address: each for address, each in found.items() if not isinstance(each, OSError)}
            if there:
                return there
            self._wait()

    def _refuse(self, problems: Mapping[str, Sequence[str]]) -> None:
        wrong = {name: each for name, each in problems.items() if each}
        if wrong:
            lines = [f"  {name}: {'; '.join(each)}" for name, each in sorted(wrong.items())]
            raise ClusterError("\n".join([f"{self.label}: {len(wrong)} workers can't take part:", *lines]))

    def _name(self, address: str) -> str:
        report = self._reports.get(address)
        return address if report is None else f"{report.name} on {report.host}"

    @property
    def kind(self) -> Mapping[str, str] | None:
        """What decides results on the workers' accelerators; None where networks compute on processors."""
        return self._kind

    @property
    def device_name(self) -> str:
        """The accelerators' model, or ``cpu``."""
        return next((each.device_name for each in self._reports.values() if each.kind is not None), "cpu")

    @property
    def slots(self) -> int:
        """How many units the workers do at a time."""
        return max(1, sum(each.threads for each in self._reports.values()))

    def provenance(self) -> dict[str, Any]:
        """Describe the workers as they were at first, in the terms of a session's provenance."""
        reports = list(self._reports.values())
        there = next((each for each in reports if each.kind is not None), None)
        return {
            "processor": "; ".join(sorted({each.processor for each in reports})),
            "cores": self.slots,
            "device": "cpu" if there is None else there.device,
            "device_name": self.device_name,
            "accelerators": None if there is None else there.accelerators,
            "jobs": self.slots,
            "cluster": {
                "scheduler": self.label,
                "workers": [
                    {"name": each.name, "host": each.host, "threads": each.threads, "device": each.device_name}
                    | {"processor": each.processor, **each.versions}
                    for each in reports
                ],
            },
        }

    # -- work ---------------------------------------------------------------------------------------------------------

    def work(
        self, works: Sequence[ImageWork], means: Means, stop: Stop, events: queue.SimpleQueue[Any]
    ) -> Generator[Event]:
        """Yield events until the work is done or stopped."""
        from qbench.cluster.hand_out import HandOut
        from qbench.cluster.on_worker import AtWork, plugin_name

        setup = means.setup
        neighbours = dict(Counter(each.host for each in self._reports.values()))
        contract = Contract(
            setup.plan, setup.session, self._device, setup.timing.repeats, setup.timing.budget, neighbours
        )
        name = plugin_name(setup.session)
        self._client.register_plugin(AtWork(contract, self._kind, own=self._own), name=name)
        try:
            yield from HandOut(self._client, works, means, stop, partial(self._crew, setup.session), events).run()
        finally:
            with contextlib.suppress(Exception):  # it may be gone
                self._client.unregister_worker_plugin(name)

    def _crew(self, session: str) -> Crew:
        """Return which workers take part now."""
        from qbench.cluster.on_worker import ACCELERATOR, TAKES_PART

        workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
        offered = [each["resources"] for each in workers if each["resources"].get(f"{TAKES_PART}-{session}")]
        with_one = [bool(each.get(f"{ACCELERATOR}-{session}")) for each in offered]
        slots = int(sum(each[f"{TAKES_PART}-{session}"] for each in offered))
        return Crew(max(1, slots), any(with_one), any(with_one) and not all(with_one))


@contextlib.contextmanager
def open_cluster(
    text: str, options: Mapping[str, Sequence[str]] | None = None, say: Callable[[str], None] = lambda text: None
) -> Iterator[Cluster]:
    """Find or start workers.

    Args:
        text: ``local:4``, ``tcp://scheduler:8786``, the path of a scheduler file, ``slurm:8``, …
        options: of dask-jobqueue's class for the batch system, by name; its own configuration file counts, too.
        say: takes what is waited for.

    Raises:
        ClusterError: it can't be reached, or has no workers; what is asked for is not accepted; packages are missing.
    """
    found = re.fullmatch(r"([a-z]+)(?::(\d+)(?:-(\d+))?)?", text)
    kind = found[1] if found else ""
    if kind != "local" and kind not in QUEUES and not _is_address(text):
        raise ClusterError(f"--cluster {text}: not known; accepted: {ACCEPTED}")
    if options and kind not in QUEUES:
        raise ClusterError(f"--cluster-option is for batch systems ({', '.join(QUEUES)}), not for --cluster {text}")
    try:
        import dask
        import distributed
    except ImportError as error:
        raise ClusterError(f"--cluster needs Dask: pip install 'qbench[cluster]' ({error})") from error
    few, many = (None if found is None or found[place] is None else int(found[place]) for place in (2, 3))
    if few == 0 or (few is not None and many is not None and many < few):
        raise ClusterError(f"--cluster {text}: accepted are at least one worker, and no more at first than at most")
    with _quietly(), dask.config.set(QUIET if found else {}), contextlib.ExitStack() as left:
        if found is None:
            client = _connected(text)
        else:
            own: Any = _local(few) if kind == "local" else _batch_system(kind, options or {})
            left.callback(_suppressed, own.close)
            _scale(own, kind, few, many)
            client = distributed.Client(own, timeout=CONNECTING, set_as_default=False)
        left.callback(_suppressed, client.close)
        wait = partial(_wait, client, text, say, patient=kind in QUEUES)
        wait()
        yield Cluster(client, text, left.close, wait, own=found is not None)


def _is_address(text: str) -> bool:
    return "://" in text or Path(text).suffix == ".json" or Path(text).is_file()


def _connected(text: str) -> distributed.Client:
    import distributed

    try:
        if "://" in text:
            return distributed.Client(text, timeout=CONNECTING, set_as_default=False)
        if not Path(text).is_file():
            raise ClusterError(f"--cluster {text}: there is no such scheduler file")
        return distributed.Client(scheduler_file=text, timeout=CONNECTING, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:  # TimeoutError is an OSError
        reason = f": {error}" if str(error) else ""
        raise ClusterError(f"no Dask scheduler answers at {text} within {CONNECTING:g} s{reason}") from error


def _local(count: int | None) -> distributed.LocalCluster:
    """Start workers on this machine: one for each accelerator, or as many as asked for, or one for each core."""
    import distributed

    from qbench.execute.cores import available_cores

    class Local(distributed.LocalCluster):
        """Each worker with an accelerator of its own, as long as there are some."""

        def new_worker_spec(self) -> dict[Any, Any]:
            spec: dict[Any, Any] = super().new_worker_spec()  # type: ignore[no-untyped-call]
            for name, each in spec.items():
                visible = _visible_device(int(name))
                if visible is not None:
                    each["options"]["env"] = {**each["options"].get("env", {}), "CUDA_VISIBLE_DEVICES": visible}
            return spec

    own = Local(  # type: ignore[no-untyped-call]
        n_workers=0,
        threads_per_worker=1,
        processes=True,
        memory_limit=0,
        dashboard_address=None,
        silence_logs=logging.CRITICAL,
    )
    # Ctrl-C is meant for this process, which ends its workers in good order; they take this over from the thread that
    # starts them.
    resource_tracker.ensure_running()  # which would undo this
    loop: Any = own.loop
    loop.add_callback(signal.pthread_sigmask, signal.SIG_BLOCK, OF_TERMINALS)
    own.scale(  # type: ignore[no-untyped-call]
        count or _devices() or available_cores()
    )
    return own


def _devices() -> int:
    from qbench.execute.accelerators import accelerators

    return len(accelerators("auto"))


def _visible_device(number: int) -> str | None:
    """Return which accelerators a worker on this machine sees; None: all, of none."""
    count = _devices()
    if not count:
        return None
    named = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    names = [each for each in named.split(",") if each] or [str(each) for each in range(count)]
    return names[number] if number < count else ""


def _batch_system(kind: str, options: Mapping[str, Sequence[str]]) -> Any:
    """Return dask-jobqueue's cluster for a batch system, of which no job has been started yet."""
    try:
        jobqueue = importlib.import_module("dask_jobqueue")
    except ImportError as error:
        raise ClusterError(f"--cluster {kind} needs dask-jobqueue: pip install 'qbench[cluster]' ({error})") from error
    given = {name.replace("-", "_"): _value(name, values) for name, values in options.items()}
    try:
        return getattr(jobqueue, QUEUES[kind])(silence_logs=logging.CRITICAL, **given)
    except (TypeError, ValueError, OSError, RuntimeError) as error:
        text = " ".join(str(error).split(". Very likely")[0].split())
        if "cores and memory" in text:
            text = "how many cores and how much memory has a job? --cluster-option cores=8 --cluster-option memory=24GB"
        raise ClusterError(f"--cluster {kind}: {text}. dask-jobqueue's own configuration counts, too") from error


def _value(name: str, values: Sequence[str]) -> Any:
    """Return an option as dask-jobqueue takes it: whole numbers as such, what is given several times as a list."""
    whole = [int(each) if re.fullmatch(r"\d+", each) else each for each in values]
    lists = name.replace("-", "_").endswith(("_directives", "_prologue", "_extra", "_args", "_skip"))
    return whole if len(whole) > 1 or lists else whole[0]


def _scale(own: Any, kind: str, few: int | None, many: int | None) -> None:
    if kind == "local":
        if many is not None:
            own.adapt(minimum=few, maximum=many)
    elif many is not None:
        own.adapt(minimum_jobs=few, maximum_jobs=many)
    else:
        own.scale(jobs=few or 1)


def _wait(client: distributed.Client, text: str, say: Callable[[str], None], *, patient: bool) -> None:
    """Wait for the first worker: for as long as a queue takes, or as a scheduler that is there should need."""
    waited, told = time.monotonic(), False
    while not client.scheduler_info(n_workers=-1)["workers"]:
        if client.status != "running":
            raise ClusterError(f"--cluster {text}: the connection was lost")
        if not patient and time.monotonic() - waited > ARRIVING:
            raise ClusterError(f"--cluster {text}: no worker has come within {ARRIVING:g} s")
        if patient and not told and time.monotonic() - waited > 5:
            told = True
            say(f"waiting for the first worker of {text}; its job is in the queue")
        time.sleep(0.1)


def _told(error: Exception) -> str:
    """Say what a worker could not do."""
    if isinstance(error, ModuleNotFoundError):
        return f"qbench can't be imported there ({error})"
    return f"{type(error).__name__}: {error}"


def _suppressed(do: Callable[[], object]) -> None:
    with contextlib.suppress(Exception):
        do()


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Keep Dask's log to itself: what matters is told as it matters here."""
    loggers = [
        logging.getLogger(name) for name in ("distributed", *logging.root.manager.loggerDict) if "distributed" in name
    ]
    before = [(each, each.level) for each in loggers]
    for each in loggers:
        each.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for each, level in before:
            each.setLevel(level)
