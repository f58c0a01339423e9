"""Starting processes: from a server that has loaded what they all need, where the system can fork."""

from __future__ import annotations

import contextlib
import multiprocessing
import sys
import threading
import types
from collections.abc import Callable, Collection, Iterator
from multiprocessing import forkserver
from typing import Any

SHARED = ("torch",)
"""Libraries that take seconds to load, and can be: once for all stations, where codecs or metrics use them."""
PRELOADED = "qbench.execute.preloaded"

_lock = threading.Lock()


def warm_up(libraries: Collection[str] = ()) -> None:
    """Begin to start the server, which takes as long as loading what stations need; does not wait for it.

    Args:
        libraries: what codecs and metrics say that they use.
    """
    if "forkserver" in multiprocessing.get_all_start_methods():
        with _lock, _without_main():
            multiprocessing.set_forkserver_preload([PRELOADED, *(name for name in SHARED if name in libraries)])
            forkserver.ensure_running()


def start(target: Callable[..., None], arguments: tuple[Any, ...], name: str) -> Any:
    """Start a process; return it."""
    methods = multiprocessing.get_all_start_methods()
    context: Any = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    with _lock, _without_main():
        process = context.Process(target=target, args=arguments, name=name, daemon=True)
        process.start()
    return process


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    """Hide the program that was started: a station needs nothing of it, and must not run it again."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
