"""Metrics of gradients and colour: GMSD and MDSI."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from qbench.plugin import Candidates, Column, Direction, Pixels, Reference, Scores
from qbench_fidelity.libraries import OpenCv, cv2
from qbench_fidelity.one_by_one import OneByOne
from qbench_fidelity.planes import Plane, halve_padded, luma, shrink_factor, shrunk, weighted
from qbench_fidelity.ssim import require_side

SMOOTH, EDGE = np.full(3, 1 / 3), np.array([-1.0, 0.0, 1.0])
"""Prewitt's operator, separated."""


def gradient(plane: Plane) -> Plane:
    """Return the magnitude of Prewitt's gradient; beyond the borders there are zeros, as in ``conv2(…, 'same')``."""
    across = cv2.sepFilter2D(plane, -1, EDGE, SMOOTH, borderType=cv2.BORDER_CONSTANT)
    down = cv2.sepFilter2D(plane, -1, SMOOTH, EDGE, borderType=cv2.BORDER_CONSTANT)
    return cv2.magnitude(across, down)


def scharr(plane: Plane) -> Plane:
    """Return the magnitude of Scharr's gradient as FSIM and VSI take it; beyond the borders there are zeros."""
    smooth = np.array([3.0, 10.0, 3.0]) / 16
    across = cv2.sepFilter2D(plane, -1, EDGE, smooth, borderType=cv2.BORDER_CONSTANT)
    down = cv2.sepFilter2D(plane, -1, smooth, EDGE, borderType=cv2.BORDER_CONSTANT)
    return cv2.magnitude(across, down)


def difference_from_one(one: Plane, other: Plane, constant: float) -> Plane:
    """Return 1 - (2ab + c) / (a² + b² + c), as (a - b)² / (a² + b² + c): what is alike is alike to the last bit."""
    below: Plane = cv2.multiply(one, one)
    cv2.accumulateSquare(other, below)
    below += np.float32(constant)
    above = cv2.subtract(one, other)
    cv2.multiply(above, above, above)
    return cv2.divide(above, below, above)


class Gmsd(OpenCv, OneByOne):
    """Gradient magnitude similarity deviation, of luma (BT.601) halved by 2×2 averaging: 0 is best.

    The deviation is over n - 1, as in the authors' program; the paper's formula, and piq, divide by n.
    """

    name = "gmsd"
    summary = "gradient magnitude similarity deviation of luma"
    version = 3
    reference = "Xue, Zhang, Mou & Bovik 2014, IEEE TIP 23(2), 684-695"
    columns: ClassVar = (Column("gmsd", Direction.LOWER, 0.0, None, title="GMSD"),)
    CONSTANT: ClassVar = 170.0

    def prepare(self, reference: Reference) -> Plane:
        """Compute the original's gradients."""
        require_side(reference, 6, "GMSD")  # two of its 3×3 windows, after halving
        return self._gradient(reference.pixels)

    def score(self, candidates: Candidates, prepared: Any) -> Sequence[Scores]:
        """Score a batch."""
        found = self.each(lambda pixels: self._deviation(prepared, self._gradient(pixels)), candidates, same=0.0)
        return [{self.name: value} for value in found]

    def _gradient(self, pixels: Pixels) -> Plane:
        return gradient(halve_padded(luma(pixels)))

    def _deviation(self, one: Plane, other: Plane) -> float:
        _, deviation = cv2.meanStdDev(difference_from_one(one, other, self.CONSTANT))
        return float(deviation[0, 0]) * math.sqrt(one.size / (one.size - 1))


class Mdsi(OpenCv, OneByOne):
    """Mean deviation similarity index, of gradients and chromaticity, combined by sum: 0 is best.

    The image is first shrunk by averaging, by its shorter side divided by 256 and rounded (half up, as MATLAB does).
    """

    name = "mdsi"
    summary = "mean deviation similarity index"
    version = 2
    reference = "Nafchi, Shahkolaei, Hedjam & Cheriet 2016, IEEE Access 4, 5579-5590"
    columns: ClassVar = (Column("mdsi", Direction.LOWER, 0.0, None, title="MDSI"),)
    LHM: ClassVar = ((0.2989, 0.587, 0.114), (0.3, 0.04, -0.35), (0.34, -0.6, 0.17))
    C1: ClassVar = 140.0
    C2: ClassVar = 55.0
    C3: ClassVar = 550.0

    def prepare(self, reference: Reference) -> tuple[Plane, ...]:
        """Compute the original's gradients and chromaticity."""
        require_side(reference, 3, "MDSI")
        return self._looked_at(reference.pixels)

    def score(self, candidates: Candidates, prepared: Any) -> Sequence[Scores]:
        """Score a batch."""
        found = self.each(lambda pixels: self._deviation(prepared, self._looked_at(pixels)), candidates, same=0.0)
        return [{self.name: value} for value in found]

    def _looked_at(self, pixels: Pixels) -> tuple[Plane, ...]:
        small = shrunk(pixels.astype(np.float32), shrink_factor(pixels))
        light, first, second = weighted(small, self.LHM)
        return light, gradient(light), first, second

    def _deviation(self, x: tuple[Plane, ...], y: tuple[Plane, ...]) -> float:
        middle = gradient((x[0] + y[0]) * 0.5)
        combined = difference_from_one(y[1], x[1], self.C1)
        # The similarity of y and the middle counts, that of x and the middle against it.
        combined += difference_from_one(y[1], middle, self.C2)
        combined -= difference_from_one(x[1], middle, self.C2)
        combined *= 0.6
        above = (x[2] - y[2]) ** 2 + (x[3] - y[3]) ** 2
        combined += 0.4 * above / (x[2] ** 2 + y[2] ** 2 + x[3] ** 2 + y[3] ** 2 + self.C3)
        # The fourth root of 1 - that, less 1: complex where it is negative. In float64, as it is a deviation of what is
        # nearly alike.
        root = np.expm1(0.25 * np.log1p(-np.minimum(combined.astype(np.float64), 1 - 1e-12)))
        negative = combined > 1
        if not negative.any():
            deviation = np.abs(root - root.mean()).mean()
        else:
            complex_root = root.astype(np.complex128)
            complex_root[negative] = (1 - combined[negative].astype(np.complex128)) ** 0.25 - 1
            deviation = np.abs(complex_root - complex_root.mean()).mean()
        return math.sqrt(math.sqrt(float(deviation)))
