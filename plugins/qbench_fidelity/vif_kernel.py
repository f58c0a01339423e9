"""The signal-to-noise ratios whose logarithms are the information that an image carries."""

from __future__ import annotations

from typing import Any

from qbench.toolkit.kernels import kernel


@kernel
def ratios(mean: Any, square: Any, product: Any, own_mean: Any, own_variance: Any, noise: float, least: float) -> None:
    """Write over ``square`` the signal-to-noise ratio of each window, with a gain and a noise fitted by least squares.

    Args:
        mean: of the reconstruction in each window, H×W, as all others.
        square: mean of its squares.
        product: mean of its products with the original.
        own_mean: of the original.
        own_variance: of the original, 0 where there is none.
        noise: variance of the noise of the visual channel.
        least: a variance below which there is none.
    """
    for r in range(mean.shape[0]):
        for c in range(mean.shape[1]):
            variance = square[r, c] - mean[r, c] * mean[r, c]
            own = own_variance[r, c]
            shared = product[r, c] - mean[r, c] * own_mean[r, c]
            gain = shared / own if own > 0 else 0.0
            if gain < 0 or variance < least:
                gain = 0.0
            rest = variance - gain * shared if variance >= least else 0.0
            square[r, c] = gain * gain * own / (max(rest, least) + noise)
