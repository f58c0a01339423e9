"""MSE, PSNR and SSIM exactly as the scripts of Minchev 2022 take them, faults included.

Two faults make these values hard to compare with anybody else's, and both are kept here on purpose: only rows 100
to 399 are looked at, and SSIM's data range is the reconstruction's own maximum minus minimum. Use them to check
against the thesis's tables; use ``mse``, ``psnr`` and ``ssim`` for everything else.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, ClassVar

import numpy as np

from qbench.plugin import Candidates, Column, Direction, Metric, NotApplicable, Pixels, Reference, Scores
from qbench_fidelity.error import psnr
from qbench_fidelity.windows import UNIFORM

ROWS = slice(100, 400)
CITATION = "Minchev 2022, evaluation scripts"


def rows(reference: Reference, least: int) -> Pixels:
    """Return rows 100 to 399 of the original; NotApplicable if too few of them are there."""
    pixels = reference.pixels[ROWS]
    if min(pixels.shape[:2]) < least:
        raise NotApplicable(
            f"rows 100 to 399 hold {pixels.shape[0]} × {pixels.shape[1]} pixels; at least {least} are needed"
        )
    return pixels


def mean_squared_errors(original: Pixels, candidates: Candidates) -> list[float]:
    """Return the mean squared error of rows 100 to 399 for each candidate."""
    return [
        float(np.mean((original.astype(np.int32) - pixels[ROWS].astype(np.int32)) ** 2)) for pixels in candidates.pixels
    ]


class ThesisMse(Metric):
    """Mean squared error of rows 100 to 399."""

    name = "mse-thesis-exact"
    summary = "MSE of rows 100-399 only, as in Minchev 2022"
    reference = CITATION
    columns: ClassVar = (Column("mse-thesis-exact", Direction.LOWER, 0.0, 255.0**2, digits=2, title="MSE (thesis)"),)

    def prepare(self, reference: Reference) -> Pixels:
        """Cut the rows out."""
        return rows(reference, 1)

    def score(self, candidates: Candidates, prepared: Any) -> Sequence[Scores]:
        """Score a batch."""
        return [{self.name: error} for error in mean_squared_errors(prepared, candidates)]


class ThesisPsnr(Metric):
    """PSNR of rows 100 to 399."""

    name = "psnr-thesis-exact"
    summary = "PSNR of rows 100-399 only, as in Minchev 2022"
    reference = CITATION
    columns: ClassVar = (Column("psnr-thesis-exact", Direction.HIGHER, 0.0, None, "dB", 2, title="PSNR (thesis)"),)

    def prepare(self, reference: Reference) -> Pixels:
        """Cut the rows out."""
        return rows(reference, 1)

    def score(self, candidates: Candidates, prepared: Any) -> Sequence[Scores]:
        """Score a batch."""
        return [{self.name: psnr(error)} for error in mean_squared_errors(prepared, candidates)]


class ThesisSsim(Metric):
    """SSIM of rows 100 to 399, uniform 7×7 window, data range taken from each reconstruction."""

    name = "ssim-thesis-exact"
    summary = "SSIM of rows 100-399 with the reconstruction's own range, as in Minchev 2022"
    reference = CITATION
    columns: ClassVar = (Column("ssim-thesis-exact", Direction.HIGHER, -1.0, 1.0, title="SSIM (thesis)"),)

    def prepare(self, reference: Reference) -> Pixels:
        """Cut the rows out."""
        return rows(reference, UNIFORM)

    def score(self, candidates: Candidates, prepared: Any) -> Sequence[Scores | NotApplicable]:
        """Score a batch."""
        return [self._score(prepared, pixels[ROWS]) for pixels in candidates.pixels]

    def _score(self, original: Pixels, pixels: Pixels) -> Scores | NotApplicable:
        from skimage.metrics import structural_similarity

        data_range = int(pixels.max()) - int(pixels.min())
        if data_range == 0:
            return NotApplicable("the reconstruction has a single value, so its range is 0")
        value = structural_similarity(original, pixels, channel_axis=2, data_range=data_range, win_size=UNIFORM)
        return {self.name: float(value)}

    @classmethod
    def libraries(cls) -> dict[str, str]:
        """scikit-image's version."""
        return {"scikit-image": version("scikit-image")}
