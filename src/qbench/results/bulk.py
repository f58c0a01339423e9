"""Making very many objects that all stay."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

MANY = 100_000


_short_lived = False


@contextmanager
def short_lived() -> Iterator[None]:
    """Say that this process ends with what it does now, so that garbage may be left where it is."""
    global _short_lived
    before, _short_lived = _short_lived, True
    try:
        yield
    finally:
        _short_lived = before


@contextmanager
def many_objects() -> Iterator[None]:
    """Make objects by the 100,000 without a search for garbage each time that there are some more.

    None of them is garbage, and each search looks at more of them: reading a long journal takes twice as long. Nor are
    they looked at later, where there are many and the process is a command's: counting references is enough there.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if _short_lived and gc.get_count()[0] > MANY:
            gc.freeze()
        if enabled:
            gc.enable()
