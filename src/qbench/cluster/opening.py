"""Finding or starting workers by Dask: on this machine, at a scheduler that is there, or as jobs of a batch system."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import re
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qbench.cluster.workers import Cluster
from qbench.errors import ClusterError
from qbench.execute.starting import OF_TERMINALS
from qbench.execute.work import MOST_JOBS, Stop

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
NOISY = ("distributed", "asyncio", "tornado")
"""Whose logs tell of what is seen to here: workers that are lost, connections that are closed."""
LISTS = ("_directives", "_prologue", "_extra", "_args", "_skip")
"""What names of options end in that may be given several times."""
WHOLE = ("cores", "processes")
MOST_QUEUED = 10_000
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


class InterruptedWaitError(ClusterError):
    """Whoever waited for a worker waits no longer."""

    exit_code = 130


@contextlib.contextmanager
def open_cluster(
    text: str,
    options: Mapping[str, Sequence[str]] | None = None,
    say: Callable[[str], None] = lambda text: None,
    stop: Stop | None = None,
) -> Iterator[Cluster]:
    """Find or start workers.

    Args:
        text: ``local:4``, ``tcp://scheduler:8786``, the path of a scheduler file, ``slurm:8``, …
        options: of dask-jobqueue's class for the batch system, by name; its own configuration file counts, too.
        say: takes what is waited for.
        stop: ends waiting; and where it can't be waited for either, jobs are taken out of the queue at once.

    Raises:
        ClusterError: it can't be reached, or has no workers; what is asked for is not accepted; packages are missing.
    """
    found = re.fullmatch(r"([a-z]+)(?::(\d{1,6})(?:-(\d{1,6}))?)?", text)
    kind = found[1] if found else ""
    if kind != "local" and kind not in QUEUES and not _is_address(text):
        raise ClusterError(f"--cluster {text}: not known; accepted: {ACCEPTED}")
    for name, values in (options or {}).items():
        _check_option(name, values)
    if options and kind not in QUEUES:
        raise ClusterError(f"--cluster-option is for batch systems ({', '.join(QUEUES)}), not for --cluster {text}")
    try:
        import dask
        import distributed
    except ImportError as error:
        raise ClusterError(f"--cluster needs Dask: pip install 'qbench[cluster]' ({error})") from error
    few, many = (None if found is None or found[place] is None else int(found[place]) for place in (2, 3))
    most = MOST_JOBS if kind == "local" else MOST_QUEUED
    if max(few or 0, many or 0) > most:
        raise ClusterError(f"--cluster {text}: accepted are at most {most} workers")
    if few == 0 or (few is not None and many is not None and many < few):
        raise ClusterError(f"--cluster {text}: accepted are at least one worker, and no more at first than at most")
    with _quietly(), dask.config.set(QUIET if found else {}), contextlib.ExitStack() as left:
        if found is None:
            client = _connected(text)
        else:
            own: Any = _local(few) if kind == "local" else _batch_system(kind, options or {})
            left.callback(_suppressed, own.close)
            if kind in QUEUES and stop is not None:
                stop.last_acts.append(partial(_cancel_jobs, own))
            _scale(own, kind, few, many)
            client = distributed.Client(own, timeout=CONNECTING, set_as_default=False)
        left.callback(_suppressed, client.close)
        wait = partial(_wait, client, text, say, stop or Stop(), patient=kind in QUEUES)
        wait()
        yield Cluster(client, text, wait, own=found is not None, patient=kind in QUEUES)


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
    except OSError as error:  # a TimeoutError is one
        reason = f": {error}" if str(error) else ""
        raise ClusterError(f"no Dask scheduler answers at {text} within {CONNECTING:g} s{reason}") from error
    except ClusterError:
        raise
    except Exception as error:  # whatever Dask makes of it
        what = "no address of a Dask scheduler" if "://" in text else "no scheduler file of Dask's"
        raise ClusterError(f"--cluster {text}: is {what} ({type(error).__name__}: {error})") from error


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

    devices, cores = _devices(), available_cores()
    number = count or devices or cores
    own = Local(  # type: ignore[no-untyped-call]
        n_workers=0,
        threads_per_worker=max(1, cores // number) if devices else 1,  # which code beside a GPU that scores
        processes=True,
        memory_limit=0,
        dashboard_address=":0",
        silence_logs=logging.CRITICAL,
    )
    # Ctrl-C is meant for this process, which ends its workers in good order; they take this over from the thread that
    # starts them.
    resource_tracker.ensure_running()  # which would undo this
    loop: Any = own.loop
    loop.add_callback(signal.pthread_sigmask, signal.SIG_BLOCK, OF_TERMINALS)
    own.scale(number)  # type: ignore[no-untyped-call]
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
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGINT)
    try:
        jobqueue = importlib.import_module("dask_jobqueue")
        if main:
            signal.signal(signal.SIGINT, before)  # which that import sets to its own
    except ImportError as error:
        raise ClusterError(f"--cluster {kind} needs dask-jobqueue: pip install 'qbench[cluster]' ({error})") from error
    given = {name.replace("-", "_"): _value(name, values) for name, values in options.items()}
    try:
        return getattr(jobqueue, QUEUES[kind])(silence_logs=logging.CRITICAL, **given)
    except Exception as error:  # whatever dask-jobqueue makes of it
        text = " ".join(str(error).split(". Very likely")[0].split())
        if "cores and memory" in text:
            text = "how many cores and how much memory has a job? --cluster-option cores=8 --cluster-option memory=24GB"
        raise ClusterError(f"--cluster {kind}: {text}. dask-jobqueue's own configuration counts, too") from error


def _check_option(name: str, values: Sequence[str]) -> None:
    """Refuse what dask-jobqueue would stumble over.

    Raises:
        ClusterError: naming the option.
    """
    plain = name.replace("-", "_")
    if len(values) > 1 and not plain.endswith(LISTS):
        raise ClusterError(f"--cluster-option {name}: is given {len(values)} times; accepted once")
    if plain in WHOLE and not all(re.fullmatch(r"[1-9][0-9]{0,5}", each) for each in values):
        raise ClusterError(f"--cluster-option {name}={values[0]}: accepted is a whole number from 1")


def _value(name: str, values: Sequence[str]) -> Any:
    """Return an option as dask-jobqueue takes it: whole numbers as such, what is given several times as a list."""
    whole = [int(each) if re.fullmatch(r"\d+", each) else each for each in values]
    lists = name.replace("-", "_").endswith(LISTS)
    return whole if len(whole) > 1 or lists else whole[0]


def _scale(own: Any, kind: str, few: int | None, many: int | None) -> None:
    if kind == "local":
        if many is not None:
            own.adapt(minimum=few, maximum=many)
        return
    try:
        for _ in range(few or 1):  # as `own.scale(jobs=few)` does, which tells nobody that a job was refused
            own.worker_spec.update(own.new_worker_spec())
        own.sync(own._correct_state)
    except (RuntimeError, ValueError, OSError) as error:
        command = next((line for line in str(error).splitlines() if "Error" in line or "error" in line), str(error))
        raise ClusterError(f"--cluster {kind}: its jobs are not accepted: {command.strip()}") from error
    if many is not None:
        own.adapt(minimum_jobs=few, maximum_jobs=many)


def _cancel_jobs(own: Any) -> None:
    """Take jobs out of the queue without waiting for anything else."""
    for job in list(own.workers.values()):
        subprocess.run([*shlex.split(job.cancel_command), str(job.job_id)], check=False, timeout=10)


def _wait(client: distributed.Client, text: str, say: Callable[[str], None], stop: Stop, *, patient: bool) -> None:
    """Wait for the first worker: for as long as a queue takes, or as a scheduler that is there should need."""
    waited, told = time.monotonic(), False
    while not client.scheduler_info(n_workers=-1)["workers"]:
        if client.status != "running":
            raise ClusterError(f"--cluster {text}: the connection was lost")
        if not patient and time.monotonic() - waited > ARRIVING:
            raise ClusterError(f"--cluster {text}: no worker has come within {ARRIVING:g} s")
        if stop.is_set():
            raise InterruptedWaitError(f"--cluster {text}: interrupted before the first worker came")
        if patient and not told and time.monotonic() - waited > 5:
            told = True
            say(f"waiting for the first worker of {text}; its jobs are in the queue, which can say why they wait")
        time.sleep(0.1)


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
