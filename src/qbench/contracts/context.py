"""What a run tells codecs, metrics and trainings about the place they work in."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from qbench.images.image import Image


def _warn(text: str) -> None:
    warnings.warn(text, stacklevel=3)


@dataclass(frozen=True)
class Context:
    """What a run tells a codec or a metric about the place it works in.

    Attributes:
        device: a torch device string, ``"cpu"`` or ``"cuda:0"``.
        seed: the run's seed.
        profile: the suite's profile, ``"bundled"`` or ``"hub"``: which weights to load.
        notice: tells the person who runs this something that is not a failure; say a thing once.
        threads: how many a codec or metric may use; libraries of linear algebra and torch are told already.
    """

    device: str = "cpu"
    seed: int = 0
    profile: str = "bundled"
    notice: Callable[[str], None] = field(default=_warn, repr=False, compare=False)
    threads: int = 1

    def rng(self, image: Image) -> np.random.Generator:
        """Return a generator seeded from the run's seed and this image.

        Codecs that draw random numbers take them from here, so that a cell's result does not depend on which
        cells were coded before it, or in which process.
        """
        digest = hashlib.sha256(repr((self.seed, image.shape)).encode())
        digest.update(image.pixels.data)
        return np.random.default_rng(int.from_bytes(digest.digest(), "big"))
