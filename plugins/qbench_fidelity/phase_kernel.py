"""What a phase congruency adds up."""

from __future__ import annotations

from typing import Any

import numpy as np

from qbench.toolkit.kernels import kernel

EPSILON = 0.0001
"""As in the authors' program: an amplitude beside which a phase means nothing."""


@kernel
def add_orientation(responses: Any, threshold: float, energy: Any, amplitude: Any) -> None:
    """Add what filters of one orientation say.

    Args:
        responses: S×H×W, complex: even and odd.
        threshold: noise, taken off the energy.
        energy: H×W; of what is in phase.
        amplitude: H×W; of all.
    """
    scales, height, width = responses.shape
    for r in range(height):
        for c in range(width):
            even, odd = 0.0, 0.0
            for s in range(scales):
                even += responses[s, r, c].real
                odd += responses[s, r, c].imag
            length = np.sqrt(even * even + odd * odd) + EPSILON
            even, odd = even / length, odd / length
            aligned = 0.0
            total = 0.0
            for s in range(scales):
                e, o = responses[s, r, c].real, responses[s, r, c].imag
                aligned += e * even + o * odd - abs(e * odd - o * even)
                total += np.sqrt(e * e + o * o)
            energy[r, c] += max(aligned - threshold, 0.0)
            amplitude[r, c] += total
