"""What Minchev 2022 calls FID: a Fréchet distance of raw pixels, without a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from qbench.plugin import Candidates, Column, Direction, Metric, NotApplicable, Pixels, Reference, Scores
from qbench.toolkit.parallel import one_thread

WIDTH = 128
"""Pixels in a row, each row a sample; 512×512 pixels give 2,048 rows."""
EXACT = 1000
"""Samples of -128 to 127 whose sums of products float32 holds exactly, in any order: 1,000 · 128² < 2²⁴."""


@dataclass(frozen=True)
class Gaussian:
    """Fitted to an image's rows of 384 values.

    Attributes:
        mean: of each value.
        variance: sum of their variances.
        root: A with A·Aᵀ the covariance.
    """

    mean: npt.NDArray[np.float64]
    variance: float
    root: npt.NDArray[np.float64]


class PixelFrechet(Metric):
    """Fréchet distance between the raw RGBA values of two images, cut into rows of 512 values, each a sample.

    The formula and the cutting are those of the thesis, whose tables call it FID; no network looks at anything, and
    values are in the 100,000s. 512 values are 128 pixels of a row, so that it sees colours and horizontal structure.
    Alpha is 255 throughout, does not vary, and is left out of the computation. Rounding errors are below 1e-7 of the
    sum of the original's variances (some 1e6 in photographs), and the same whatever the threads. Not applicable to
    images whose pixels are not a multiple of 128, or fewer than 256.
    """

    name = "pixel-frechet"
    summary = "Fréchet distance of raw pixels: what Minchev 2022 calls FID"
    version = 2
    reference = "Minchev 2022; formula: Heusel et al. 2017, NeurIPS"
    columns: ClassVar = (
        Column("pixel-frechet", Direction.LOWER, 0.0, None, digits=1, title="Fréchet distance of pixels"),
    )

    @classmethod
    def libraries(cls) -> dict[str, str]:
        """The library of the linear algebra."""
        return {"numpy": version("numpy")}

    def prepare(self, reference: Reference) -> Gaussian:
        """Fit a Gaussian to the original's samples."""
        height, width = reference.pixels.shape[:2]
        if height * width % WIDTH or height * width < 2 * WIDTH:
            raise NotApplicable(
                f"{width}×{height} pixels can't be cut into at least 2 rows of {4 * WIDTH} values ({WIDTH} pixels)"
            )
        with one_thread():
            return fitted(reference.pixels)

    def score(self, candidates: Candidates, prepared: Any) -> Sequence[Scores]:
        """Score a batch; the original itself has distance 0, which arithmetic would miss by a little."""
        pairs = zip(candidates.pixels, candidates.identical, strict=True)
        with one_thread():
            return [{self.name: 0.0 if same else distance(prepared, fitted(pixels))} for pixels, same in pairs]


def fitted(pixels: Pixels) -> Gaussian:
    """Return the Gaussian of an image's rows; sums are of integers, and exact."""
    samples = pixels.reshape(-1, 3 * WIDTH)
    count = len(samples)
    total, products = np.zeros(3 * WIDTH), np.zeros((3 * WIDTH, 3 * WIDTH))
    for start in range(0, count, EXACT):
        part = samples[start : start + EXACT].astype(np.float32) - 128
        total += part.sum(axis=0)
        products += part.T @ part
    covariance = (count * products - np.outer(total, total)) / (count * (count - 1))
    return Gaussian(total / count + 128, float(np.trace(covariance)), _root(covariance))


def _root(covariance: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return A with A·Aᵀ the covariance."""
    try:
        found: npt.NDArray[Any] = np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:  # something does not vary by itself, as in greyscale images
        values, vectors = np.linalg.eigh(covariance)
        found = vectors * np.sqrt(np.maximum(values, 0))
    return found


def distance(one: Gaussian, other: Gaussian) -> float:
    """Return the Fréchet distance, squared.

    |μ₁ - μ₂|² + tr(Σ₁) + tr(Σ₂) - 2·tr((Σ₁Σ₂)^½) (Dowson & Landau 1982, J. Multivariate Analysis 12(3)). With Σ = A·Aᵀ
    the last trace is the sum of the singular values of A₁ᵀ·A₂. The square roots of the eigenvalues of a product of
    covariances add up to it too, but those of its rounding errors exceed the distances of images that are alike.
    """
    means = one.mean - other.mean
    shared = np.linalg.svd(one.root.T @ other.root, compute_uv=False).sum()
    return max(0.0, float(means @ means + one.variance + other.variance - 2 * shared))
