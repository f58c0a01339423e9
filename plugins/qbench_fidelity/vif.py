"""Visual information fidelity in the pixel domain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from qbench.plugin import Candidates, Column, Direction, NotApplicable, Pixels, Reference, Scores
from qbench_fidelity.libraries import Compiled, cv2
from qbench_fidelity.one_by_one import OneByOne
from qbench_fidelity.planes import REC601, Plane, gaussian_taps
from qbench_fidelity.ssim import require_side

NOISE = 2.0
LEAST = 1e-8
"""A variance below which there is none."""
TAPS = [gaussian_taps(side, side / 5) for side in (17, 9, 5, 3)]


@dataclass(frozen=True)
class Scale:
    """An original at one scale, in float64, with its local means and variances."""

    plane: Plane
    mean: Plane
    variance: Plane


class Vifp(Compiled, OneByOne):
    """Visual information fidelity in the pixel domain, of luma (BT.601), at four scales; noise variance 2.

    The share of the information in the original that the reconstruction still carries; above 1 where contrast was
    raised. Not applicable where the original is of one luma, which carries none. In float64: where a picture is flat,
    float32 takes rounding errors for information. This is VIFp, not the measure of wavelet coefficients (VIF) of the
    same paper, which is not offered.
    """

    name = "vifp"
    summary = "visual information fidelity, pixel domain (VIFp)"
    reference = "Sheikh & Bovik 2006, IEEE TIP 15(2), 430-444; its authors' pixel-domain version (vifp_mscale)"
    columns: ClassVar = (Column("vifp", Direction.HIGHER, 0.0, None, title="VIFp"),)

    def prepare(self, reference: Reference) -> tuple[list[Scale], float]:
        """Compute the original's local moments, and how much information it carries."""
        require_side(reference, 41, "VIFp")
        scales = []
        for plane, taps in zip(_scales(reference.pixels), TAPS, strict=True):
            mean = _valid(plane, taps)
            variance = _valid(plane * plane, taps) - mean * mean
            scales.append(Scale(plane, mean, np.where(variance >= LEAST, variance, 0.0)))
        information = sum(float(np.log1p(scale.variance / NOISE).sum()) for scale in scales)
        if not information:
            raise NotApplicable("the original is of one luma and contains no information")
        return scales, information

    def score(self, candidates: Candidates, prepared: Any) -> Sequence[Scores]:
        """Score a batch."""
        scales, information = prepared
        found = self.each(lambda pixels: _carried(scales, pixels) / information, candidates, same=1.0)
        return [{self.name: value} for value in found]


def _scales(pixels: Pixels) -> list[Plane]:
    """Return luma, less its middle, at four scales."""
    plane: Plane = pixels @ np.array(REC601) - 127.5
    found = [plane]
    for taps in TAPS[1:]:
        found.append(np.ascontiguousarray(_valid(found[-1], taps)[::2, ::2]))
    return found


def _valid(plane: Plane, taps: Plane) -> Plane:
    """Filter, only where all taps fit."""
    margin = len(taps) // 2
    return cv2.sepFilter2D(plane, -1, taps, taps)[margin:-margin, margin:-margin]


def _carried(scales: Sequence[Scale], pixels: Pixels) -> float:
    """Return the information of the original that a reconstruction still carries."""
    from qbench_fidelity.vif_kernel import ratios

    total = 0.0
    for scale, plane, taps in zip(scales, _scales(pixels), TAPS, strict=True):
        found = _valid(plane * plane, taps)
        ratios(_valid(plane, taps), found, _valid(plane * scale.plane, taps), scale.mean, scale.variance, NOISE, LEAST)
        total += float(np.log1p(found).sum())
    return total
