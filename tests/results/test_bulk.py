"""Many objects that stay, in a program that goes on."""

from __future__ import annotations

import gc
import weakref

from qbench.results import bulk
from qbench.results.bulk import many_objects, short_lived


class Ring:
    """Garbage that only a search finds."""

    def __init__(self):
        self.own = self


def test_a_programs_own_garbage_is_still_found(monkeypatch):
    monkeypatch.setattr(bulk, "MANY", 0)
    ring = weakref.ref(Ring())
    with many_objects():
        assert not gc.isenabled()
    assert gc.isenabled()
    gc.collect()
    assert ring() is None


def test_a_command_leaves_it(monkeypatch):
    monkeypatch.setattr(bulk, "MANY", 0)
    ring = weakref.ref(Ring())
    try:
        with short_lived(), many_objects():
            pass
        gc.collect()
        assert ring() is not None
    finally:
        gc.unfreeze()
    gc.collect()
    assert ring() is None


def test_what_was_off_stays_off():
    gc.disable()
    try:
        with many_objects():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
