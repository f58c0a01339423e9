"""PSNR of luma, on which many papers on codecs report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from qbench.plugin import Candidates, Column, Direction, Metric, Reference, Scores
from qbench_fidelity.error import psnr
from qbench_fidelity.libraries import OpenCv, cv2
from qbench_fidelity.planes import Plane, luma


class PsnrY(OpenCv, Metric):
    """PSNR of luma: 10·log10(255² / MSE) of BT.601 luma, full range, not rounded. Identical images give infinity."""

    name = "psnr-y"
    summary = "peak signal-to-noise ratio of luma (BT.601, full range)"
    version = 2
    reference = "ITU-R BT.601; ITU-T T.871 (JFIF)"
    columns: ClassVar = (Column("psnr-y", Direction.HIGHER, 0.0, None, "dB", 2, title="PSNR-Y"),)

    def prepare(self, reference: Reference) -> Plane:
        """Compute the original's luma."""
        return luma(reference.pixels)

    def score(self, candidates: Candidates, prepared: Any) -> Sequence[Scores]:
        """Score a batch."""
        errors = [cv2.norm(luma(pixels), prepared, cv2.NORM_L2SQR) / prepared.size for pixels in candidates.pixels]
        return [{"psnr-y": psnr(error)} for error in errors]
