"""Making very many objects that all stay."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

MANY = 100_000


@contextmanager
def many_objects() -> Iterator[None]:
    """Make objects by the 100,000 without a search for garbage each time that there are some more.

    None of them is garbage, and each search looks at more of them: reading a long journal takes twice as long. Nor are
    they looked at later, where there are many: counting references finds when they are needed no more.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if gc.get_count()[0] > MANY:
            gc.freeze()
        if enabled:
            gc.enable()
