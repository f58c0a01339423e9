"""Whether images that several codecs and metrics read are still what they were.

Arrays are read-only, but ``torch.from_numpy`` gives a tensor that can be written to, and ``setflags`` takes the lock
off. So what was handed out is compared afterwards.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from qbench.contracts.metric import Candidates, Reference, as_floats, to_tensor
from qbench.images.image import Image, Samples


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


def tensors_hold(handed_out: Sequence[tuple[Reference | Candidates, Sequence[Samples]]]) -> bool:
    """Whether the tensors that metrics share, as far as they have been made, still hold the samples of the images.

    On an accelerator they are compared with what was carried there, which waits for it once.
    """
    import torch

    flags = []
    for images, pixels in handed_out:
        tensor = images.__dict__.get("tensor")
        if tensor is None:
            continue
        shape = (len(pixels), pixels[0].shape[2], *pixels[0].shape[:2])
        if not isinstance(tensor, torch.Tensor) or tuple(tensor.shape) != shape:
            return False
        if images.device != "cpu":
            flags.append((tensor.detach() == as_floats(images.uploaded)).all())
        elif not all(
            torch.equal(tensor[index : index + 1], to_tensor([samples], "cpu")) for index, samples in enumerate(pixels)
        ):
            return False
    return not flags or bool(torch.stack(flags).all())
