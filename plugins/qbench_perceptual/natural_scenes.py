"""Statistics of natural scenes: how locally normalised luma is distributed, which distortions change.

Ruderman 1994, Network: Computation in Neural Systems 5(4): luma less its local mean, over its local deviation, is
nearly Gaussian in photographs. Mittal, Moorthy & Bovik 2012, IEEE TIP 21(12), fit generalised Gaussians to it and to
products of neighbours; BRISQUE and NIQE are made of these parameters.
"""

from __future__ import annotations

from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from qbench.plugin import NotApplicable, Pixels

Array = npt.NDArray[np.float64]

WINDOW, SIGMA = 7, 7 / 6
ROUNDING = 1e-9
NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (-1, 1))
"""Down and across: right, below, and both diagonals."""
FLAT = "the normalised luma does not vary: the image, or a part of it, is of one colour"


def luma(pixels: Pixels) -> Array:
    """Return H×W integers in [0, 255]: BT.601 luma, rounded as MATLAB's rgb2gray does to 8-bit images."""
    found: Array = np.round(pixels @ np.array([0.2989, 0.5870, 0.1140]))
    return found


def halved(image: Array) -> Array:
    """Return the image at half its size, by cubic interpolation with antialiasing, as MATLAB's imresize does."""
    import torch
    from piq.functional import imresize

    height, width = image.shape
    made = imresize(torch.from_numpy(image)[None, None], sizes=(height // 2, width // 2))
    found: Array = made[0, 0].numpy()
    return found


def normalised(image: Array, border: Literal["constant", "nearest"]) -> tuple[Array, Array]:
    """Return luma less its local mean, over its local deviation plus 1; and that deviation.

    Args:
        border: beyond the image there are zeros (BRISQUE's release), or its edge repeats (NIQE's).
    """
    from scipy.ndimage import correlate1d

    offsets = np.arange(WINDOW) - WINDOW // 2
    window = np.exp(-(offsets**2) / (2 * SIGMA**2))
    window /= window.sum()

    def smooth(values: Array) -> Array:
        rows = correlate1d(values, window, axis=1, mode=border)
        found: Array = correlate1d(rows, window, axis=0, mode=border)
        return found

    mean = smooth(image)
    deviation = np.sqrt(np.abs(smooth(image**2) - mean**2))
    values = (image - mean) / (deviation + 1)
    # In flat parts nothing but the rounding of sums is left, which is another with every program.
    values[np.abs(values) < ROUNDING] = 0
    return values, deviation


def neighbour_products(values: Array) -> list[Array]:
    """Return products of each value with its neighbour in four directions; the image goes on at its other side."""
    return [values * np.roll(values, shift, axis=(0, 1)) for shift in NEIGHBOURS]


def symmetric_fit(values: Array) -> tuple[float, float]:
    """Return shape and variance of the generalised Gaussian of mean 0 with the values' moments.

    Sharifi & Leon-Garcia 1995, IEEE Trans. Circuits and Systems for Video Technology 5(1).

    Raises:
        NotApplicable: all values are 0.
    """
    variance, absolute = float(np.mean(values**2)), float(np.mean(np.abs(values)))
    if not absolute:
        raise NotApplicable(FLAT)
    shapes, symmetric, _ = _tables()
    return float(shapes[np.argmin(np.abs(variance / absolute**2 - symmetric))]), variance


def asymmetric_fit(values: Array) -> tuple[float, float, float, float]:
    """Return shape, mean, and left and right standard deviation of the asymmetric generalised Gaussian.

    Lasmar, Stitou & Berthoumieu 2009, ICIP. "Deviation" is that of the values on one side of 0, about 0. Zeros are
    counted as positive: they come from flat parts, where the published programs see products of two rounding errors,
    which there are the same.

    Raises:
        NotApplicable: there are no values on one of the sides.
    """
    negative, positive = values[values < 0], values[values >= 0]
    if not (len(negative) and positive.any()):
        raise NotApplicable(FLAT)
    left, right = float(np.sqrt(np.mean(negative**2))), float(np.sqrt(np.mean(positive**2)))
    ratio = left / right
    moment = np.mean(np.abs(values)) ** 2 / np.mean(values**2)
    target = moment * (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2
    shapes, _, asymmetric = _tables()
    shape = float(shapes[np.argmin((asymmetric - target) ** 2)])
    scale, spread = _scale(shape)
    return shape, (right - left) * spread * scale, left, right


def _scale(shape: float) -> tuple[float, float]:
    """Return √(Γ(1/a)/Γ(3/a)) and Γ(2/a)/Γ(1/a)."""
    from scipy.special import gammaln

    one, two, three = (gammaln(n / shape) for n in (1, 2, 3))
    return float(np.exp((one - three) / 2)), float(np.exp(two - one))


def aggd_scale(shape: float) -> float:
    """Return what turns a side's deviation into the scale parameter β of the distribution: √(Γ(1/a)/Γ(3/a))."""
    return _scale(shape)[0]


@cache
def _tables() -> tuple[Array, Array, Array]:
    """Return shapes 0.2 to 10 in thousandths, and the ratios of moments that tell them, for both fits."""
    from scipy.special import gammaln

    shapes = np.arange(200, 10_001) / 1000
    one, two, three = (gammaln(n / shapes) for n in (1, 2, 3))
    ratio = np.exp(one + three - 2 * two)
    return shapes, ratio, 1 / ratio


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
        values, _ = normalised(image, "constant")
        features += symmetric_fit(values)
        for products in neighbour_products(values):
            shape, mean, left, right = asymmetric_fit(products)
            features += [shape, mean, left**2, right**2]
    return np.array(features)


def niqe_features(values: Array) -> Array:
    """Return the 18 features of NIQE of a patch of normalised luma.

    Raises:
        NotApplicable: the patch is of one colour.
    """
    shape, _, left, right = asymmetric_fit(values)
    features = [shape, aggd_scale(shape) * (left + right) / 2]
    for products in neighbour_products(values):
        shape, mean, left, right = asymmetric_fit(products)
        features += [shape, mean, aggd_scale(shape) * left, aggd_scale(shape) * right]
    return np.array(features)
