"""JPEG XL."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from pydantic import Field, model_validator

from qbench.plugin import Codec, Image, Parameters, RateParameter
from qbench_classical import imagecodec


class JpegXlParameters(Parameters):
    """Settings of libjxl's encoder."""

    quality: float | None = Field(
        None,
        ge=0,
        le=99,
        description="like JPEG's; libjxl maps it to a distance; 90 if no distance is given",
    )
    distance: float | None = Field(
        None, ge=0.05, le=25, description="Butteraugli distance; 1 is about the visibility threshold"
    )
    effort: int = Field(7, ge=1, le=9, description="1 fastest, 9 smallest")
    lossless: bool = Field(False, description="code the pixels exactly; without quality and distance")

    @model_validator(mode="after")
    def _one_rate(self) -> JpegXlParameters:
        if (self.quality is not None) + (self.distance is not None) + self.lossless > 1:
            raise ValueError("quality, distance and lossless are mutually exclusive; give one of them")
        return self

    @property
    def effective_distance(self) -> float:
        """The distance that the settings mean."""
        if self.lossless:
            return 0.0
        if self.distance is not None:
            return self.distance
        quality = 90.0 if self.quality is None else self.quality
        # As JxlEncoderDistanceFromQuality does.
        if quality >= 30:
            return 0.1 + (100 - quality) * 0.09
        return 53 / 3000 * quality**2 - 23 / 20 * quality + 25


class JpegXl(Codec):
    """JPEG XL by libjxl: VarDCT, or modular when lossless."""

    name = "jpeg-xl"
    summary = "JPEG XL by libjxl, lossy or lossless"
    threads = 1
    reference = "ISO/IEC 18181-1 (2022)"
    usual = True
    file_extension = "jxl"
    Parameters: ClassVar = JpegXlParameters

    @property
    def lossless(self) -> bool:
        """As set."""
        lossless: bool = self.parameters.lossless
        return lossless

    def encode(self, image: Image) -> bytes:
        """Encode as a bare codestream."""
        import imagecodecs

        settings = self.parameters
        options: dict[str, Any] = {"effort": settings.effort, "usecontainer": False, "numthreads": 1}
        if settings.lossless:
            return bytes(imagecodecs.jpegxl_encode(image.pixels, lossless=True, **options))
        options["distance"] = settings.effective_distance
        return bytes(imagecodecs.jpegxl_encode(image.pixels, lossless=False, **options))

    def decode(self, bitstream: bytes) -> Image:
        """Decode a codestream."""
        made = imagecodec.decode(bitstream, "jpegxl", "JPEG XL", numthreads=1)
        return Image(made.astype(np.uint8, copy=False))

    @classmethod
    def rate_parameter(cls, parameters: Any) -> RateParameter | None:
        """Distance, where it is lossy."""
        return None if parameters.lossless else RateParameter("distance", 0.05, 25, increasing=False, integer=False)

    @classmethod
    def libraries(cls) -> dict[str, str]:
        """The version of libjxl, and the build that carries it."""
        return imagecodec.libraries_of("libjxl")
