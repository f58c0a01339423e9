"""Reconstructions that are scored each by itself, on a processor: as many at a time as threads and memory allow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeVar

from qbench.plugin import Candidates, Context, Metric, Pixels, Reference
from qbench.toolkit.parallel import each
from qbench_fidelity.planes import Plane

T = TypeVar("T")
MOST_PIXELS = 2**22
"""Of the images that are worked on at the same time: metrics take up to 200 bytes a pixel."""


class OneByOne(Metric):
    """A metric that scores each reconstruction by itself."""

    parallel: ClassVar = True
    context: Context

    def each(self, score: Callable[[Pixels], T], candidates: Candidates, same: Any = None) -> list[T]:
        """Return what is computed for each reconstruction.

        Args:
            score: takes a reconstruction, uint8 H×W×3.
            same: what it gives for the original itself, which arithmetic may miss; None: it is computed.
        """

        def one(index: int) -> T:
            if same is not None and candidates.identical[index]:
                found: T = same
                return found
            return score(candidates.pixels[index])

        return each(one, range(len(candidates)), self._threads(candidates.reference))

    def of_planes(self, prepare: Callable[[Plane], T], planes: Sequence[Plane], reference: Reference) -> list[T]:
        """Return what is computed for each plane of the original."""
        return each(prepare, planes, self._threads(reference))

    def _threads(self, reference: Reference) -> int:
        height, width = reference.pixels.shape[:2]
        at_once: int = max(1, MOST_PIXELS // (height * width))
        return min(self.context.threads, at_once)
