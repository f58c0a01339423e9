"""HEIC."""

from __future__ import annotations

import io
from typing import Any, ClassVar, Literal

import numpy as np
from PIL import Image as PillowImage
from pydantic import Field

from qbench.plugin import BitstreamError, Codec, Image, Parameters, RateParameter
from qbench.toolkit.builds import build_of
from qbench.toolkit.limits import require_sides
from qbench_classical import optional

LONGEST_SIDE = 16_384


class HeicParameters(Parameters):
    """Settings of libheif and x265."""

    quality: int = Field(50, ge=0, le=100, description="libheif's 0 to 100")
    subsampling: Literal["4:4:4", "4:2:2", "4:2:0"] = Field("4:2:0", description="chroma subsampling")
    preset: Literal["ultrafast", "fast", "medium", "slow", "slower", "veryslow"] = Field(
        "slow", description="x265's preset: speed against size"
    )


class Heic(Codec):
    """HEIC by libheif and x265: an HEVC key frame. Needs ``pip install 'qbench[heif]'``."""

    name = "heic"
    summary = "HEIC by libheif and x265; pip install 'qbench[heif]'"
    reference = "ISO/IEC 23008-12 (2017)"
    file_extension = "heic"
    Parameters: ClassVar = HeicParameters

    def encode(self, image: Image) -> bytes:
        """Encode as a HEIC file."""
        require_sides(image, LONGEST_SIDE, "HEIC by x265")
        settings = self.parameters
        container = _library().from_pillow(PillowImage.fromarray(image.pixels))
        buffer = io.BytesIO()
        container.save(
            buffer,
            quality=settings.quality,
            chroma=settings.subsampling.replace(":", ""),
            enc_params={"preset": settings.preset},
        )
        return buffer.getvalue()

    def decode(self, bitstream: bytes) -> Image:
        """Decode a HEIC file."""
        try:
            opened = _library().open_heif(io.BytesIO(bitstream), convert_hdr_to_8bit=True)
            return Image(np.array(opened.to_pillow().convert("RGB"), np.uint8))
        except (OSError, ValueError, RuntimeError, EOFError, SyntaxError, MemoryError, LookupError) as error:
            raise BitstreamError(f"not a HEIC bitstream that can be decoded: {error}") from error

    @classmethod
    def rate_parameter(cls, parameters: Any) -> RateParameter | None:
        """Quality."""
        return RateParameter("quality", 0, 100)

    @classmethod
    def libraries(cls) -> dict[str, str]:
        """The versions of pillow-heif, libheif and x265."""
        info: dict[str, Any] = _library().libheif_info()
        versions = {
            "pillow-heif": build_of("pillow-heif"),
            "libheif": str(info["libheif"]),
        }
        return versions | {"encoder": str(info.get("HEIF"))}


def _library() -> Any:
    return optional.required("pillow_heif", "pillow-heif", Heic.name, "heif")
