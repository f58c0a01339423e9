"""Colour difference."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, ClassVar

import numpy as np

from qbench.plugin import Candidates, Column, Direction, Metric, Pixels, Reference, Scores
from qbench_fidelity.libraries import Compiled
from qbench_fidelity.planes import Plane


class Ciede2000(Compiled, Metric):
    """Mean over all pixels of the colour difference ΔE00 between original and reconstruction.

    sRGB is taken to CIE L*a*b* under D65; kL = kC = kH = 1. About 1 is the least difference that people see side by
    side. It is a difference of colours in large patches: it knows nothing of texture and masking. In float32: the
    mean is within 0.0001 of scikit-image's in float64, a pixel within 0.0005 unless its hue is rounding.
    """

    name = "ciede2000"
    summary = "mean colour difference ΔE00"
    version = 2
    reference = "CIE 142-2001; Sharma, Wu & Dalal 2005, Color Research & Application 30(1), 21-30"
    columns: ClassVar = (
        Column("ciede2000", Direction.LOWER, 0.0, None, digits=3),
        Column("p95", Direction.LOWER, 0.0, None, digits=3, summary="difference that 5 % of the pixels exceed"),
    )

    def prepare(self, reference: Reference) -> Plane:
        """Take the original to L*a*b*."""
        return lab(reference.pixels)

    def score(self, candidates: Candidates, prepared: Any) -> Sequence[Scores]:
        """Score a batch."""
        found = []
        for pixels in candidates.pixels:
            each = differences(prepared, lab(pixels))
            found.append({"ciede2000": float(each.mean(dtype=np.float64)), "p95": float(np.quantile(each, 0.95))})
        return found


@cache
def _linear() -> Plane:
    """Return what each 8-bit value of sRGB is in linear light (IEC 61966-2-1)."""
    values = np.arange(256) / 255
    found: Plane = np.where(values > 0.04045, ((values + 0.055) / 1.055) ** 2.4, values / 12.92).astype(np.float32)
    return found


def lab(pixels: Pixels) -> Plane:
    """Return L*, a* and b* of uint8 sRGB: 3×H×W, float32."""
    from qbench_fidelity.delta_e import MATRIX, to_lab

    found: Plane = np.empty((3, *pixels.shape[:2]), np.float32)
    to_lab(np.ascontiguousarray(pixels), _linear(), MATRIX, found)
    return found


def differences(one: Plane, other: Plane) -> Plane:
    """Return ΔE00 at every pixel, H×W, float32, of two images in L*a*b*."""
    from qbench_fidelity.delta_e import delta_e00

    found: Plane = np.empty(one.shape[1:], np.float32)
    delta_e00(one, other, found)
    return found
