"""WebP."""

from __future__ import annotations

from typing import Any, ClassVar

from PIL import features
from pydantic import Field

from qbench.plugin import Codec, Image, Parameters, RateParameter
from qbench_classical import pillow


class WebPParameters(Parameters):
    """Settings of libwebp's encoder."""

    quality: int = Field(75, ge=0, le=100, description="lossy: quality; lossless: effort")
    method: int = Field(4, ge=0, le=6, description="speed against size, 0 fastest")
    lossless: bool = Field(False, description="code the pixels exactly")


class WebP(Codec):
    """WebP by libwebp: VP8 key frames, or the lossless format. Lossy WebP is always 4:2:0."""

    name = "webp"
    summary = "WebP by libwebp, lossy or lossless"
    threads = 1
    reference = "RFC 9649 (2024)"
    usual = True
    file_extension = "webp"
    Parameters: ClassVar = WebPParameters

    @property
    def lossless(self) -> bool:
        """As set."""
        lossless: bool = self.parameters.lossless
        return lossless

    def encode(self, image: Image) -> bytes:
        """Encode as a WebP file."""
        return pillow.encode(image, "WEBP", 16_383, **self.parameters.model_dump())

    def decode(self, bitstream: bytes) -> Image:
        """Decode a WebP file."""
        return pillow.decode(bitstream, "WEBP")

    @classmethod
    def rate_parameter(cls, parameters: Any) -> RateParameter | None:
        """Quality, where it is lossy."""
        return None if parameters.lossless else RateParameter("quality", 0, 100)

    @classmethod
    def libraries(cls) -> dict[str, str]:
        """libwebp's version."""
        return {"libwebp": str(features.version_module("webp"))}
