"""IW-SSIM: the structure of a Laplacian pyramid, weighted by local information."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np

from qbench.plugin import Candidates, Column, Direction, NotApplicable, Pixels, Reference, Scores
from qbench.toolkit.resizing import imresize
from qbench_fidelity.libraries import Compiled, cv2
from qbench_fidelity.one_by_one import OneByOne
from qbench_fidelity.planes import REC601, Plane
from qbench_fidelity.ssim import SCALE_WEIGHTS, one_minus_product, require_side
from qbench_fidelity.windows import C1, C2, TAPS, WINDOW

LEVELS = len(SCALE_WEIGHTS)
WEIGHTS = [weight / sum(SCALE_WEIGHTS) for weight in SCALE_WEIGHTS]
NOISE = 0.4
"""Variance of the noise of the visual channel."""
EPSILON = float(np.finfo(np.float64).eps)
TOLERANCE = 1e-12
"""Of an eigenvalue to the largest: below, there is no variation in its direction, and none is counted."""
BINOMIAL = np.array([1.0, 4.0, 6.0, 4.0, 1.0]) / 16 * np.sqrt(2)
MARGIN = WINDOW // 2
ROWS = 64
"""That blocks are made of at a time, as each has ten values."""


@dataclass(frozen=True)
class Scale:
    """One level of an original's pyramid, float64, with what depends on it alone.

    Attributes:
        band: H×W.
        mean: local means, where the whole 11×11 window fits: (H-10)×(W-10), as all that follow.
        variance: local variances.
        block_mean: means of 3×3 blocks.
        block_variance: their variances.
        typicality: yᵀC⁻¹y / n of each block y, with the covariance C of all; none at the coarsest level.
        eigenvalues: of C.
    """

    band: Plane
    mean: Plane
    variance: Plane
    block_mean: Plane
    block_variance: Plane
    typicality: Plane | None
    eigenvalues: Plane


class IwSsim(Compiled, OneByOne):
    """Information-content-weighted SSIM: MS-SSIM of luma on a Laplacian pyramid, weighted by local information.

    Of BT.601 luma, not rounded. A level whose weighted structure is negative counts as 0, as its fractional power is
    not real. Not applicable where the original has no structure at some level.
    """

    name = "iw-ssim"
    summary = "information-content-weighted multi-scale SSIM of luma"
    version = 2
    reference = "Wang & Li 2011, IEEE TIP 20(5), 1185-1198"
    columns: ClassVar = (Column("iw-ssim", Direction.HIGHER, 0.0, 1.0, title="IW-SSIM"),)

    def prepare(self, reference: Reference) -> list[Scale]:
        """Compute the original's pyramid, and how much information is where."""
        require_side(reference, (WINDOW - 1) * 2 ** (LEVELS - 1) + 1, "IW-SSIM")
        bands = pyramid(reference.pixels)
        parents = [*bands[1 : LEVELS - 1], None, None]
        return [_scale(band, parent, index) for index, (band, parent) in enumerate(zip(bands, parents, strict=True))]

    def score(self, candidates: Candidates, prepared: Any) -> Sequence[Scores | NotApplicable]:
        """Score a batch."""
        return self.each(partial(self._score, prepared), candidates, same={self.name: 1.0})

    def _score(self, scales: Sequence[Scale], pixels: Pixels) -> Scores | NotApplicable:
        lost = []
        for scale, band in zip(scales, pyramid(pixels), strict=True):
            dissimilarity = _dissimilarity(scale, band)
            if scale.typicality is None:
                lost.append(float(dissimilarity.mean()))
                continue
            weights = _information(scale, band)
            total = float(weights.sum())
            if total <= 0:
                return NotApplicable("there is no information at some level of the original")
            lost.append(float((dissimilarity * weights).sum()) / total)
        return {self.name: 1 - one_minus_product(lost, WEIGHTS)}


def pyramid(pixels: Pixels) -> list[Plane]:
    """Return the Laplacian pyramid of luma: four bands and what is left, float64."""
    rest: Plane = pixels @ np.array(REC601)
    found = []
    for _ in range(LEVELS - 1):
        smaller = _filtered(rest)[::2, ::2]
        spaced = np.zeros((2 * smaller.shape[0], 2 * smaller.shape[1]))
        spaced[::2, ::2] = smaller
        found.append(rest - _filtered(spaced)[: rest.shape[0], : rest.shape[1]])
        rest = np.ascontiguousarray(smaller)
    return [*found, rest]


def _filtered(plane: Plane) -> Plane:
    return cv2.sepFilter2D(plane, -1, BINOMIAL, BINOMIAL, borderType=cv2.BORDER_REFLECT_101)


