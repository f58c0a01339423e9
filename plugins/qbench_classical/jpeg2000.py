"""JPEG 2000."""

from __future__ import annotations

from typing import Any, ClassVar

from PIL import features
from pydantic import Field, model_validator

from qbench.plugin import Codec, Image, Parameters, RateParameter
from qbench_classical import pillow


class Jpeg2000Parameters(Parameters):
    """Settings of OpenJPEG's encoder."""

    psnr: float | None = Field(None, ge=10, le=80, description="target PSNR in dB; 35 if none of the others is given")
    bpp: float | None = Field(None, ge=0.01, le=24, description="target rate in bits per pixel, never exceeded")
    resolutions: int = Field(6, ge=1, le=20, description="wavelet resolutions; fewer if the image is too small")
    lossless: bool = Field(False, description="code the pixels exactly (reversible 5/3 wavelet); without psnr and bpp")

    @model_validator(mode="after")
    def _one_rate(self) -> Jpeg2000Parameters:
        if (self.psnr is not None) + (self.bpp is not None) + self.lossless > 1:
            raise ValueError("psnr, bpp and lossless are mutually exclusive; give one of them")
        return self


class Jpeg2000(Codec):
    """JPEG 2000 by OpenJPEG: a JP2 codestream with the irreversible 9/7 wavelet, or the reversible one."""

    name = "jpeg2000"
    summary = "JPEG 2000 by OpenJPEG, lossy or lossless"
    threads = 1
    reference = "ISO/IEC 15444-1 | ITU-T T.800 (2000)"
    file_extension = "j2k"
    Parameters: ClassVar = Jpeg2000Parameters

    @property
    def lossless(self) -> bool:
        """As set."""
        lossless: bool = self.parameters.lossless
        return lossless

    def encode(self, image: Image) -> bytes:
        """Encode as a bare codestream."""
        settings = self.parameters
        shorter = min(image.shape[:2])
        options: dict[str, Any] = {
            "num_resolutions": min(settings.resolutions, shorter.bit_length()),
            "no_jp2": True,
            "mct": 1,
        }
        if settings.lossless:
            options["irreversible"] = False
        elif settings.bpp is not None:
            options |= {"irreversible": True, "quality_mode": "rates", "quality_layers": [24 / settings.bpp]}
        else:
            options |= {"irreversible": True, "quality_mode": "dB", "quality_layers": [settings.psnr or 35.0]}
        return pillow.encode(image, "JPEG2000", 2**31 - 1, **options)

    def decode(self, bitstream: bytes) -> Image:
        """Decode a codestream."""
        return pillow.decode(bitstream, "JPEG2000")

    @classmethod
    def rate_parameter(cls, parameters: Any) -> RateParameter | None:
        """Its own rate control, where it is lossy."""
        return None if parameters.lossless else RateParameter("bpp", 0.02, 20, integer=False)

    @classmethod
    def libraries(cls) -> dict[str, str]:
        """The version of OpenJPEG."""
        return {"OpenJPEG": str(features.version_codec("jpg_2000"))}
