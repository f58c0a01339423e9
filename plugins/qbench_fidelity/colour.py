"""Colour difference."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, ClassVar

import numpy as np

from qbench.plugin import Candidates, Column, Direction, Metric, Reference, Scores


class Ciede2000(Metric):
    """Mean over all pixels of the colour difference ΔE00 between original and reconstruction.

    sRGB is taken to CIE L*a*b* under D65; kL = kC = kH = 1. About 1 is the least difference that people see side by
    side. It is a difference of colours in large patches: it knows nothing of texture and masking.
    """

    name = "ciede2000"
    summary = "mean colour difference ΔE00"
    reference = "CIE 142-2001; Sharma, Wu & Dalal 2005, Color Research & Application 30(1), 21-30"
    columns: ClassVar = (
        Column("ciede2000", Direction.LOWER, 0.0, None, digits=3),
        Column("p95", Direction.LOWER, 0.0, None, digits=3, summary="difference that 5 % of the pixels exceed"),
    )

    @classmethod
    def libraries(cls) -> dict[str, str]:
        """scikit-image's version."""
        return {"scikit-image": version("scikit-image")}

    def prepare(self, reference: Reference) -> Any:
        """Take the original to L*a*b*."""
        from skimage.color import rgb2lab

        return rgb2lab(reference.pixels)

    def score(self, candidates: Candidates, prepared: Any) -> Sequence[Scores]:
        """Score a batch."""
        from skimage.color import deltaE_ciede2000, rgb2lab

        differences = [deltaE_ciede2000(prepared, rgb2lab(pixels)) for pixels in candidates.pixels]
        return [{"ciede2000": float(each.mean()), "p95": float(np.quantile(each, 0.95))} for each in differences]
