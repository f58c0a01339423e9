"""The bitstream: a header of ten bytes, and the range-coded latents."""

from __future__ import annotations

import binascii
import struct
from dataclasses import dataclass

from qbench.plugin import BitstreamError
from qbench.toolkit.limits import require_pixels

MAGIC = 0xA1
"""The lower half is the version."""
LONGEST_SIDE = 1 << 16
STEPS = 16
"""Steps between two quality levels."""
_FORM = struct.Struct(">BHHB2s")
SIZE = _FORM.size + 2


@dataclass(frozen=True)
class Header:
    """What a decoder must know beside the latents.

    Attributes:
        width, height: of the image.
        quality: in units of 1/STEPS.
        model: two bytes that tell models apart.
    """

    width: int
    height: int
    quality: int
    model: bytes

    def write(self) -> bytes:
        """Return the header's bytes, with a checksum of them."""
        fixed = _FORM.pack(MAGIC, self.width - 1, self.height - 1, self.quality, self.model)
        return fixed + struct.pack(">H", binascii.crc_hqx(fixed, 0))


def read(bitstream: bytes) -> tuple[Header, bytes]:
    """Return the header, and the bytes of the latents.

    Raises:
        BitstreamError: not such a bitstream, of another version, or damaged.
    """
    if len(bitstream) < SIZE:
        raise BitstreamError(f"{len(bitstream)} bytes are too few for the header of the autoencoder")
    magic, width, height, quality, model = _FORM.unpack_from(bitstream)
    if magic >> 4 != MAGIC >> 4:
        raise BitstreamError("not a bitstream of the autoencoder")
    if magic != MAGIC:
        raise BitstreamError(f"version {magic & 15} of the bitstream is not supported")
    if struct.pack(">H", binascii.crc_hqx(bitstream[: _FORM.size], 0)) != bitstream[_FORM.size : SIZE]:
        raise BitstreamError("the header is damaged: its checksum doesn't match")
    header = Header(width + 1, height + 1, quality, model)
    require_pixels(header.width, header.height)
    return header, bitstream[SIZE:]
