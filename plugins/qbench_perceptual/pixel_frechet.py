"""What Minchev 2022 calls FID: a Fréchet distance of raw pixels, without a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from qbench.plugin import Candidates, Column, Direction, Metric, NotApplicable, Pixels, Reference, Scores
from qbench_perceptual.gaussians import Samples, frechet_distance

WIDTH = 512
"""Values in a row, each a sample; 512×512 pixels give 2,048 rows."""


class PixelFrechet(Metric):
    """Fréchet distance between the raw RGBA values of two images, cut into rows of 512 values, each a sample.

    The formula and the cutting are those of the thesis, whose tables call it FID; no network looks at anything, and
    values are in the 100,000s. 512 values are 128 pixels of a row, so that it sees colours and horizontal structure.
    Alpha is 255 throughout. Not applicable to images whose pixels are not a multiple of 128, or fewer than 256.
    """

    name = "pixel-frechet"
    summary = "Fréchet distance of raw pixels: what Minchev 2022 calls FID"
    reference = "Minchev 2022; formula: Heusel et al. 2017, NeurIPS"
    columns: ClassVar = (Column("pixel-frechet", Direction.LOWER, 0.0, None, digits=1),)

    def prepare(self, reference: Reference) -> Samples:
        """Cut the original into samples."""
        height, width = reference.pixels.shape[:2]
        if height * width % (WIDTH // 4) or height * width < WIDTH // 2:
            raise NotApplicable(
                f"{width}×{height} pixels can't be cut into at least 2 rows of {WIDTH} values ({WIDTH // 4} pixels)"
            )
        return samples(reference.pixels)

    def score(self, candidates: Candidates, prepared: Any) -> Sequence[Scores]:
        """Score a batch; the original itself has distance 0, which arithmetic would miss by a little."""
        pairs = zip(candidates.pixels, candidates.identical, strict=True)
        return [{self.name: 0.0 if same else self._distance(prepared, pixels)} for pixels, same in pairs]

    def _distance(self, original: Samples, pixels: Pixels) -> float:
        return max(0.0, frechet_distance(original, samples(pixels), device=self.context.device))


def samples(pixels: Pixels) -> Samples:
    """Return an image's RGBA values, n×512."""
    alpha = np.full((*pixels.shape[:2], 1), 255, np.uint8)
    return np.concatenate([pixels, alpha], axis=2).reshape(-1, WIDTH).astype(np.float64)
