"""The embedding contract: a network that describes pictures by vectors, for metrics that compare sets of pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qbench.codec import Context, Pixels
from qbench.models.weights import Weights

Embed = Callable[[Sequence[Pixels]], npt.NDArray[np.float32]]
"""From N pictures, uint8 H×W×3, sRGB, of any size each, to N×d. A row does not depend on the other pictures."""


@dataclass(frozen=True)
class Embedding:
    """A network that is known, and not loaded yet.

    Attributes:
        weights: what it loads; its name is what suites call the embedding.
        load: builds it on the context's device.
    """

    weights: Weights
    load: Callable[[Context], Embed]