def _smooth(plane: Plane) -> Plane:
    return cv2.sepFilter2D(plane, -1, TAPS, TAPS)[MARGIN:-MARGIN, MARGIN:-MARGIN]


def _blocks(plane: Plane) -> Plane:
    """Return means of the 3×3 blocks in the middle of each window that fits."""
    return cv2.blur(plane, (3, 3))[MARGIN:-MARGIN, MARGIN:-MARGIN]


def _scale(band: Plane, parent: Plane | None, index: int) -> Scale:
    mean, block_mean = _smooth(band), _blocks(band)
    variance = np.maximum(_smooth(band * band) - mean * mean, 0)
    block_variance = np.maximum(_blocks(band * band) - block_mean * block_mean, 0)
    typicality, eigenvalues = None, np.empty(0)
    if index < LEVELS - 1:
        typicality, eigenvalues = _typicality(band, parent)
    return Scale(band, mean, variance, block_mean, block_variance, typicality, eigenvalues)


def _typicality(band: Plane, parent: Plane | None) -> tuple[Plane, Plane]:
    """Return yᵀC⁻¹y / n of every 3×3 block, with its parent in the next band where there is one; and C's eigenvalues.

    Raises:
        NotApplicable: nothing varies.
    """
    height, width = band.shape
    upper = _enlarged(parent) if parent is not None else None

    def blocks(first: int, last: int) -> Plane:
        """Return the blocks whose upper rows are these, a column each."""
        parts = [band[first + row : last + row, column : width - 2 + column] for row in range(3) for column in range(3)]
        if upper is not None:
            parts.append(upper[first + 1 : last + 1, 1 : width - 1])
        return np.stack([part.ravel() for part in parts])

    strips = [(first, min(first + ROWS, height - 2)) for first in range(0, height - 2, ROWS)]
    moments = sum(part @ part.T for part in (blocks(*strip) for strip in strips))
    values, vectors = np.linalg.eigh(moments / ((height - 2) * (width - 2)))
    if values[-1] <= EPSILON:
        raise NotApplicable("the original has no structure at some level: iw-ssim is not defined for it")
    kept = values > TOLERANCE * values[-1]
    scaled = np.where(kept, values, 0) * (values.sum() / values[kept].sum())
    whitening = (vectors[:, kept] / np.sqrt(scaled[kept] * len(values))).T
    found = np.empty((height - 2, width - 2))
    for first, last in strips:
        whitened = whitening @ blocks(first, last)
        found[first:last] = np.einsum("ij,ij->j", whitened, whitened).reshape(last - first, width - 2)
    inside = MARGIN - 1
    return np.ascontiguousarray(found[inside:-inside, inside:-inside]), scaled


def _enlarged(band: Plane) -> Plane:
    """Return a band at twice its size: bilinear at four times, continued by a line beyond the borders, every other."""
    height, width = band.shape
    inner = imresize(band, 4 * height - 3, 4 * width - 3, "bilinear")
    found = np.pad(inner, 1)
    found[0], found[-1] = 2 * found[1] - found[2], 2 * found[-2] - found[-3]
    found[:, 0], found[:, -1] = 2 * found[:, 1] - found[:, 2], 2 * found[:, -2] - found[:, -3]
    return found[::2, ::2]


def _dissimilarity(scale: Scale, band: Plane) -> Plane:
    """Return 1 - the structure factor of SSIM; at the coarsest level times the luminance factor.

    Of what vanishes with the difference, as :mod:`qbench_fidelity.similarity` does.
    """
    difference = band - scale.band
    mean, middle = _smooth(band), _smooth(difference)
    variance = np.maximum(_smooth(band * band) - mean * mean, 0)
    spread = np.maximum(_smooth(difference * difference) - middle * middle, 0)
    found: Plane = spread / (scale.variance + variance + C2)
    if scale.typicality is None:
        light = middle**2 / (mean**2 + scale.mean**2 + C1)
        found += light - light * found
    return found


def _information(scale: Scale, band: Plane) -> Plane:
    """Return the information that both images carry, in bits."""
    from qbench_fidelity.information_kernel import products

    assert scale.typicality is not None
    mean = _blocks(band)
    variance = np.maximum(_blocks(band * band) - mean * mean, 0)
    shared = _blocks(band * scale.band) - mean * scale.block_mean
    found = np.empty((2, *mean.shape))
    products(variance, shared, scale.block_variance, scale.typicality, scale.eigenvalues, NOISE, EPSILON, found)
    information: Plane = np.log2(found).sum(axis=0)
    return np.where(information < EPSILON, 0, information)
