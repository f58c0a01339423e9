"""Making very many objects that all stay."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def many_objects() -> Iterator[None]:
    """Make objects by the 100,000 without a search for garbage each time that there are some more.

    None of them is garbage, and each search looks at more of them: reading a long journal takes twice as long.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
