"""Statistics of natural scenes: how locally normalised luma is distributed, which distortions change.

Ruderman 1994, Network: Computation in Neural Systems 5(4): luma less its local mean, over its local deviation, is
nearly Gaussian in photographs. Mittal, Moorthy & Bovik 2012, IEEE TIP 21(12), fit generalised Gaussians to it and to
products of neighbours; BRISQUE and NIQE are made of these parameters.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from qbench.plugin import NotApplicable, Pixels
from qbench.toolkit.resizing import imresize

Array = npt.NDArray[np.float64]

WINDOW, SIGMA = 7, 7 / 6
FLAT = "the normalised luma does not vary: the image, or a part of it, is of one colour"


def luma(pixels: Pixels) -> Array:
    """Return H×W integers in [0, 255]: BT.601 luma, rounded as MATLAB's rgb2gray does to 8-bit images."""
    from qbench_perceptual.scene_kernels import rounded_luma

    found = np.empty(pixels.shape[:2])
    rounded_luma(np.ascontiguousarray(pixels), found)
    return found


def halved(image: Array) -> Array:
    """Return the image at half its size, by cubic interpolation with antialiasing, as MATLAB's imresize does."""
    return imresize(image, image.shape[0] // 2, image.shape[1] // 2, "bicubic")


def normalised(image: Array, border: Literal["constant", "nearest"]) -> tuple[Array, Array]:
    """Return luma less its local mean, over its local deviation plus 1; and that deviation.

    Args:
        border: beyond the image there are zeros (BRISQUE's release), or its edge repeats (NIQE's).
    """
    import cv2

    from qbench_perceptual.scene_kernels import normalise

    offsets = np.arange(WINDOW) - WINDOW // 2
    window = np.exp(-(offsets**2) / (2 * SIGMA**2))
    window /= window.sum()
    kind = cv2.BORDER_CONSTANT if border == "constant" else cv2.BORDER_REPLICATE
    means, squares = (cv2.sepFilter2D(each, -1, window, window, borderType=kind) for each in (image, image * image))
    values, deviations = np.empty_like(image), np.empty_like(image)
    normalise(image, means, squares, values, deviations)
    return values, deviations


def fits(values: Array) -> tuple[Sums, list[Sums]]:
    """Return what fits need of the values, and of their products with the neighbours in four directions."""
    from qbench_perceptual.scene_kernels import sums_of_products

    own, *products = (Sums(values.size, *row) for row in sums_of_products(np.ascontiguousarray(values)).tolist())
    return own, products


class Sums(NamedTuple):
    """What fits need of values.

    Attributes:
        size: how many there are.
        negatives: how many are below 0.
        below: sum of the squares of those.
        above: sum of the squares of the others.
        magnitudes: sum of the magnitudes of all.
    """

    size: int
    negatives: float
    below: float
    above: float
    magnitudes: float


def symmetric_fit(sums: Sums) -> tuple[float, float]:
    """Return shape and variance of the generalised Gaussian of mean 0 with the values' moments.

    Sharifi & Leon-Garcia 1995, IEEE Trans. Circuits and Systems for Video Technology 5(1).

    Raises:
        NotApplicable: all values are 0.
    """
    variance, absolute = (sums.below + sums.above) / sums.size, sums.magnitudes / sums.size
    if not absolute:
        raise NotApplicable(FLAT)
    tables = _tables()
    return float(tables.shapes[-1 - _nearest(variance / absolute**2, 1 / tables.inverse[::-1])]), variance


def asymmetric_fit(sums: Sums) -> tuple[float, float, float, float]:
    """Return shape, mean, and left and right standard deviation of the asymmetric generalised Gaussian.

    Lasmar, Stitou & Berthoumieu 2009, ICIP. "Deviation" is that of the values on one side of 0, about 0. Zeros are
    counted as positive: they come from flat parts, where the published programs see products of two rounding errors,
    which there are the same.

    Raises:
        NotApplicable: there are no values on one of the sides.
    """
    if not (sums.negatives and sums.above):
        raise NotApplicable(FLAT)
    left = math.sqrt(sums.below / sums.negatives)
    right = math.sqrt(sums.above / (sums.size - sums.negatives))
    ratio = left / right
    moment = sums.magnitudes**2 / sums.size / (sums.below + sums.above)
    target = moment * (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2
    tables = _tables()
    at = _nearest(target, tables.inverse)
    return float(tables.shapes[at]), float((right - left) * tables.spreads[at] * tables.scales[at]), left, right


def aggd_scale(shape: float) -> float:
    """Return what turns a side's deviation into the scale parameter β of the distribution: √(Γ(1/a)/Γ(3/a))."""
    tables = _tables()
    return float(tables.scales[round(shape * 1000) - 200])


class _Tables(NamedTuple):
    """Of shapes a, 0.2 to 10 in thousandths: Γ(2/a)²/(Γ(1/a)Γ(3/a)), √(Γ(1/a)/Γ(3/a)) and Γ(2/a)/Γ(1/a)."""

    shapes: Array
    inverse: Array
    scales: Array
    spreads: Array


@cache
def _tables() -> _Tables:
    from scipy.special import gammaln

    shapes = np.arange(200, 10_001) / 1000
    one, two, three = (gammaln(n / shapes) for n in (1, 2, 3))
    return _Tables(shapes, np.exp(2 * two - one - three), np.exp((one - three) / 2), np.exp(two - one))


def _nearest(value: float, rising: Array) -> int:
    """Return where a rising table is nearest to a value."""
    at = int(np.searchsorted(rising, value))
    if at == 0 or (at < len(rising) and rising[at] - value < value - rising[at - 1]):
        return at
    return at - 1


def brisque_features(pixels: Pixels) -> Array:
    """Return the 36 features of BRISQUE: 18 at the image's size, 18 at half of it.

    Raises:
        NotApplicable: the image is of one colour.
    """
    image = luma(pixels)
    features: list[float] = []
    for scale in range(2):
        if scale:
            image = halved(image)
        own, products = fits(normalised(image, "constant")[0])
        features += symmetric_fit(own)
        for each in products:
            shape, mean, left, right = asymmetric_fit(each)
            features += [shape, mean, left**2, right**2]
    return np.array(features)


def niqe_features(values: Array) -> Array:
    """Return the 18 features of NIQE of a patch of normalised luma.

    Raises:
        NotApplicable: the patch is of one colour.
    """
    own, products = fits(values)
    shape, _, left, right = asymmetric_fit(own)
    features = [shape, aggd_scale(shape) * (left + right) / 2]
    for each in products:
        shape, mean, left, right = asymmetric_fit(each)
        features += [shape, mean, aggd_scale(shape) * left, aggd_scale(shape) * right]
    return np.array(features)
