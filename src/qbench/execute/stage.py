"""What coding and scoring have in common: where they work, and whom they ask and tell."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from qbench.execute.work import Setup
from qbench.registry.registry import Registry


class Stage:
    """One stage of the work on an image, in whatever process it was set up in.

    Args:
        notices: where plugins' notices wait to be told; shared by the stages of a process.
        stopping: whether the work is to end soon.
        worker: number of this process; 0 is the run's own.
    """

    def __init__(
        self, setup: Setup, registry: Registry, notices: deque[str], stopping: Callable[[], bool], worker: int = 0
    ) -> None:
        self._plan = setup.plan
        self._folder = setup.folder
        self._session = setup.session
        self._context = setup.context
        self._timing = setup.timing
        self._registry = registry
        self._notices = notices
        self._stopping = stopping
        self._worker = worker
