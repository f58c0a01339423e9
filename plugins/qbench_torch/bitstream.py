"""The bitstream: the image's size, and what a module's ``compress`` returned."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from qbench.plugin import BitstreamError
from qbench.toolkit.limits import require_pixels

MAGIC = 0xB1
"""The lower half is the version."""
LONGEST_SIDE = 1 << 16
_FIXED = struct.Struct(">BHH2sHHB")


@dataclass(frozen=True)
class Compressed:
    """What a decoder needs.

    Attributes:
        width, height: of the image.
        mark: two bytes that tell models apart.
        shape: height and width of the innermost latents, as ``decompress`` wants them.
        strings: lists of strings, the outer list by kind of latent, the inner by image (of which there is one).
    """

    width: int
    height: int
    mark: bytes
    shape: tuple[int, int]
    strings: Sequence[bytes]

    @property
    def header_size(self) -> int:
        """Bytes before the strings: 12, and four for the length of each string but the last."""
        return _FIXED.size + 4 * (len(self.strings) - 1)

    def write(self) -> bytes:
        """Return the bytes."""
        header = _FIXED.pack(MAGIC, self.width - 1, self.height - 1, self.mark, *self.shape, len(self.strings))
        lengths = b"".join(struct.pack(">I", len(string)) for string in self.strings[:-1])
        return header + lengths + b"".join(self.strings)


def read(bitstream: bytes) -> Compressed:
    """Return what :meth:`Compressed.write` wrote.

    Raises:
        BitstreamError: it did not; or the bytes are damaged.
    """
    if len(bitstream) < _FIXED.size:
        raise BitstreamError(f"{len(bitstream)} bytes are too few for the header of a torch codec")
    magic, width, height, mark, rows, columns, count = _FIXED.unpack_from(bitstream)
    if magic >> 4 != MAGIC >> 4:
        raise BitstreamError("not a bitstream of a torch codec")
    if magic != MAGIC:
        raise BitstreamError(f"version {magic & 15} of the bitstream is not supported")
    width, height = width + 1, height + 1
    require_pixels(width, height)
    if not count:
        raise BitstreamError("the bitstream holds no strings")
    place = _FIXED.size + 4 * (count - 1)
    if len(bitstream) < place:
        raise BitstreamError("the bitstream ends within its header")
    lengths = struct.unpack_from(f">{count - 1}I", bitstream, _FIXED.size)
    strings = []
    for length in lengths:
        strings.append(bitstream[place : place + length])
        place += length
    if place > len(bitstream):
        raise BitstreamError("the bitstream is shorter than its strings")
    return Compressed(width, height, mark, (rows, columns), (*strings, bitstream[place:]))
