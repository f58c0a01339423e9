"""What figures and the page draw: the curve between points."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from qbench.reporting.bd import FEWEST_POINTS
from qbench.reporting.curves import CurvePoint


def drawn_curve(points: Sequence[CurvePoint], steps: int = 200) -> tuple[list[float], list[float]]:
    """Return the curve between points as BD-rates take it: the logarithm of the rate by PCHIP over the metric.

    Straight between the points where they can't be interpolated: fewer than four, a rate of 0, values that don't rise.
    """
    rates, values = [point.rate for point in points], [point.value for point in points]
    rising = all(one < other for one, other in pairwise(values))
    falling = all(one > other for one, other in pairwise(values))
    if len(points) < FEWEST_POINTS or min(rates) <= 0 or not (rising or falling):
        return rates, values
    import numpy as np

    from qbench.reporting.pchip import pchip

    order = np.argsort(values)
    between = np.linspace(values[0], values[-1], steps)
    logarithms = pchip(np.array(values)[order], np.log(rates)[order], between)
    return np.exp(logarithms).tolist(), between.tolist()
