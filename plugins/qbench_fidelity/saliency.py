"""VSI: visual saliency, gradients and chrominance."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from qbench.plugin import Candidates, Column, Direction, NotApplicable, Pixels, Reference, Scores
from qbench.toolkit.resizing import imresize
from qbench_fidelity.features import Features, weighted_similarity
from qbench_fidelity.gradients import scharr
from qbench_fidelity.libraries import OpenCv, cv2
from qbench_fidelity.one_by_one import OneByOne
from qbench_fidelity.planes import Plane, channels, shrink_factor, shrunk, weighted
from qbench_fidelity.ssim import require_side

LMN = ((0.06, 0.63, 0.27), (0.30, 0.04, -0.35), (0.34, -0.60, 0.17))
TO_XYZ = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))
WHITE = (0.9642, 1.0, 0.8251)
"""D50, which the authors' program divides XYZ of sRGB by."""
SIDE = 256
"""That saliency is computed at."""
OMEGA, SIGMA_F, SIGMA_D, SIGMA_C = 0.021, 1.34, 145.0, 0.001
CONSTANTS = (1.27, 386.0, 130.0, 130.0)
"""Of saliency, gradients, M and N: C1, C2, and C3 twice."""
ALPHA, BETA = 0.40, 0.02


class Vsi(OpenCv, OneByOne):
    """Visual saliency-induced index: saliency, gradients and chrominance.

    Saliency (SDSP: frequencies, the middle of the image, warm colours) is computed at 256×256 pixels. Everything is
    shrunk by averaging, by the image's shorter side divided by 256 and rounded half up. All as in the authors' program.
    Not applicable to two images of a single colour each, in which nothing is salient.
    """

    name = "vsi"
    summary = "visual saliency-induced index"
    version = 3
    reference = "Zhang, Shen & Li 2014, IEEE TIP 23(10), 4270-4281; its authors' VSI.m"
    columns: ClassVar = (Column("vsi", Direction.HIGHER, 0.0, 1.0, title="VSI"),)

    def prepare(self, reference: Reference) -> Features:
        """Compute the original's features."""
        require_side(reference, 3, "VSI")
        return _features(reference.pixels)

    def score(self, candidates: Candidates, prepared: Any) -> Sequence[Scores | NotApplicable]:
        """Score a batch."""
        return self.each(partial(self._score, prepared), candidates, same={self.name: 1.0})

    def _score(self, one: Features, pixels: Pixels) -> Scores | NotApplicable:
        found = weighted_similarity(one, _features(pixels), CONSTANTS, ALPHA, BETA)
        if found is None:
            return NotApplicable("both images are a single colour, where nothing is salient")
        return {self.name: found}


def _features(pixels: Pixels) -> Features:
    factor = shrink_factor(pixels)
    light, first, second = weighted(shrunk(pixels.astype(np.float32), factor).astype(np.float64), LMN)
    return Features(shrunk(saliency(pixels), factor), scharr(light), first, second)


def saliency(pixels: Pixels) -> Plane:
    """Return how salient each pixel is, H×W in [0, 1], float64 (Zhang, Gu & Li 2013, ICIP); 0 in a single colour."""
    from scipy import fft

    planes = _lab([imresize(plane, SIDE, SIDE, "bilinear") for plane in channels(pixels)])
    gabor, middle = _constants()
    # A constant does not pass; taken off before, it leaves no rounding errors for saliency to be made of.
    passed = [fft.irfft2(fft.rfft2(plane - plane[0, 0]) * gabor, planes[0].shape) for plane in planes]
    frequency = np.sqrt(sum(each**2 for each in passed))
    warm = sum(_stretched(plane) ** 2 for plane in planes[1:])
    found = frequency * middle * -np.expm1(-warm / SIGMA_C**2)
    return _stretched(imresize(found, pixels.shape[0], pixels.shape[1], "bilinear"))


def _stretched(plane: Plane) -> Plane:
    """Take a plane's least and largest value to 0 and 1; of one value it is 0."""
    low, high = float(plane.min()), float(plane.max())
    if high == low:
        return np.zeros_like(plane)
    found: Plane = plane - low
    found /= high - low
    return found


def _lab(planes: Sequence[Plane]) -> list[Plane]:
    """Return L*, a* and b* of sRGB planes in [0, 255], as the authors' program does."""
    encoded = np.stack(planes, axis=2) / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    ratios = cv2.transform(linear, np.array(TO_XYZ) / np.array(WHITE)[:, None])
    x, y, z = cv2.split(np.where(ratios > 0.008856, np.cbrt(ratios), (903.3 * ratios + 16) / 116))
    return [116 * y - 16, 500 * (x - y), 200 * (y - z)]


@cache
def _constants() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the log-Gabor filter (for a real transform), and how much the middle of an image draws attention."""
    frequencies = np.fft.fftfreq(SIDE)
    radius = np.hypot(frequencies[:, None], np.abs(frequencies[: SIDE // 2 + 1]))
    radius[0, 0] = 1
    gabor = np.where(radius <= 0.5, np.exp(-(np.log(radius / OMEGA) ** 2) / (2 * SIGMA_F**2)), 0)
    gabor[0, 0] = 0
    distance = np.arange(1, SIDE + 1) - SIDE / 2
    return gabor, np.exp(-(distance[:, None] ** 2 + distance**2) / SIGMA_D**2)
