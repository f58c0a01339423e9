"""A codec that keeps the mean colour of each block: short enough to read, and a real one."""

from __future__ import annotations

import struct
import zlib
from typing import ClassVar

import numpy as np
from pydantic import Field

from qbench.plugin import BitstreamError, Codec, Image, Parameters
from qbench.toolkit.limits import require_pixels

HEADER = struct.Struct(">4sIIB")
MAGIC = b"BMC1"


class BlockMeanParameters(Parameters):
    """Settings; this model is the suite's validation, the help and the documentation."""

    block: int = Field(8, ge=1, le=64, description="side of a block in pixels")


class BlockMean(Codec):
    """Mean colour of square blocks, DEFLATEd."""

    name = "block-mean"
    summary = "mean colour of square blocks"
    file_extension = "bmc"
    Parameters: ClassVar = BlockMeanParameters

    def encode(self, image: Image) -> bytes:
        """Average the blocks; those at the right and lower edge may be smaller."""
        height, width = image.height, image.width
        block = self.parameters.block
        rows, columns = np.arange(0, height, block), np.arange(0, width, block)
        sums = np.add.reduceat(np.add.reduceat(image.pixels.astype(np.int64), rows, axis=0), columns, axis=1)
        heights = np.diff(np.append(rows, height))
        widths = np.diff(np.append(columns, width))
        means = np.round(sums / (heights[:, None] * widths[None, :])[..., None]).astype(np.uint8)
        # Size and settings travel in the bitstream: another machine must be able to decode it.
        return HEADER.pack(MAGIC, height, width, block) + zlib.compress(means.tobytes(), 9)

    def decode(self, bitstream: bytes) -> Image:
        """Fill each block with its mean."""
        try:
            magic, height, width, block = HEADER.unpack_from(bitstream)
        except struct.error as error:
            raise BitstreamError(f"{len(bitstream)} bytes are too few for a header") from error
        # Check everything in the header before believing it: bitstreams may be damaged.
        if magic != MAGIC or not (1 <= block <= 64) or not height * width:
            raise BitstreamError("not a block-mean bitstream")
        require_pixels(width, height)
        shape = (-(-height // block), -(-width // block), 3)
        size = shape[0] * shape[1] * 3
        try:
            decompressor = zlib.decompressobj()
            data = decompressor.decompress(bitstream[HEADER.size :], size + 1)
        except zlib.error as error:
            raise BitstreamError(f"damaged: {error}") from error
        if len(data) != size or not decompressor.eof:
            raise BitstreamError(f"holds {len(data)} bytes of blocks, {size} were expected")
        means = np.frombuffer(data, dtype=np.uint8).reshape(shape)
        return Image(np.repeat(np.repeat(means, block, axis=0), block, axis=1)[:height, :width])
