"""What the server that stations are forked from has loaded: what a station is made of, and the installed plugins."""

from __future__ import annotations

import contextlib
import signal
import sys

from qbench.errors import QbenchError
from qbench.execute import station  # noqa: F401 - loaded here, it is there in every station
from qbench.registry.code import source_digest
from qbench.registry.registry import default_registry

signal.signal(signal.SIGTERM, signal.SIG_IGN)  # of a batch system, to the whole group: the coordinator decides
PATH = list(sys.path)
"""Where plugins were looked for; a station that finds more elsewhere loads them anew."""


def _load() -> None:
    registry = default_registry()
    for catalogue in (registry.codecs, registry.metrics):
        unreleased = next((name for name in catalogue if not catalogue.offer(name).plugin.versioned), None)
        if unreleased is not None:  # every station will look at what it imports: most of that is found here, once
            with contextlib.suppress(QbenchError):
                source_digest(catalogue[unreleased])


_load()
