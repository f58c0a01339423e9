"""Whether images that several codecs and metrics read are still what they were.

Arrays are read-only, but ``torch.from_numpy`` gives a tensor that can be written to, and ``setflags`` takes the lock
off. So what was handed out is compared afterwards.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from qbench.contracts.metric import to_tensor
from qbench.images.image import Image, Samples

if TYPE_CHECKING:
    import torch

RAMP = 8191
"""A prime: positions modulo it are the weights of a sum that a permutation changes."""


class Seal:
    """Checksums of images at a time when they are known to be right."""

    def __init__(self, images: Sequence[Image]) -> None:
        self._images = list(images)
        self._sums = [_checksum(image) for image in images]

    def broken(self) -> list[int]:
        """Return the indices of images whose samples are others now."""
        return [
            index
            for index, (image, known) in enumerate(zip(self._images, self._sums, strict=True))
            if _checksum(image) != known
        ]


def _checksum(image: Image) -> int:
    return zlib.crc32(image.pixels.data)


def tensor_holds(tensor: torch.Tensor, pixels: Sequence[Samples]) -> bool:
    """Whether a tensor that metrics share still holds the samples of the images that it was made of."""
    import torch

    if not isinstance(tensor, torch.Tensor) or tuple(tensor.shape[:2]) != (len(pixels), pixels[0].shape[2]):
        return False
    if tensor.device.type == "cpu":
        return all(
            torch.equal(tensor[index : index + 1], to_tensor([samples], "cpu")) for index, samples in enumerate(pixels)
        )
    # On an accelerator, without carrying it back: sums of integers are exact in float64.
    flat = tensor.detach().flatten().to(torch.float64)
    weights = torch.arange(flat.numel(), device=flat.device) % RAMP
    samples = np.concatenate([each.transpose(2, 0, 1).reshape(-1) for each in pixels])
    expected = float(samples.astype(np.float64) @ (np.arange(samples.size) % RAMP))
    return tensor._version == 0 and float(flat @ weights.to(torch.float64)) == expected
