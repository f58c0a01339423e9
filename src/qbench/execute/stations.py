"""Stations as the coordinator sees them: asked, watched, and ended."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, Protocol, TypeVar

from qbench.errors import NotApplicable, PluginError, QbenchError, StoreError
from qbench.execute.accelerators import exactly
from qbench.execute.answering import Answer, Notes, Request, answer
from qbench.execute.limits import (
    LEAST_FREE,
    Limits,
    descendants,
    free_memory,
    held_memory,
    processes_marked,
)
from qbench.execute.shared import SharedImage
from qbench.execute.starting import TRIES, end_orphans, has_gone, server_pid, start
from qbench.execute.station import DESKS, MARK, Post, Role, station_main
from qbench.execute.station_log import tail_of
from qbench.execute.surroundings import umask
from qbench.execute.wire import Line, as_if_sent
from qbench.execute.work import ContractError, Setup, Stop
from qbench.images.image import Image
from qbench.records import Failure
from qbench.registry.registry import Registry

TICK = 0.05
"""Seconds between two looks at a station that is at work."""
CLOSING = 3.0
"""Seconds that stations have to release what they took."""
LONGEST_LOG = 200 * 2**20
"""Bytes that one call may print."""
NO_CODE = 255
"""What multiprocessing says of a process whose server went before it could tell how the process ended."""
LONGEST_ANSWER = 60.0
"""Seconds that an answer may take to arrive once it has begun."""


class PluginFailedError(Exception):
    """A plugin failed at a station, or took it along."""

    def __init__(self, failure: Failure, *, server_gone: bool = False) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.server_gone = server_gone
        """Whether all stations went, so that whoever was asked may not be to blame."""

    def told(self) -> QbenchError:
        """Return it as an error for people: what is theirs to mend, or how the plugin failed."""
        if isinstance(self.__cause__, QbenchError):
            return self.__cause__
        seen = self.failure.traceback or self.failure.printed
        return PluginError(f"{self.failure.plugin} failed: {self.failure.message}\n{seen}".rstrip())


class StoppedError(Exception):
    """The work was stopped, and what was in flight is given up."""


class Station(Protocol):
    """Where requests are answered."""

    role: Role
    number: int
    knows: set[Any]
    """Settings of codecs, or labels of metrics, that it is set up for already."""
    taken: Any
    """What the images are of that it was last given to score; None without any."""

    def ask(self, request: Request, limits: Limits) -> Any:
        """Return what a request gives; images in it are :class:`SharedImage`.

        Raises:
            NotApplicable, PluginFailedError: as the plugin has it; also where it exceeds a limit, or kills the process.
            QbenchError: what is the user's to mend.
            StoppedError: the work was stopped meanwhile.
        """

    def close(self) -> list[str]:
        """End it; return what went wrong."""


def value_of(made: Answer, tell: Callable[[str], None]) -> Any:
    """Return what an answer holds, or raise it; pass on what plugins told."""
    for note in made.notes:
        tell(note)
    if made.reason is not None:
        raise NotApplicable(made.reason)
    if made.failure is not None:
        failed = PluginFailedError(made.failure)
        if made.refusal:
            failed.__cause__ = QbenchError(made.refusal)
        raise failed
    return made.value


class LocalStation:
    """A station in this process, for debugging and for plugins that were registered by Python code.

    Plugins get copies of images, which are compared afterwards: nothing here is read-only to the bottom.
    """

    def __init__(self, role: Role, number: int, setup: Setup, registry: Registry, tell: Callable[[str], None]) -> None:
        self.role, self.number = role, number
        self.knows: set[Any] = set()
        self.taken: Any = None
        self._tell = tell
        self._notes = Notes()
        self._device = setup.context.device
        self._desk = DESKS[role](registry, replace(setup.context, notice=self._notes.add), setup.timing)
        self._kept: list[tuple[Image, SharedImage]] = []

    def ask(self, request: Request, limits: Limits) -> Any:
        """Answer here and now, whatever it takes."""
        given: list[tuple[Image, SharedImage]] = []

        def local(value: Any) -> Any:
            if isinstance(value, SharedImage):
                given.append((value.image.frozen(), value))
                return given[-1][0]
            return [local(each) for each in value] if isinstance(value, list) else value

        arguments = tuple(local(each) for each in request.arguments)
        if request.method == "take":
            self._kept = given
        asked = Request(request.method, arguments, request.owner, request.about)
        with exactly(self._device):
            made = answer(self._desk, asked, self._notes, str)
        if any(not one.equals(shared.image) for one, shared in (*given, *self._kept)):
            self.taken = None
            error = ContractError("writes to the images that it is given, which others read")
            raise PluginFailedError(Failure.of(request.owner, error))
        return as_if_sent(value_of(made, self._tell))

    def close(self) -> list[str]:
        """Let plugins release what they took."""
        return self._desk.close()


class ProcessStation:
    """A station in a process of its own."""

    def __init__(
        self, role: Role, number: int, setup: Setup, log: Path, stop: Stop, tell: Callable[[str], None]
    ) -> None:
        self.role, self.number = role, number
        self.knows: set[Any] = set()
        self.taken: Any = None
        self._log = log
        self._stop = stop
        self._tell = tell
        self._mark = uuid.uuid4().hex
        self._lock = threading.Lock()
        ours, theirs = socket.socketpair()
        post = Post(
            role,
            setup.plugins,
            setup.context,
            setup.timing,
            log,
            self._mark,
            dict(os.environ),
            str(Path.cwd()),
            list(sys.path),
            umask(),
        )
        self._process = start(station_main, (theirs, post), f"qbench-{role}-{number}")
        self._server = server_pid()
        theirs.close()
        ours.settimeout(LONGEST_ANSWER)
        self._line = Line(ours, in_station=False)
        self._ready = False

    @property
    def alive(self) -> bool:
        """Whether its process is there."""
        return bool(self._process.is_alive())

    def log_to(self, path: Path) -> None:
        """Have what is printed from now on written to another file."""
        self._log = path
        self._wait_until_ready()
        self._line.send(path)
        self._line.receive()

    def ask(self, request: Request, limits: Limits) -> Any:
        """Ask, and watch over what is done until there is an answer."""
        try:
            self._wait_until_ready()
            self._line.send(request)
        except (OSError, EOFError):
            raise self._lost(request, "StationDied", self._ending()) from None
        except StoreError:
            if not self._server_gone():
                raise
            raise self._lost(request, "StationDied", self._ending()) from None
        made = self._watched(request, limits)
        if made.last:
            self._tell(f"{request.owner}: the device no longer answers its process, which is ended; others go on")
            self.kill()
        return value_of(made, self._tell)

    def close(self) -> list[str]:
        """Ask it to release what it took, then end it, and whatever its plugins started."""
        told: list[str] = []
        with contextlib.suppress(OSError, EOFError, PluginFailedError, StoppedError):
            if self._ready and self.alive:
                told = self.ask(Request("close", (), self.role, "close"), Limits(CLOSING, sys.maxsize)) or []
        self.kill()
        return told

    def kill(self) -> None:
        """End it at once, and whatever its plugins started."""
        with self._lock:
            pid = self._process.pid
            if pid is not None:
                started = descendants(pid)
                with contextlib.suppress(OSError):
                    os.killpg(pid, signal.SIGKILL)
                for left in {*started, *processes_marked(MARK, self._mark)}:
                    with contextlib.suppress(OSError):
                        os.kill(left, signal.SIGKILL)
            self._process.kill()
            self._process.join(CLOSING)
            self._line.close()
        end_orphans()

    def _wait_until_ready(self) -> None:
        """Wait until it is set up.

        Raises:
            StoreError: it ended before; no request is to blame.
        """
        if self._ready:
            return
        try:
            while not wait([self._line.fileno()], TICK):
                if not self.alive:
                    raise EOFError
            self._line.receive()
            self._ready = True
        except (OSError, EOFError):
            ending, printed = self._ending(), tail_of(self._log)
            self.kill()
            raise StoreError(f"the process to {self.role} {ending} before it was ready\n{printed}".rstrip()) from None

    def _watched(self, request: Request, limits: Limits) -> Answer:
        began = time.monotonic()
        line, sentinel = self._line.fileno(), self._process.sentinel
        while True:
            ready = wait([line, sentinel], TICK)
            if line in ready:
                try:
                    made = self._line.receive()
                except Exception:  # the end of the line, or no message: whatever a plugin wrote there
                    raise self._lost(request, "StationDied", self._ending()) from None
                if isinstance(made, Answer):
                    return made
                raise self._lost(request, "StationDied", "answered with something else than an answer")
            if ready:
                raise self._lost(request, "StationDied", self._ending())
            if self._stop.impatient:
                self.kill()
                raise StoppedError
            self._enforce(request, limits, time.monotonic() - began)

    def _enforce(self, request: Request, limits: Limits, seconds: float) -> None:
        if seconds > limits.seconds:
            text = f"took longer than {limits.seconds:g} s (`limits: {{seconds: …}}` in a suite gives it more)"
            raise self._lost(request, "TimeLimit", text)
        held = held_memory(self._process.pid or 0)
        if held > limits.memory:
            text = f"took {held / 2**30:.2g} GiB of memory, more than {limits.memory / 2**30:.3g} GiB"
            raise self._lost(request, "MemoryLimit", f"{text} (`limits: {{memory: …}}` in a suite gives it more)")
        free = free_memory()
        if free is not None and free < LEAST_FREE and held > LEAST_FREE:
            raise self._lost(request, "MemoryLimit", f"took {held / 2**30:.2g} GiB, all the memory that was left")
        with contextlib.suppress(OSError):
            if self._log.stat().st_size > LONGEST_LOG:
                raise self._lost(request, "OutputLimit", f"printed more than {LONGEST_LOG >> 20} MiB")

    def _ending(self) -> str:
        """Wait for the process that is gone, and say how it went."""
        self._process.join(CLOSING)
        code = self._process.exitcode
        if code is None:
            return "no longer answers"
        if code < 0:
            try:
                return f"was killed by {signal.Signals(-code).name}"
            except ValueError:
                return f"was killed by signal {-code}"
        return f"ended with exit code {code}"

    def _server_gone(self) -> bool:
        """Whether the server has gone that the process was started by, which takes notice of all processes with it."""
        if self._process.exitcode == NO_CODE:
            return has_gone(self._server)
        return server_pid() != self._server

    def _lost(self, request: Request, kind: str, text: str) -> Exception:
        """Bury the station; return what to raise for the request that it was lost with."""
        gone = kind == "StationDied" and self._server_gone()
        self.kill()
        if self._stop.impatient or (self._stop.reason and kind == "StationDied"):
            return StoppedError()  # whoever interrupts a run may have ended it, too
        doing = f"its process {text}" if kind == "StationDied" else text
        printed = tail_of(self._log)
        failure = Failure(plugin=request.owner, error=kind, message=doing, printed=printed)
        return PluginFailedError(failure, server_gone=gone)


T = TypeVar("T")


def persistently(do: Callable[[], T]) -> T:
    """Do something at a station; again, where all stations went because one plugin ended what they are started by."""
    for left in reversed(range(TRIES)):
        try:
            return do()
        except PluginFailedError as error:
            if not (error.server_gone and left):
                raise
    raise AssertionError("unreachable")
