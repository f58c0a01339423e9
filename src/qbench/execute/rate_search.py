"""Searching for the value of a rate parameter that comes nearest to a target."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from qbench.errors import NotApplicable
from qbench.planning.types import Target
from qbench.records import FoundSetting

MOST_TRIES = 16
CLOSE = 0.002
"""A value that is not an integer is settled once what it reaches is this near, as a share of what is wanted."""
OUT_OF_REACH = 0.02
"""A target beyond the ends of the range is still reached if the end is this near."""


def find_setting(target: Target, measure: Callable[[float], float]) -> FoundSetting:
    """Search by bisection, which assumes that what is measured rises or falls with the setting.

    Args:
        measure: codes an image with a value of the rate parameter, and returns what the target is about.

    Raises:
        NotApplicable: the target is out of the codec's reach for this image.
        Exception: whatever ``measure`` raises.
    """
    tried: dict[float, float] = {}

    def reached(value: float) -> float:
        if value not in tried:
            tried[value] = measure(value)
        return tried[value]

    _bisect(target, reached)
    value = min(tried, key=lambda candidate: abs(tried[candidate] - target.wanted))
    _check(target, tried, value)
    return FoundSetting(
        parameter=target.parameter, value=value, wanted=target.wanted, reached=tried[value], tries=len(tried)
    )


def _bisect(target: Target, reached: Callable[[float], float]) -> None:
    """Try values until the nearest two are neighbours, or one is close enough."""
    few, many = target.values
    for _ in range(MOST_TRIES - 2):
        if target.integer and abs(many - few) <= 1:
            break
        middle = target.accepted((few + many) / 2)
        value = reached(middle)
        if not target.integer and abs(value - target.wanted) <= CLOSE * abs(target.wanted):
            return
        if (value < target.wanted) == target.increasing:
            few = middle
        else:
            many = middle
    for end in (few, many):
        reached(target.accepted(end))


def _check(target: Target, tried: Mapping[float, float], nearest: float) -> None:
    wanted, reached = target.wanted, tried[nearest]
    if not math.isfinite(reached):  # such as the PSNR of an image that comes back unchanged
        raise NotApplicable(f"{target.name} {wanted:g} is out of reach: every setting tried gives {reached:g}")
    all_beyond = all(value > wanted for value in tried.values()) or all(value < wanted for value in tried.values())
    if all_beyond and abs(reached - wanted) > OUT_OF_REACH * max(abs(wanted), abs(reached)):
        closest = f"the closest value is {reached:.4g}, at {target.parameter} {nearest:g}"
        raise NotApplicable(f"{target.name} {wanted:g} is out of reach; {closest}")
