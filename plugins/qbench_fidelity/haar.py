"""HaarPSI."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from qbench.plugin import Candidates, Column, Direction, Pixels, Reference, Scores
from qbench_fidelity.gradients import difference_from_one
from qbench_fidelity.libraries import OpenCv, cv2
from qbench_fidelity.one_by_one import OneByOne
from qbench_fidelity.planes import YIQ, Plane, halve_padded, weighted
from qbench_fidelity.ssim import require_side

C, ALPHA = 30.0, 4.2


@dataclass(frozen=True)
class Wavelets:
    """Magnitudes of Haar coefficients of luma, scale by scale in two orientations, and of averaged chrominance."""

    light: list[list[Plane]]
    colour: list[Plane]


class HaarPsi(OpenCv, OneByOne):
    """Haar wavelet-based perceptual similarity with colour, of the image halved by 2×2 averaging.

    With YIQ as in the authors' program; piq's coefficients have another digit.
    """

    name = "haarpsi"
    summary = "Haar wavelet-based perceptual similarity"
    version = 3
    reference = "Reisenhofer, Bosse, Kutyniok & Wiegand 2018, Signal Processing: Image Communication 61, 33-43"
    columns: ClassVar = (Column("haarpsi", Direction.HIGHER, 0.0, 1.0, title="HaarPSI"),)

    def prepare(self, reference: Reference) -> Wavelets:
        """Compute the original's coefficients."""
        require_side(reference, 16, "HAARPSI")
        return _wavelets(reference.pixels)

    def score(self, candidates: Candidates, prepared: Any) -> Sequence[Scores]:
        """Score a batch."""
        found = self.each(lambda pixels: _similarity(prepared, _wavelets(pixels)), candidates, same=1.0)
        return [{self.name: value} for value in found]


def _wavelets(pixels: Pixels) -> Wavelets:
    planes = [halve_padded(plane) for plane in weighted(pixels.astype(np.float32), YIQ)]
    colour = [np.abs(_filtered(plane, np.full(2, 0.5), np.full(2, 0.5))) for plane in planes[1:]]
    light = []
    for side in (2, 4, 8):
        flat = np.ones(side)
        step = np.repeat([1.0, -1.0], side // 2) / side
        light.append([np.abs(_filtered(planes[0], flat, step)), np.abs(_filtered(planes[0], step, flat))])
    return Wavelets(light, colour)


def _filtered(plane: Plane, across: Any, down: Any) -> Plane:
    """Filter with an even number of taps, as ``conv2(…, 'same')`` does, with zeros beyond the borders."""
    anchor = (len(across) // 2 - 1,) * 2
    return cv2.sepFilter2D(plane, -1, across, down, anchor=anchor, borderType=cv2.BORDER_CONSTANT)


def _similarity(x: Wavelets, y: Wavelets) -> float:
    weights = [cv2.max(*pair) for pair in zip(x.light[2], y.light[2], strict=True)]
    maps = []
    for way in range(2):
        found = difference_from_one(y.light[0][way], x.light[0][way], C)
        found += difference_from_one(y.light[1][way], x.light[1][way], C)
        maps.append(found)
    found = difference_from_one(y.colour[0], x.colour[0], C)
    found += difference_from_one(y.colour[1], x.colour[1], C)
    maps.append(found)
    weights.append((weights[0] + weights[1]) * 0.5)
    # The mean of the logistic function of α times the similarity. With it as α - α/2 of what it lacks of 1, and of that
    # the same taken off which a perfect one has, the mean is exact for what is alike.
    most = 1 / (1 + np.exp(-ALPHA))
    lost = total = 0.0
    for map_, weight in zip(maps, weights, strict=True):
        logistic = 1 / (1 + np.exp(map_ * np.float32(ALPHA / 2) - np.float32(ALPHA)))
        lost += float(np.sum((np.float32(most) - logistic) * weight, dtype=np.float64))
        total += float(np.sum(weight, dtype=np.float64))
    if not lost:
        return 1.0
    # log(mean / (1 - mean)) is α where nothing is lost, and less by two terms that vanish with what is.
    share = lost / total
    return float((1 + (np.log1p(-share / most) - np.log1p(share / (1 - most))) / ALPHA) ** 2)
