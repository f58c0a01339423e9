"""SSIM with scikit-image's default window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from qbench.plugin import Candidates, Column, Direction, Metric, Reference, Scores
from qbench_fidelity.libraries import Compiled
from qbench_fidelity.planes import Plane, channels
from qbench_fidelity.ssim import require_side
from qbench_fidelity.windows import UNIFORM


class SsimUniform(Compiled, Metric):
    """SSIM as scikit-image computes it by default: uniform 7×7 window, sample covariance, RGB mean, range 255."""

    name = "ssim-uniform"
    summary = "structural similarity, uniform 7×7 window (scikit-image's default)"
    version = 2
    reference = "scikit-image, skimage.metrics.structural_similarity; after Wang et al. 2004"
    columns: ClassVar = (Column("ssim-uniform", Direction.HIGHER, -1.0, 1.0, title="SSIM (uniform window)"),)

    def prepare(self, reference: Reference) -> Sequence[Plane]:
        """Take the original's channels."""
        require_side(reference, UNIFORM, "a 7×7 window")
        return channels(reference.pixels)

    def score(self, candidates: Candidates, prepared: Any) -> Sequence[Scores]:
        """Score a batch."""
        from qbench_fidelity.similarity import uniform_dissimilarity

        found = []
        for pixels in candidates.pixels:
            pairs = zip(prepared, channels(pixels), strict=True)
            found.append(sum(uniform_dissimilarity(*pair) for pair in pairs) / len(prepared))
        return [{self.name: 1 - value} for value in found]
