"""Starting processes: from a server that has loaded what they all need, where the system can fork."""

from __future__ import annotations

import contextlib
import gc
import itertools
import multiprocessing
import os
import signal
import sys
import threading
import time
import types
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator
from multiprocessing import forkserver, resource_tracker, util
from typing import Any

from qbench.execute.limits import children, descendants, parent_of

SHARED = {"torch": "torch", "numba": "qbench.execute.compiled", "opencv": "cv2"}
"""Libraries that take long to load, and their modules: loaded once for all stations, where something uses them."""
TRIES = 3
"""Of starting a process, where the server has just gone."""
OF_TERMINALS = {signal.SIGINT, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])}
GOING = 1.0
"""Seconds that a server takes to go, at most, from when its ends of lines are closed."""
PRELOADED = "qbench.execute.preloaded"

_lock = threading.Lock()
_started: weakref.WeakSet[Any] = weakref.WeakSet()


def warm_up(libraries: Collection[str] = (), *, pristine: bool = False) -> None:
    """Begin to start the server, which takes as long as loading what stations need; does not wait for it.

    Args:
        libraries: what codecs and metrics say that they use.
        pristine: that this process is a program of qbench's own in which nothing has run but qbench: the server is then
            forked from it, and has loaded what stations need already.
    """
    if "forkserver" in multiprocessing.get_all_start_methods():
        pristine = pristine and sys.platform == "linux" and threading.active_count() == 1 and "torch" not in sys.modules
        with _lock, _without_main(), _safe_path(), undisturbed(), _forked() if pristine else contextlib.nullcontext():
            multiprocessing.set_forkserver_preload(
                [PRELOADED, *(module for name, module in SHARED.items() if name in libraries)]
            )
            forkserver.ensure_running()


def start(target: Callable[..., None], arguments: tuple[Any, ...], name: str) -> Any:
    """Start a process; return it."""
    methods = multiprocessing.get_all_start_methods()
    context: Any = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    for left in reversed(range(TRIES)):
        with _lock, _without_main(), _safe_path(), undisturbed():
            process = context.Process(target=target, args=arguments, name=name, daemon=True)
            try:
                process.start()
            except (EOFError, OSError):  # the server has gone, or is about to; the next try starts another
                if not left:
                    raise
                has_gone(server_pid())
                continue
            _started.add(process)
            return process
    raise AssertionError("unreachable")


def server_pid() -> int | None:
    """Return the server's process, if there is one and it is at work."""
    pid = getattr(getattr(forkserver, "_forkserver", None), "_forkserver_pid", None)
    return pid if pid is not None and parent_of(pid) == os.getpid() else None


def has_gone(server: int | None) -> bool:
    """Return whether a server is no longer at work; whoever ends closes what it holds first, so this waits a moment."""
    until = time.monotonic() + GOING
    while server_pid() == server is not None:
        if time.monotonic() > until:
            return False
        time.sleep(0.005)
    return True


def end_orphans() -> None:
    """End what was started by processes that are gone: all that the server has inherited."""
    with _lock:  # none is being forked meanwhile
        server = server_pid()
        if server is None:
            return  # it has gone, and whoever has its number or its place is somebody else
        own = {process.pid for process in (*_started, *multiprocessing.active_children())}
        for pid in children(server):
            if pid not in own and _in_another_session(pid, server):
                for each in (pid, *descendants(pid)):
                    with contextlib.suppress(OSError):
                        os.kill(each, signal.SIGKILL)


def _in_another_session(pid: int, server: int) -> bool:
    """Whether a process left the server's session, as stations do before anything else, and what they start after them.

    What another part of this program has forked from the server has not.
    """
    try:
        return os.getsid(pid) != os.getsid(server)
    except OSError:
        return False


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Keep signals that a terminal sends to everybody from processes that this thread starts meanwhile.

    They are meant for this process, which ends the others in good order.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # which would undo this when it is started
    before = signal.pthread_sigmask(signal.SIG_BLOCK, OF_TERMINALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _forked() -> Iterator[None]:
    """Have the server forked from this process, instead of started as a new program."""
    spawn: Any = util.spawnv_passfds

    def fork(path: Any, arguments: Any, descriptors: Any) -> int:
        program = arguments[-1]
        if "forkserver" not in program:  # multiprocessing's tracker of resources
            return int(spawn(path, arguments, descriptors))
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid:
            return pid
        try:
            _become_server(program, descriptors)
        except SystemExit:  # nobody who could ask for stations is left
            os._exit(0)
        except BaseException:  # what would otherwise go on as this program a second time
            sys.excepthook(*sys.exc_info())
        os._exit(1)

    util.spawnv_passfds = fork  # type: ignore[assignment]  # of the same shape
    try:
        yield
    finally:
        util.spawnv_passfds = spawn


def _become_server(program: str, descriptors: Iterable[int]) -> None:
    """Leave behind what was this program's own, and run the server."""
    global _lock
    _lock = threading.Lock()
    gc.set_threshold(700, 10, 10)  # Python's own, as what plugins make may well be garbage
    _started.clear()
    forkserver._forkserver.__init__()  # type: ignore[misc]  # likewise its lock
    edges = [2, *sorted(descriptors), os.sysconf("SC_OPEN_MAX")]
    for last, following in itertools.pairwise(edges):
        os.closerange(last + 1, following)
    exec(program, {"__name__": "__main__"})


@contextlib.contextmanager
def _safe_path() -> Iterator[None]:
    """Keep the server, if it is started now, from importing what happens to lie in the working directory."""
    before = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop("PYTHONSAFEPATH", None)
        else:
            os.environ["PYTHONSAFEPATH"] = before


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    """Hide the program that was started: a station needs nothing of it, and must not run it again."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
