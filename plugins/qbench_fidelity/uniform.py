"""SSIM with scikit-image's default window."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, ClassVar

from qbench.plugin import Candidates, Column, Direction, Metric, Reference, Scores
from qbench_fidelity.ssim import require_side

WINDOW = 7


class SsimUniform(Metric):
    """SSIM as scikit-image computes it by default: uniform 7×7 window, sample covariance, RGB mean, range 255."""

    name = "ssim-uniform"
    summary = "structural similarity, uniform 7×7 window (scikit-image's default)"
    reference = "scikit-image, skimage.metrics.structural_similarity; after Wang et al. 2004"
    columns: ClassVar = (Column("ssim-uniform", Direction.HIGHER, -1.0, 1.0),)

    def prepare(self, reference: Reference) -> None:
        """Check the size."""
        require_side(reference, WINDOW, "a 7×7 window")

    def score(self, candidates: Candidates, prepared: Any) -> Sequence[Scores]:
        """Score a batch."""
        from skimage.metrics import structural_similarity

        original = candidates.reference.pixels
        return [
            {
                "ssim-uniform": float(
                    structural_similarity(original, pixels, channel_axis=2, data_range=255, win_size=WINDOW)
                )
            }
            for pixels in candidates.pixels
        ]

    @classmethod
    def libraries(cls) -> dict[str, str]:
        """scikit-image's version."""
        return {"scikit-image": version("scikit-image")}
