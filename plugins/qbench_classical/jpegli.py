"""JPEG by jpegli."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from qbench.plugin import Codec, Image, Parameters, RateParameter
from qbench.toolkit.limits import require_sides
from qbench_classical import optional, pillow

LONGEST_SIDE = 65_535


class JpegliParameters(Parameters):
    """Settings of jpegli's encoder."""

    quality: int = Field(75, ge=1, le=100, description="like libjpeg's, with jpegli's own tables")


class Jpegli(Codec):
    """JPEG by jpegli: adaptive quantisation within the old format. Needs ``pip install 'qbench[jpegli]'``.

    It decodes with libjpeg-turbo, as browsers do: jpegli's own decoder would gain a little more.
    """

    name = "jpegli"
    summary = "JPEG by Google's jpegli; pip install 'qbench[jpegli]'"
    threads = 1
    reference = "ISO/IEC 10918-1 | ITU-T T.81 (1992)"
    file_extension = "jpg"
    Parameters: ClassVar = JpegliParameters

    def encode(self, image: Image) -> bytes:
        """Encode as a JFIF file."""
        require_sides(image, LONGEST_SIDE, "JPEG")
        return bytes(_library().encode(image.pixels, image.width, image.height, quality=self.parameters.quality))

    def decode(self, bitstream: bytes) -> Image:
        """Decode a JFIF file."""
        return pillow.decode(bitstream, "JPEG")

    @classmethod
    def rate_parameter(cls, parameters: Any) -> RateParameter | None:
        """Quality."""
        return RateParameter("quality", 1, 100)

    @classmethod
    def libraries(cls) -> dict[str, str]:
        """The versions of jpegli's binding, which carries it, and of the decoder."""
        return {
            "pyjpegli": optional.version_of("pyjpegli", "pyjpegli", cls.name, "jpegli"),
            "libjpeg-turbo": pillow.libjpeg_turbo(),
        }


def _library() -> Any:
    return optional.required("pyjpegli", "pyjpegli", Jpegli.name, "jpegli")
