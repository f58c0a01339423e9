"""PSNR and SSIM of luma, on which many papers on codecs report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from qbench.plugin import Candidates, Column, Direction, Metric, Reference, Scores
from qbench_fidelity.error import psnr
from qbench_fidelity.ssim import (
    CENTRE,
    WINDOW,
    Moments,
    mean_similarity,
    moments,
    one_if_identical,
    require_side,
)

if TYPE_CHECKING:
    import torch

WEIGHTS = (0.299, 0.587, 0.114)
"""Of R, G and B in ITU-R BT.601, over the full range, as JFIF has it."""


def luma(images: torch.Tensor) -> torch.Tensor:
    """Return N×1×H×W in [0, 255], not rounded, of N×3×H×W."""
    weights = images.new_tensor(WEIGHTS).view(1, 3, 1, 1)
    return (images * weights).sum(dim=1, keepdim=True)


class PsnrY(Metric):
    """PSNR of luma: 10·log10(255² / MSE) of BT.601 luma, full range, not rounded. Identical images give infinity."""

    name = "psnr-y"
    summary = "peak signal-to-noise ratio of luma (BT.601, full range)"
    reference = "ITU-R BT.601; ITU-T T.871 (JFIF)"
    columns: ClassVar = (Column("psnr-y", Direction.HIGHER, 0.0, None, "dB", 2),)

    def prepare(self, reference: Reference) -> torch.Tensor:
        """Compute the original's luma."""
        return luma(reference.tensor.double())

    def score(self, candidates: Candidates, prepared: Any) -> Sequence[Scores]:
        """Score a batch."""
        errors = (luma(candidates.tensor.double()) - prepared).square().mean(dim=(1, 2, 3))
        return [{"psnr-y": psnr(error)} for error in errors.tolist()]


class SsimY(Metric):
    """SSIM as ``ssim`` takes it (Gaussian 11×11 window, no downsampling), of BT.601 luma, full range, not rounded."""

    name = "ssim-y"
    summary = "structural similarity of luma (BT.601, full range)"
    reference = "Wang, Bovik, Sheikh & Simoncelli 2004, IEEE TIP 13(4), 600-612"
    columns: ClassVar = (Column("ssim-y", Direction.HIGHER, -1.0, 1.0),)

    def prepare(self, reference: Reference) -> Moments:
        """Compute the local moments of the original's luma."""
        require_side(reference, WINDOW, "SSIM's window")
        return moments(luma(reference.tensor) - CENTRE)

    def score(self, candidates: Candidates, prepared: Any) -> Sequence[Scores]:
        """Score a batch."""
        values = mean_similarity(prepared, luma(candidates.tensor) - CENTRE, luminance=True)
        return [{"ssim-y": value} for value in one_if_identical(values.mean(dim=1).tolist(), candidates)]
