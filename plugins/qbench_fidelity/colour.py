"""Colour difference."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from typing import Any, ClassVar

import numpy as np

from qbench.plugin import Candidates, Column, Direction, Pixels, Reference, Scores
from qbench_fidelity.libraries import Compiled
from qbench_fidelity.one_by_one import OneByOne
from qbench_fidelity.planes import Plane


class Ciede2000(Compiled, OneByOne):
    """Mean over all pixels of the colour difference ΔE00 between original and reconstruction.

    sRGB is taken to CIE L*a*b* under D65; kL = kC = kH = 1. About 1 is the least difference that people see side by
    side. It is a difference of colours in large patches: it knows nothing of texture and masking. Within 1e-5 of
    scikit-image's; where two hues are opposite to the last digit, ΔE00 itself jumps.
    """

    name = "ciede2000"
    summary = "mean colour difference ΔE00"
    version = 3
    reference = "CIE 142-2001; Sharma, Wu & Dalal 2005, Color Research & Application 30(1), 21-30"
    columns: ClassVar = (
        Column("ciede2000", Direction.LOWER, 0.0, None, digits=3, title="CIEDE2000"),
        Column("p95", Direction.LOWER, 0.0, None, digits=3, summary="difference that 5 % of the pixels exceed"),
    )

    def prepare(self, reference: Reference) -> Pixels:
        """Take the original."""
        return np.ascontiguousarray(reference.pixels)

    def score(self, candidates: Candidates, prepared: Any) -> Sequence[Scores]:
        """Score a batch."""
        return self.each(partial(self._score, prepared), candidates)

    def _score(self, original: Pixels, pixels: Pixels) -> Scores:
        found = differences(original, pixels)
        return {"ciede2000": float(found.mean(dtype=np.float64)), "p95": float(np.quantile(found, 0.95))}


@cache
def _linear() -> Plane:
    """Return what each 8-bit value of sRGB is in linear light (IEC 61966-2-1)."""
    values = np.arange(256) / 255
    found: Plane = np.where(values > 0.04045, ((values + 0.055) / 1.055) ** 2.4, values / 12.92)
    return found


def differences(one: Pixels, other: Pixels) -> Plane:
    """Return ΔE00 at every pixel, H×W, float32, of two images, uint8 sRGB."""
    from qbench_fidelity import delta_e

    found: Plane = np.empty(one.shape[:2], np.float32)
    delta_e.differences(one, np.ascontiguousarray(other), _linear(), delta_e.MATRIX, found)
    return found
