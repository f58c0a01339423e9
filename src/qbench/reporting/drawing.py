"""What figures and the page draw: the curve between points, and what one must know of what is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from qbench.reporting.bd import FEWEST_POINTS
from qbench.reporting.curves import CurvePoint, Curves

MOST_NAMED = 4


def images_drawn(found: Sequence[tuple[str, Curves]]) -> list[str]:
    """Say which curves are over fewer images than their run has, or others than those beside them, and what is missing.

    Args:
        found: runs' names and their curves.
    """
    lines = []
    alike = len({curves.images for _, curves in found}) == 1
    for name, curves in found:
        whose = f"{name}: " if len(found) > 1 else ""
        if curves.left_out:
            count = len(curves.images) + len(curves.left_out)
            lines.append(f"{whose}over {len(curves.images)} of {count} images (without {_some(curves.left_out)})")
        elif not alike:
            lines.append(f"{whose}over {len(curves.images)} image{'s' * (len(curves.images) != 1)} of its own")
        if curves.absent:
            lines.append(f"{whose}no finite value of {_some(curves.absent)}")
    return lines


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:MOST_NAMED]) + (" …" if len(names) > MOST_NAMED else "")


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
