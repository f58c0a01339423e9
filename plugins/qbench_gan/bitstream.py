"""The bitstream: a short header, and the coded latents."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from qbench.plugin import BitstreamError
from qbench.toolkit.limits import require_pixels

MAGIC = 0xC7
VERSION = 1
LONGEST_SIDE = 1 << 16
MOST_TILES = 1 << 18
"""More are refused, so that a damaged header does not ask for all memory."""


@dataclass(frozen=True)
class Header:
    """What a decoder must know beside the latents.

    Attributes:
        width, height: of the image.
        generator: two bytes that tell generators apart.
        tiled: many latents, and not one for the whole image.
        qsgd: the thesis's latent coder, and not the default one.
        thesis_exact: with the thesis's faults.
        precision: quarter-octave exponent of the quantiser's step, or QSGD's bits.
        overlap: pixels that neighbouring tiles share.
    """

    width: int
    height: int
    generator: bytes
    tiled: bool
    qsgd: bool
    thesis_exact: bool
    precision: int
    overlap: int = 0

    def write(self) -> bytes:
        """Return the header's bytes: 9, or 10 with tiles."""
        flags = VERSION << 4 | self.tiled << 2 | self.qsgd << 1 | self.thesis_exact
        fixed = struct.pack(">BBHHb", MAGIC, flags, self.width - 1, self.height - 1, self.precision)
        return fixed + self.generator + (bytes([self.overlap]) if self.tiled else b"")


def read(bitstream: bytes) -> tuple[Header, bytes]:
    """Return the header, and the bytes of the latents.

    Raises:
        BitstreamError: not such a bitstream, or of another version.
    """
    if len(bitstream) < 9:
        raise BitstreamError(f"{len(bitstream)} bytes are too few for the header of a GAN inversion")
    magic, flags, width, height, precision = struct.unpack_from(">BBHHb", bitstream)
    if magic != MAGIC:
        raise BitstreamError("not a bitstream of a GAN inversion")
    if flags >> 4 != VERSION or flags & 8:
        raise BitstreamError(f"version {flags >> 4} of the bitstream is not supported")
    tiled = bool(flags & 4)
    if tiled and len(bitstream) < 10:
        raise BitstreamError("the bitstream ends within its header")
    header = Header(
        width + 1,
        height + 1,
        bitstream[7:9],
        tiled,
        bool(flags & 2),
        bool(flags & 1),
        precision,
        bitstream[9] if tiled else 0,
    )
    require_pixels(header.width, header.height)
    return header, bitstream[10 if tiled else 9 :]
