"""The loss contract: a differentiable distance between images, for codecs that optimise what they send."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from qbench.contracts.context import Context
from qbench.contracts.weights import Weights

if TYPE_CHECKING:
    import torch


class Loss(ABC):
    """A differentiable distance between images of one size.

    Class attributes:
        name: how suites name it, lower case with hyphens.
        summary: one line for ``qbench plugins``.
        reference: the paper behind it.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    reference: ClassVar[str] = ""

    def __init__(self, context: Context) -> None:
        self.context = context

    @classmethod
    def weights(cls, profile: str) -> Sequence[Weights]:
        """Return the weights that it loads in a profile."""
        return ()

    @abstractmethod
    def prepare(self, targets: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        """Compute once what depends on the targets alone.

        Args:
            targets: float32, N×3×H×W, range [0, 1], on the context's device.

        Returns:
            A function from images of the same shape and range to N distances, 0 for the targets themselves. It is
            differentiable, and a distance does not depend on the others in the batch.
        """
