"""AVIF."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from qbench.plugin import BitstreamError, Codec, Image, Parameters, RateParameter
from qbench.toolkit.limits import require_sides
from qbench_classical import imagecodec

LONGEST_SIDE = 65_536


class AvifParameters(Parameters):
    """Settings of libavif's encoder."""

    quality: int = Field(60, ge=0, le=100, description="libavif's 0 to 100; ignored when lossless")
    speed: int = Field(6, ge=0, le=10, description="0 slowest and smallest, 10 fastest")
    subsampling: Literal["4:4:4", "4:2:2", "4:2:0"] = Field("4:2:0", description="chroma subsampling")
    depth: Literal[8, 10, 12] = Field(
        8, description="bits per sample in the bitstream; 10 often codes 8-bit images more efficiently"
    )
    lossless: bool = Field(False, description="code the pixels exactly (4:4:4, 8 bits)")


class Avif(Codec):
    """AVIF by libavif: an AV1 key frame. Which encoder it uses (libaom, SVT-AV1) is libavif's choice."""

    name = "avif"
    summary = "AVIF by libavif, lossy or lossless"
    threads = 1
    reference = "AV1 Image File Format, AOMedia 2022"
    usual = True
    file_extension = "avif"
    Parameters: ClassVar = AvifParameters

    @property
    def lossless(self) -> bool:
        """As set."""
        lossless: bool = self.parameters.lossless
        return lossless

    def encode(self, image: Image) -> bytes:
        """Encode as an AVIF file."""
        import imagecodecs

        require_sides(image, LONGEST_SIDE, "AVIF")
        settings = self.parameters
        options: dict[str, Any] = {"speed": settings.speed, "numthreads": 1}
        if settings.lossless:
            # Without the transform to YCbCr, which would round.
            options |= {"level": 100, "pixelformat": "444", "matrix": imagecodecs.AVIF.MATRIX_COEFFICIENTS.IDENTITY}
            return bytes(imagecodecs.avif_encode(image.pixels, **options))
        options |= {"level": settings.quality, "pixelformat": settings.subsampling.replace(":", "")}
        samples = imagecodec.widened(image.pixels, settings.depth)
        return bytes(imagecodecs.avif_encode(samples, bitspersample=settings.depth, **options))

    def decode(self, bitstream: bytes) -> Image:
        """Decode an AVIF file."""
        made = imagecodec.decode(bitstream, "avif", "AVIF", numthreads=1)
        return Image(made if made.dtype == np.uint8 else imagecodec.narrowed(made, _depth(bitstream)))

    @classmethod
    def rate_parameter(cls, parameters: Any) -> RateParameter | None:
        """Quality, where it is lossy."""
        return None if parameters.lossless else RateParameter("quality", 0, 100)

    @classmethod
    def libraries(cls) -> dict[str, str]:
        """The version of libavif, and the build that carries it with its AV1 encoder."""
        return imagecodec.libraries_of("libavif")


def _depth(bitstream: bytes) -> int:
    """Read the bits of a sample from the AV1 configuration box."""
    place = bitstream.find(b"av1C")
    if place < 0 or place + 7 > len(bitstream):
        raise BitstreamError("the AVIF bitstream has no AV1 configuration")
    flags = bitstream[place + 6]  # after the box's name: version, profile and level, then these
    return 12 if flags & 0x20 else 10 if flags & 0x40 else 8
