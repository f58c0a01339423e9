"""PNG."""

from __future__ import annotations

from typing import ClassVar

from PIL import features
from pydantic import Field

from qbench.plugin import Codec, Image, Parameters
from qbench_classical import pillow


class PngParameters(Parameters):
    """Settings of the encoder."""

    level: int = Field(6, ge=0, le=9, description="zlib's compression level; 0 stores")
    optimize: bool = Field(False, description="search harder (sets level 9)")


class Png(Codec):
    """PNG: lossless, DEFLATE over filtered rows."""

    name = "png"
    summary = "PNG, lossless"
    threads = 1
    reference = "ISO/IEC 15948 (2004)"
    file_extension = "png"
    Parameters: ClassVar = PngParameters

    def encode(self, image: Image) -> bytes:
        """Encode as a PNG file."""
        options = self.parameters
        return pillow.encode(image, "PNG", 2**31 - 1, compress_level=options.level, optimize=options.optimize)

    def decode(self, bitstream: bytes) -> Image:
        """Decode a PNG file."""
        return pillow.decode(bitstream, "PNG")

    @property
    def lossless(self) -> bool:
        """Always."""
        return True

    @classmethod
    def libraries(cls) -> dict[str, str]:
        """zlib's version, and zlib-ng's where Pillow has that."""
        versions = {"zlib": str(features.version_codec("zlib"))}
        if features.check_feature("zlib_ng"):
            versions["zlib-ng"] = str(features.version_feature("zlib_ng"))
        return versions
