"""The generator contract: a network that turns latent vectors into images, for codecs that invert it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from qbench.contracts.weights import Weights

if TYPE_CHECKING:
    import torch
    from torch import nn


class Generator(ABC):
    """A generator: latent vector in, image out.

    An instance is made per codec instance, and builds its network when it is first asked to.

    Class attributes (a class that can only know them from a file sets them on the instance):
        name: how suites name it, lower case with hyphens.
        summary: one line for ``qbench plugins``.
        reference: the paper behind it.
        latent_size: elements of a latent vector; each expected near N(0, 1).
        height, width: of the images, in pixels.
        low, high: the values of black and white in the images. What lies outside is clipped when pixels are made.
        log2_scales: 4·log2 of each element's standard deviation over natural images, rounded; for entropy coders,
            which must agree on them exactly, hence integers. Empty where unknown: then 0, a standard deviation of 1.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    reference: ClassVar[str] = ""
    latent_size: int
    height: int
    width: int
    low: float = -1.0
    high: float = 1.0
    log2_scales: Sequence[int] = ()

    @classmethod
    def weights(cls) -> Sequence[Weights]:
        """Return the weights that it loads."""
        return ()

    @abstractmethod
    def network(self, device: str) -> nn.Module:
        """Return the network on a device, in evaluation mode: float32, N×latent_size → N×3×height×width.

        An image must not depend on the others in its batch.

        Raises:
            ModelError: the weights are not available, or do not fit.
        """

    def encoder(self, device: str) -> Callable[[torch.Tensor], torch.Tensor] | None:
        """Return a function from images, N×3×height×width in [low, high], to latents near them; None without one."""
        return None
