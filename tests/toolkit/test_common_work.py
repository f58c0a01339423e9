"""Work that operating points have in common: done once, charged to each."""

from __future__ import annotations

import time

import pytest

from qbench.toolkit import common_work
from qbench.toolkit.common_work import charging, common


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch):
    monkeypatch.setattr(common_work, "_kept", type(common_work._kept)())


def slow(calls):
    calls.append(1)
    time.sleep(0.02)
    return len(calls)


def test_it_is_done_once_and_whoever_uses_it_is_charged():
    calls = []
    with charging(anew=False) as first:
        assert common("key", lambda: slow(calls)) == 1
    with charging(anew=False) as second:
        assert common("key", lambda: slow(calls)) == 1
        assert common("other", lambda: slow(calls)) == 2
    assert first.seconds == 0  # it took that time itself
    assert second.seconds >= 0.02
    assert len(calls) == 2


def test_it_is_done_again_where_a_call_is_repeated_or_is_not_timed():
    calls = []
    for _ in range(2):
        with charging(anew=True) as charges:
            common("key", lambda: slow(calls))
        assert charges.seconds == 0
    common("key", lambda: slow(calls))
    assert len(calls) == 3


def test_what_common_work_owes_is_part_of_its_price():
    with charging(anew=False):
        common("inner", lambda: slow([]))
    with charging(anew=False) as outer:
        common("outer", lambda: common("inner", lambda: slow([])))
    assert outer.seconds >= 0.02
    with charging(anew=False) as later:
        common("outer", lambda: slow([]))
    assert later.seconds >= 0.02


def test_a_failure_is_not_kept():
    def fail():
        raise ValueError("no")

    with charging(anew=False):
        with pytest.raises(ValueError, match="no"):
            common("key", fail)
        assert common("key", lambda: 3) == 3


def test_the_oldest_goes_first():
    with charging(anew=False):
        for number in range(common_work.KEPT + 1):
            common(number, lambda number=number: number)
    assert list(common_work._kept) == list(range(1, common_work.KEPT + 1))
