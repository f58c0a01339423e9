"""What FSIM and VSI share: maps of an image, compared one by one, and averaged by where attention is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qbench_fidelity.planes import Plane, real_power, similarity


@dataclass(frozen=True)
class Features:
    """Maps of an image, H×W each.

    Attributes:
        salience: how much a pixel counts, in [0, 1]: phase congruency, or visual saliency.
        gradient: the gradient's magnitude.
        first, second: chrominance.
    """

    salience: Plane
    gradient: Plane
    first: Plane
    second: Plane


def weighted_similarity(
    one: Features, other: Features, constants: Sequence[float], of_gradients: float, of_colour: float
) -> float | None:
    """Return the mean of the products of similarities, weighted by the larger salience; None where there is none.

    Args:
        constants: of each map's similarity, in order.
        of_gradients, of_colour: powers of similarities.
    """
    weight = np.maximum(one.salience, other.salience)
    total = weight.sum()
    if total <= 0:
        return None
    salience, gradient, first, second = constants
    found = similarity(one.salience, other.salience, salience)
    found *= similarity(one.gradient, other.gradient, gradient) ** of_gradients
    colour = similarity(one.first, other.first, first) * similarity(one.second, other.second, second)
    found *= real_power(colour, of_colour)
    return float((found * weight).sum() / total)
