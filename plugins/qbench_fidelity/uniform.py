"""SSIM with scikit-image's default window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from qbench.plugin import Candidates, Column, Direction, Metric, Reference, Scores
from qbench_fidelity.libraries import OpenCv
from qbench_fidelity.planes import channels
from qbench_fidelity.similarity import Original, Uniform, mean_dissimilarity, prepare
from qbench_fidelity.ssim import require_side

WINDOW = Uniform.side


class SsimUniform(OpenCv, Metric):
    """SSIM as scikit-image computes it by default: uniform 7×7 window, sample covariance, RGB mean, range 255."""

    name = "ssim-uniform"
    summary = "structural similarity, uniform 7×7 window (scikit-image's default)"
    version = 2
    reference = "scikit-image, skimage.metrics.structural_similarity; after Wang et al. 2004"
    columns: ClassVar = (Column("ssim-uniform", Direction.HIGHER, -1.0, 1.0),)

    def prepare(self, reference: Reference) -> list[Original]:
        """Compute the original's local moments."""
        require_side(reference, WINDOW, "a 7×7 window")
        return [prepare(plane, Uniform) for plane in channels(reference.pixels)]

    def score(self, candidates: Candidates, prepared: Any) -> Sequence[Scores]:
        """Score a batch."""
        return [{self.name: 1 - mean_dissimilarity(prepared, channels(pixels))} for pixels in candidates.pixels]
