"""The embedding contract: a network that maps images to vectors, for metrics that compare sets of images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qbench.contracts.context import Context
from qbench.contracts.weights import Weights
from qbench.images.image import Image

Embed = Callable[[Sequence[Image]], npt.NDArray[np.float32]]
"""From N images, 8-bit sRGB of any size each, to N×d. A row depends on the others by rounding at most."""


@dataclass(frozen=True)
class Embedding:
    """A network that is known, and not loaded yet.

    Attributes:
        weights: what it loads; its name is what suites call the embedding.
        load: builds it on the context's device.
    """

    weights: Weights
    load: Callable[[Context], Embed]
