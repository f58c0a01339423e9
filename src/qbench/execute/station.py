"""A station: a process that does one kind of work for the coordinator, and is told nothing else."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import sys
import threading
from dataclasses import dataclass, replace
from multiprocessing import parent_process
from pathlib import Path
from typing import Literal

from qbench.contracts.context import Context
from qbench.execute.accelerators import compute_exactly, is_usable
from qbench.execute.answering import Answer, Notes, Request, answer
from qbench.execute.cores import limit_linear_algebra, limit_threads
from qbench.execute.desks import DecodingDesk, Desk, EncodingDesk, ScoringDesk
from qbench.execute.starting import OF_TERMINALS
from qbench.execute.station_log import StationLog
from qbench.execute.wire import Line
from qbench.execute.work import TimingPlan
from qbench.records import Failure
from qbench.registry.registry import registry_with

Role = Literal["encode", "decode", "score"]
DESKS: dict[Role, type[Desk]] = {"encode": EncodingDesk, "decode": DecodingDesk, "score": ScoringDesk}
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
"""Of Linux's prctl."""
MARK = "QBENCH_STATION"
"""Environment variable by which processes that a station's plugins start, and leave behind, are known."""


@dataclass(frozen=True)
class Post:
    """What a station is set up with.

    Attributes:
        mark: its own, for the environment.
        environment, directory, path, umask: the coordinator's.
    """

    role: Role
    plugins: tuple[str, ...]
    context: Context
    timing: TimingPlan
    log: Path
    mark: str
    environment: dict[str, str]
    directory: str
    path: list[str]
    umask: int


def station_main(connection: socket.socket, post: Post) -> None:
    """Answer requests until the line is cut."""
    _settle(post, connection)
    log = StationLog(post.log)
    notes = Notes()
    line = Line(connection, in_station=True)
    device = post.context.device
    compute_exactly(device)
    limit_threads(post.timing.threads)
    limit_linear_algebra(post.timing.threads)
    desk = DESKS[post.role](registry_with(post.plugins), replace(post.context, notice=notes.add), post.timing)
    line.send(Answer())
    while True:
        try:
            request = line.receive()
        except (EOFError, OSError):  # the coordinator has gone, or wants nothing more
            os._exit(0)  # threads that plugins left can't keep the process
        if not isinstance(request, Request):  # a path: the log's place from now on
            log.open(request)
            line.send(Answer())
            continue
        log.begin(request.about)
        try:
            made = answer(desk, request, notes, log.printed)
        except BaseException as error:  # of what a plugin left to the code around it
            made = Answer(failure=Failure.of(request.owner, error))
        if made.failure is not None and not is_usable(device):
            made = replace(made, last=True)
        limit_threads(post.timing.threads)  # a plugin may just have loaded torch
        log.end()
        try:
            line.send(made)
        except (OSError, EOFError):
            os._exit(0)
        except Exception as error:  # what a plugin returned can't travel
            line.send(Answer(failure=Failure.of(request.owner, error), notes=made.notes))


def _settle(post: Post, connection: socket.socket) -> None:
    """Leave the coordinator's terminal and process group; take on its environment and directory; die with it."""
    with contextlib.suppress(OSError):
        os.setsid()
    for name in (signal.SIGINT, signal.SIGTERM):  # the coordinator decides; programs that plugins start are not deaf
        signal.signal(name, lambda *_: None)
    if hasattr(signal, "pthread_sigmask"):  # in a session of its own nobody disturbs it, and programs are not deaf
        signal.pthread_sigmask(signal.SIG_UNBLOCK, OF_TERMINALS)
    adopt_orphans()
    os.environ.clear()
    os.environ.update({**post.environment, MARK: post.mark})
    os.chdir(post.directory)
    os.umask(post.umask)
    sys.path[:] = post.path
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    _close_others(connection)
    threading.Thread(target=_die_with_coordinator, daemon=True).start()


def adopt_orphans() -> None:
    """Become the parent of whatever the processes that are started from here leave behind, so that it can be found."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


def _close_others(connection: socket.socket) -> None:
    """Close what was open where this process comes from: other stations' lines, and the server's own."""
    parent = parent_process()
    kept = {0, 1, 2, connection.fileno(), parent.sentinel if parent is not None else -1}
    for entry in list(Path("/dev/fd").iterdir()):
        if entry.name.isdigit() and int(entry.name) not in kept:
            with contextlib.suppress(OSError):
                os.close(int(entry.name))


def _die_with_coordinator() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        with contextlib.suppress(OSError):
            os.killpg(0, signal.SIGKILL)
        os._exit(1)
