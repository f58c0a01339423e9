"""FSIM: phase congruency, gradients and chrominance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from qbench.plugin import Candidates, Column, Direction, NotApplicable, Pixels, Reference, Scores
from qbench_fidelity.features import Features, weighted_similarity
from qbench_fidelity.gradients import scharr
from qbench_fidelity.libraries import Compiled
from qbench_fidelity.one_by_one import OneByOne
from qbench_fidelity.planes import YIQ, Plane, shrink_factor, shrunk, weighted
from qbench_fidelity.ssim import require_side

SCALES, ORIENTATIONS = 4, 4
SHORTEST, FACTOR = 6, 2
"""Wavelength of the smallest filter in pixels, and from one to the next."""
WIDTH = 0.55
"""Of the filters: σ of the Gaussian of log frequency, over the frequency."""
SPREAD = math.pi / ORIENTATIONS / 1.2
"""σ of the Gaussian of angles."""
CUTOFF, ORDER = 0.45, 15
NOISE_DEVIATIONS = 2.0
CONSTANTS = (0.85, 160.0, 200.0, 200.0)
"""Of phase congruency, gradients, I and Q: T1 to T4."""
LAMBDA = 0.03


class Fsim(Compiled, OneByOne):
    """Feature similarity with colour (FSIMc): phase congruency, gradients and chrominance.

    The image is first shrunk by averaging, by its shorter side divided by 256 and rounded half up. All as in the
    authors' program, but that an image of one luma has no features where theirs divides 0 by 0. Not applicable to two
    such images.
    """

    name = "fsim"
    summary = "feature similarity with colour (FSIMc): phase congruency and gradients"
    version = 3
    reference = "Zhang, Zhang, Mou & Zhang 2011, IEEE TIP 20(8), 2378-2386; its authors' FeatureSIM.m"
    columns: ClassVar = (Column("fsim", Direction.HIGHER, 0.0, 1.0, title="FSIM"),)

    def prepare(self, reference: Reference) -> Features:
        """Compute the original's features."""
        require_side(reference, 48, "FSIM")  # the longest wavelength of its filters
        return _features(reference.pixels)

    def score(self, candidates: Candidates, prepared: Any) -> Sequence[Scores | NotApplicable]:
        """Score a batch."""
        return self.each(partial(self._score, prepared), candidates, same={self.name: 1.0})

    def _score(self, one: Features, pixels: Pixels) -> Scores | NotApplicable:
        found = weighted_similarity(one, _features(pixels), CONSTANTS, 1.0, LAMBDA)
        if found is None:
            return NotApplicable("both images are of one luma, where there are no features")
        return {self.name: found}


def _features(pixels: Pixels) -> Features:
    light, first, second = weighted(shrunk(pixels.astype(np.float32), shrink_factor(pixels)).astype(np.float64), YIQ)
    return Features(phase_congruency(light), scharr(light), first, second)


@lru_cache(maxsize=4)
def _filters(height: int, width: int) -> tuple[npt.NDArray[np.float64], list[float]]:
    """Return log-Gabor filters, orientations×scales×H×W, and each orientation's threshold over a noise amplitude.

    The threshold is Rayleigh's mean and some deviations, from the power of the smallest scale's response; see Kovesi
    1999, Videre 1(3), whose program the authors use.
    """
    down, across = (_frequencies(side) for side in (height, width))
    radius = np.fft.ifftshift(np.hypot(down[:, None], across))
    angle = np.fft.ifftshift(np.arctan2(-down[:, None], across))
    low_pass = 1 / (1 + (radius / CUTOFF) ** (2 * ORDER))
    radius[0, 0] = 1
    filters = np.empty((ORIENTATIONS, SCALES, height, width))
    for scale in range(SCALES):
        wavelength = SHORTEST * FACTOR**scale
        radial = np.exp(-(np.log(radius * wavelength) ** 2) / (2 * math.log(WIDTH) ** 2)) * low_pass
        radial[0, 0] = 0
        for orientation in range(ORIENTATIONS):
            turned = angle - orientation * math.pi / ORIENTATIONS
            distance = np.abs(np.arctan2(np.sin(turned), np.cos(turned)))
            filters[orientation, scale] = radial * np.exp(-(distance**2) / (2 * SPREAD**2))
    thresholds = []
    for bank in filters:
        impulses = np.fft.ifft2(bank).real * math.sqrt(height * width)
        products = sum((impulses[i] * impulses[j]).sum() for i in range(SCALES) for j in range(i + 1, SCALES))
        energy = (2 * (impulses**2).sum() + 4 * products) / (bank[0] ** 2).sum()
        tau = math.sqrt(energy / 2)
        thresholds.append(tau * (math.sqrt(math.pi / 2) + NOISE_DEVIATIONS * math.sqrt(2 - math.pi / 2)) / 1.7)
    return filters, thresholds


def _frequencies(side: int) -> npt.NDArray[np.float64]:
    odd = side % 2
    return np.arange(-(side // 2), side - side // 2) / (side - odd)


def phase_congruency(plane: Plane) -> Plane:
    """Return phase congruency, H×W in [0, 1], float64, as phasecong2 in the authors' program; 0 where nothing is."""
    from scipy import fft

    from qbench_fidelity.phase_kernel import add_orientation

    filters, thresholds = _filters(*plane.shape)
    spectrum = fft.fft2(plane - plane[0, 0])  # no filter passes a constant
    energy, amplitude = np.zeros(plane.shape), np.zeros(plane.shape)
    passed = np.empty((SCALES, *plane.shape), np.complex128)
    for bank, threshold in zip(filters, thresholds, strict=True):
        responses = fft.ifft2(np.multiply(spectrum, bank, out=passed), overwrite_x=True)
        median = float(np.median(responses[0].real ** 2 + responses[0].imag ** 2))
        power = -median / math.log(0.5)
        add_orientation(responses, threshold * math.sqrt(power), energy, amplitude)
    found: Plane = np.divide(energy, amplitude, out=np.zeros(plane.shape), where=amplitude > 0)
    return found
