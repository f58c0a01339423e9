"""The products whose logarithm is the information of a block."""

from __future__ import annotations

from typing import Any

from qbench.toolkit.kernels import kernel


@kernel
def products(
    variance: Any, shared: Any, own: Any, typicality: Any, eigenvalues: Any, noise: float, epsilon: float, found: Any
) -> None:
    """Write products of 1 + the signal-to-noise ratios of a block's components, in two halves, as all would overflow.

    A distorted block is taken for the original's times a gain plus noise, by least squares.

    Args:
        variance: of the distorted blocks, H×W.
        shared: covariance with the original's, likewise.
        own: variance of the original's, likewise.
        typicality: of the original's, likewise.
        eigenvalues: of their covariance.
        noise: variance of the noise of the visual channel.
        epsilon: a variance below which there is none.
        found: 2×H×W, written to.
    """
    _, height, width = found.shape
    half = eigenvalues.size // 2
    for r in range(height):
        for c in range(width):
            gain = shared[r, c] / (own[r, c] + epsilon)
            rest = variance[r, c] - gain * shared[r, c]
            if own[r, c] < epsilon:
                gain, rest = 0.0, variance[r, c]
            if variance[r, c] < epsilon:
                gain, rest = 0.0, 0.0
            slope = (rest + (1 + gain * gain) * noise) * typicality[r, c] / (noise * noise)
            base = 1 + rest / noise
            first, second = 1.0, 1.0
            for k in range(half):
                first *= base + slope * eigenvalues[k]
            for k in range(half, eigenvalues.size):
                second *= base + slope * eigenvalues[k]
            found[0, r, c] = first
            found[1, r, c] = second
