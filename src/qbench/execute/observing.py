"""Plugins that watch a run: told what happens at a station of their own, where they can't harm it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from qbench.contracts.context import Context
from qbench.execute.answering import Request
from qbench.execute.limits import limits_of
from qbench.execute.means import Means, aside
from qbench.execute.stations import PluginFailedError
from qbench.planning.types import Plan
from qbench.registry.registry import Registry
from qbench.store.folder import RunFolder


class Observers:
    """The plugins that watch a run.

    Args:
        tell: takes what they tell, and how they fail.
        in_process: whether they work in this process.
    """

    def __init__(
        self, plan: Plan, folder: RunFolder, registry: Registry, tell: Callable[[str], None], *, in_process: bool
    ) -> None:
        self._given = plan, folder, registry, Context("cpu", plan.seed, plan.profile), tell
        self._plan, self._registry, self._tell = plan, registry, tell
        self._in_process = in_process
        self._stations = contextlib.ExitStack()
        self._means: Means | None = None

    def call(self, hook: str, name: str, value: Any) -> None:
        """Call a hook of all that have it; of a run they are given what its folder holds."""
        for info in self._registry.observers(hook):
            if self._means is None:
                self._means = self._stations.enter_context(aside(*self._given, in_process=self._in_process))
            request = Request("observe", (hook, str(info), name, value), f"plugin {info}", f"{info} · {hook}")
            try:
                with self._means.pool.lease("score", family=info.distribution) as station:
                    station.ask(request, limits_of(self._plan, None))
            except PluginFailedError as error:
                seen = error.failure.traceback or error.failure.message
                self._tell(f"plugin {info} failed in {hook}:\n{seen}")

    def close(self) -> None:
        """Let them go."""
        self._stations.close()
