"""JPEG."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from qbench.plugin import Codec, Image, Parameters, RateParameter
from qbench_classical import pillow


class JpegParameters(Parameters):
    """Settings of libjpeg's encoder."""

    quality: int = Field(75, ge=1, le=100, description="scale of the quantisation tables, libjpeg's 1 to 100")
    subsampling: Literal["4:4:4", "4:2:2", "4:2:0"] = Field("4:2:0", description="chroma subsampling")
    progressive: bool = Field(False, description="progressive instead of baseline scans; usually smaller")
    optimize: bool = Field(False, description="Huffman tables made for this image; same pixels, smaller")


class Jpeg(Codec):
    """Baseline or progressive JPEG by libjpeg-turbo, with the standard's quantisation tables."""

    name = "jpeg"
    summary = "JPEG by libjpeg-turbo"
    usual_anchor = True
    threads = 1
    reference = "ISO/IEC 10918-1 | ITU-T T.81 (1992)"
    usual = True
    file_extension = "jpg"
    Parameters: ClassVar = JpegParameters

    def encode(self, image: Image) -> bytes:
        """Encode as a JFIF file."""
        return pillow.encode(image, "JPEG", 65_535, **self.parameters.model_dump())

    def decode(self, bitstream: bytes) -> Image:
        """Decode a JFIF file."""
        return pillow.decode(bitstream, "JPEG")

    @classmethod
    def rate_parameter(cls, parameters: Any) -> RateParameter | None:
        """Quality."""
        return RateParameter("quality", 1, 100)

    @classmethod
    def libraries(cls) -> dict[str, str]:
        """libjpeg-turbo's version."""
        return {"libjpeg-turbo": pillow.libjpeg_turbo()}


class ThesisJpeg(Jpeg):
    """JPEG as the baseline of Minchev 2022: the image is stretched from its darkest to its lightest value first.

    That changes the image before it is coded, which counts as an error of the codec. Use ``jpeg`` for everything
    but a comparison with the thesis's tables.
    """

    name = "jpeg-thesis-exact"
    summary = "JPEG of the image stretched min to max, as in Minchev 2022"
    reference = "Minchev 2022, baseline script"
    usual = usual_anchor = False

    def encode(self, image: Image) -> bytes:
        """Stretch, and encode as a JFIF file."""
        values = image.pixels.astype(np.float64) - image.pixels.min()
        stretched = np.rint(255 * values / max(1.0, values.max())).astype(np.uint8)
        return super().encode(Image(stretched))
