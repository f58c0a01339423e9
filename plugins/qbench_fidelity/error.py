"""Mean squared error, and the PSNR made of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from qbench.plugin import Candidates, Column, Direction, Metric, Scores
from qbench_fidelity.libraries import OpenCv, cv2


def squared_errors(candidates: Candidates) -> list[float]:
    """Return the mean squared error of each candidate over rows, columns and channels, in squared 8-bit steps.

    The sum is of integers, and exact.
    """
    original = candidates.reference.pixels
    sums = [round(cv2.norm(pixels, original, cv2.NORM_L2SQR)) for pixels in candidates.pixels]  # may be off by a bit
    return [total / original.size for total in sums]


class Mse(OpenCv, Metric):
    """Mean squared error over all pixels and channels of 8-bit RGB."""

    name = "mse"
    summary = "mean squared error, 8-bit RGB"
    columns: ClassVar = (Column("mse", Direction.LOWER, 0.0, 255.0**2, digits=2, title="MSE"),)

    def score(self, candidates: Candidates, prepared: Any) -> Sequence[Scores]:
        """Score a batch."""
        return [{"mse": error} for error in squared_errors(candidates)]


class Psnr(OpenCv, Metric):
    """Peak signal-to-noise ratio of 8-bit RGB: 10·log10(255² / MSE), the MSE taken over all channels together.

    Identical images give infinity, not a cap. A mean over images is the mean of their PSNRs; pooled, it is the PSNR of
    the MSE over all their pixels.
    """

    name = "psnr"
    summary = "peak signal-to-noise ratio, RGB"
    pooling = "PSNR of the MSE over all pixels"
    usual = True
    columns: ClassVar = (Column("psnr", Direction.HIGHER, 0.0, None, "dB", 2, title="PSNR"),)

    def score(self, candidates: Candidates, prepared: Any) -> Sequence[Scores]:
        """Score a batch."""
        return [{"psnr": psnr(error)} for error in squared_errors(candidates)]

    @classmethod
    def pool(cls, column: str, values: Sequence[float], pixels: Sequence[int]) -> float:
        """Return the PSNR of the MSE over all pixels."""
        errors = [255.0**2 * 10 ** (-value / 10) for value in values]  # infinite for identical images: no error
        return psnr(float(np.average(errors, weights=pixels)))


def psnr(mean_squared_error: float) -> float:
    """Return the PSNR in dB of 8-bit values."""
    return math.inf if mean_squared_error == 0 else 10 * math.log10(255.0**2 / mean_squared_error)
