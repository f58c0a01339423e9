"""What several operating points of a codec compute alike: done once, and its time charged to each. Stable."""

from __future__ import annotations

import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any, TypeVar

__all__ = ["Charges", "charging", "common"]

T = TypeVar("T")

KEPT = 8
"""Results kept in a process; the oldest goes first."""


@dataclass
class Charges:
    """What a call owes beside the time that it took.

    Attributes:
        anew: whether common work is done in any case, and nothing of earlier calls used.
        seconds: that common work took when it was done, as far as this call did not do it.
    """

    anew: bool = False
    seconds: float = 0.0


_kept: OrderedDict[Hashable, tuple[Any, float]] = OrderedDict()
_current = Charges(anew=True)
_lock = threading.RLock()


def common(key: Hashable, work: Callable[[], T]) -> T:
    """Return what some work gives; if this process did it a short while ago, what it gave then.

    For what a codec does to an image whatever its operating point, and what takes most of its time, such as a search
    whose result is quantised by one step or another. Coding times stay what they would be without this: the time that
    the work took is added to that of every call that uses its result. Outside of timed calls work is always done.

    Args:
        key: all that decides the result: the image's ``digest``, digests of weights, settings, device, seed.
        work: does it. What it returns is not to be written to.
    """
    with _lock:
        found = None if _current.anew else _kept.get(key)
        if found is None:
            owed, began = _current.seconds, perf_counter()
            result = work()
            _synchronise()
            found = _kept[key] = result, perf_counter() - began + _current.seconds - owed
            _kept.move_to_end(key)
            while len(_kept) > KEPT:
                _kept.popitem(last=False)
            return result
        _current.seconds += found[1]
        value: T = found[0]
        return value


@contextmanager
def charging(*, anew: bool) -> Iterator[Charges]:
    """Note what the calls in the block owe for common work; for whoever measures their time.

    Args:
        anew: have it done in any case.
    """
    global _current
    before, _current = _current, Charges(anew)
    try:
        yield _current
    finally:
        _current = before


def _synchronise() -> None:
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.synchronize()
