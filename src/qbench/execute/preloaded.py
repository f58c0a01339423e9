"""What the server that stations are forked from has loaded: what a station is made of, and qbench's own plugins.

No stranger's: what they leave in a process, such as memory that forked processes share, would be in every station.
"""

from __future__ import annotations

import contextlib
import gc
import signal
import warnings

import numpy.random  # noqa: F401 - NumPy loads it when it is first asked for, and every station asks for its state
from PIL import Image

from qbench.errors import QbenchError
from qbench.execute import station
from qbench.registry.code import source_digest
from qbench.registry.hookspecs import PROJECT
from qbench.registry.registry import Registry, default_registry

Image.preinit()  # Pillow's everyday formats, which it would load in every station
signal.signal(signal.SIGTERM, signal.SIG_IGN)  # of a batch system, to the whole group: the coordinator decides
station.adopt_orphans()
warnings.filterwarnings("ignore", message=".*waitpid returned unexpected pid")  # of the processes that it adopts


def _load() -> None:
    if default_registry.cache_info().currsize:  # by whom this was forked from
        return
    registry = Registry()
    registry.load_entry_points(lambda found: found.distribution.lower() == PROJECT)
    for catalogue in (registry.codecs, registry.metrics):
        unreleased = next((name for name in catalogue if not catalogue.offer(name).plugin.versioned), None)
        if unreleased is not None:  # every station will look at what it imports: most of that is found here, once
            with contextlib.suppress(QbenchError):
                source_digest(catalogue[unreleased])


with contextlib.suppress(QbenchError):  # that there are none is said where it matters
    _load()
gc.freeze()  # stations would look through all this for garbage, and each get a copy of it by that
