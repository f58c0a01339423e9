"""Colour difference."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, ClassVar

import numpy as np

from qbench.plugin import Candidates, Column, Direction, Metric, Pixels, Reference, Scores
from qbench_fidelity.libraries import OpenCv, cv2
from qbench_fidelity.planes import Plane

TO_XYZ = ((0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169), (0.019334, 0.119193, 0.950227))
"""Of linear sRGB (ITU-R BT.709 primaries), as scikit-image has it."""
WHITE = (0.95047, 1.0, 1.08883)
"""D65, 2° observer."""
ROWS = 32
"""That are in hands at a time, so that what is worked on stays in the caches."""
DEGREE = np.float32(np.pi / 180)
TURN = np.float32(2 * np.pi)


class Ciede2000(OpenCv, Metric):
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

    def prepare(self, reference: Reference) -> list[tuple[Plane, ...]]:
        """Take the original to L*a*b*."""
        return [lab(rows) for rows in _strips(reference.pixels)]

    def score(self, candidates: Candidates, prepared: Any) -> Sequence[Scores]:
        """Score a batch."""
        found = []
        for pixels in candidates.pixels:
            each = differences(prepared, pixels)
            found.append({"ciede2000": float(each.mean(dtype=np.float64)), "p95": float(np.quantile(each, 0.95))})
        return found


@cache
def _linear() -> Plane:
    """Return what each 8-bit value of sRGB is in linear light (IEC 61966-2-1)."""
    values = np.arange(256) / 255
    found: Plane = np.where(values > 0.04045, ((values + 0.055) / 1.055) ** 2.4, values / 12.92).astype(np.float32)
    return found


def lab(pixels: Pixels) -> tuple[Plane, ...]:
    """Return L*, a* and b* of uint8 sRGB, float32 planes."""
    matrix = (np.array(TO_XYZ) / np.array(WHITE)[:, None]).astype(np.float32)
    x, y, z = (_compressed(plane) for plane in cv2.split(cv2.transform(cv2.LUT(pixels, _linear()), matrix)))
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def _compressed(plane: Plane) -> Plane:
    found: Plane = np.where(plane > 0.008856, np.cbrt(plane), np.float32(7.787) * plane + np.float32(16 / 116))
    return found


def _strips(pixels: Pixels) -> list[Pixels]:
    return [pixels[start : start + ROWS] for start in range(0, len(pixels), ROWS)]


def differences(original: Sequence[Sequence[Plane]], pixels: Pixels) -> Plane:
    """Return ΔE00 at every pixel, float32, against an original in L*a*b*, strip by strip."""
    return np.vstack([_delta(one, lab(rows)) for one, rows in zip(original, _strips(pixels), strict=True)])


def _delta(one: Sequence[Plane], other: Sequence[Plane]) -> Plane:
    """Return ΔE00, by the equations (2) to (22) of Sharma et al. 2005."""
    (l1, a1, b1), (l2, a2, b2) = one, other
    mean7 = ((np.hypot(a1, b1) + np.hypot(a2, b2)) * np.float32(0.5)) ** 7
    stretch = np.float32(1.5) - np.float32(0.5) * np.sqrt(mean7 / (mean7 + np.float32(25.0**7)))
    a1, a2 = a1 * stretch, a2 * stretch
    c1, c2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1, h2 = np.arctan2(b1, a1), np.arctan2(b2, a2)
    h1, h2 = np.where(h1 < 0, h1 + TURN, h1), np.where(h2 < 0, h2 + TURN, h2)
    grey = c1 * c2 == 0
    apart = h2 - h1
    far = np.abs(apart) > TURN / 2
    hue = np.where(grey, h1 + h2, (h1 + h2) * np.float32(0.5))
    hue = np.where(far & ~grey, np.where(h1 + h2 < TURN, hue + TURN / 2, hue - TURN / 2), hue)
    turned = np.where(far, apart - np.copysign(TURN, apart), apart)
    d_hue = np.where(grey, np.float32(0), 2 * np.sqrt(c1 * c2) * np.sin(turned * np.float32(0.5)))
    light = ((l1 + l2) * np.float32(0.5) - 50) ** 2
    chroma = (c1 + c2) * np.float32(0.5)
    weight = (
        1
        - np.float32(0.17) * np.cos(hue - 30 * DEGREE)
        + np.float32(0.24) * np.cos(2 * hue)
        + np.float32(0.32) * np.cos(3 * hue + 6 * DEGREE)
        - np.float32(0.20) * np.cos(4 * hue - 63 * DEGREE)
    )
    chroma7 = chroma**7
    turn = 30 * DEGREE * np.exp(-(((hue - 275 * DEGREE) / (25 * DEGREE)) ** 2))
    rotation = -2 * np.sqrt(chroma7 / (chroma7 + np.float32(25.0**7))) * np.sin(2 * turn)
    d_light = (l2 - l1) / (1 + np.float32(0.015) * light / np.sqrt(20 + light))
    d_chroma = (c2 - c1) / (1 + np.float32(0.045) * chroma)
    d_hue = d_hue / (1 + np.float32(0.015) * chroma * weight)
    squared = d_light**2 + d_chroma**2 + d_hue**2 + rotation * d_chroma * d_hue
    found: Plane = np.sqrt(np.maximum(squared, 0))
    return found
