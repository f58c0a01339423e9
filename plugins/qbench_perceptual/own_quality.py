"""What the metrics of an image by itself share: weights that are a file's or named, and the original's own score."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, ClassVar

from qbench.plugin import Candidates, Context, Metric, NotApplicable, Pixels, Reference, Scope, Scores, Weights


class OwnQuality(Metric):
    """Quality of an image by itself; column ``original`` is that of the original.

    Class attributes:
        what: the weights are of, for those of a file.
    """

    scope = Scope.NO_REFERENCE
    what: ClassVar[str]

    def __init__(self, parameters: Any, context: Context) -> None:
        super().__init__(parameters, context)
        (self._weights,) = self.weights(parameters, context.profile)

    @classmethod
    @abstractmethod
    def named_weights(cls, profile: str) -> Weights:
        """Return the weights that a profile uses."""

    @abstractmethod
    def quality(self, pixels: Pixels) -> float:
        """Score an image.

        Raises:
            NotApplicable: it has no statistics: it is of one colour.
        """

    @abstractmethod
    def refusal(self, pixels: Pixels) -> str:
        """Say why images of this size can't be scored; empty if they can."""

    @classmethod
    def weights(cls, parameters: Any, profile: str) -> Sequence[Weights]:
        """Those of the file that is named, else the profile's."""
        return (Weights.file_or(parameters.model, cls.named_weights(profile), cls.what),)

    @classmethod
    def libraries(cls) -> dict[str, str]:
        """The libraries that compute features."""
        named = {"numba": "numba", "opencv": "opencv-python-headless", "scipy": "scipy"}
        return {name: version(package) for name, package in named.items()}

    def prepare(self, reference: Reference) -> float:
        """Score the original.

        Raises:
            NotApplicable: it is too small, or of one colour.
        """
        refusal = self.refusal(reference.pixels)
        if refusal:
            raise NotApplicable(refusal)
        return self.quality(reference.pixels)

    def score(self, candidates: Candidates, prepared: Any) -> Sequence[Scores | NotApplicable]:
        """Score a batch."""
        return [self._score(pixels, prepared) for pixels in candidates.pixels]

    def _score(self, pixels: Pixels, original: float) -> Scores | NotApplicable:
        try:
            return {self.name: self.quality(pixels), "original": original}
        except NotApplicable as reason:
            return reason
