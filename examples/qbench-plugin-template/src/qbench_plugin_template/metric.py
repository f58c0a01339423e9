"""A metric in a few lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from qbench.plugin import Candidates, Column, Direction, Metric, Reference, Scores


class MaximumError(Metric):
    """Largest difference of any 8-bit sample: max |x - y|, in steps of 8 bits."""

    name = "maximum-error"
    summary = "largest difference of any sample"
    columns: ClassVar = (Column("maximum-error", Direction.LOWER, 0, 255, digits=0),)

    def prepare(self, reference: Reference) -> np.ndarray:
        """Compute once an image what all of its reconstructions need."""
        return reference.pixels.astype(np.int16)

    def score(self, candidates: Candidates, prepared: Any) -> Sequence[Scores]:
        """Score a batch of reconstructions."""
        return [{"maximum-error": float(np.abs(prepared - pixels).max())} for pixels in candidates.pixels]
