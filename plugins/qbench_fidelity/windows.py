"""The windows that SSIM is taken over, and its constants for 8-bit values."""

from __future__ import annotations

from qbench_fidelity.planes import gaussian_taps

WINDOW = 11
"""Side of the Gaussian window of Wang et al. 2004."""
SIGMA = 1.5
UNIFORM = 7
"""Side of scikit-image's default window, without weights."""
C1 = (0.01 * 255) ** 2
C2 = (0.03 * 255) ** 2
TAPS = gaussian_taps(WINDOW, SIGMA)
MIDDLE = 127.5
"""Subtracted before variances are taken: they don't change, and float32 keeps more of them."""
