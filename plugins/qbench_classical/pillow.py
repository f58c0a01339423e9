"""Coding through Pillow, which carries libjpeg-turbo, zlib-ng and libwebp in its wheels."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image as PillowImage
from PIL import UnidentifiedImageError, features

from qbench.plugin import BitstreamError, Image, Pixels
from qbench.toolkit.limits import require_sides


def libjpeg_turbo() -> str:
    """Return the version of libjpeg-turbo that Pillow carries."""
    return str(features.version_feature("libjpeg_turbo"))


def encode(image: Image, file_format: str, longest_side: int, **options: Any) -> bytes:
    """Encode with Pillow.

    Raises:
        NotApplicable: a side is longer than the format can say.
    """
    require_sides(image, longest_side, file_format)
    return encode_pixels(image.pixels, file_format, **options)


def encode_pixels(pixels: Pixels, file_format: str, **options: Any) -> bytes:
    """Encode uint8, H×W×3, with Pillow."""
    buffer = io.BytesIO()
    PillowImage.fromarray(pixels).save(buffer, format=file_format, **options)
    return buffer.getvalue()


def decode(bitstream: bytes, file_format: str) -> Image:
    """Decode with Pillow.

    Raises:
        BitstreamError: not this format, damaged, or absurdly large. The size is checked before the pixels are made.
    """
    try:
        with PillowImage.open(io.BytesIO(bitstream), formats=[file_format]) as opened:
            return Image(np.array(opened if opened.mode == "RGB" else opened.convert("RGB"), dtype=np.uint8))
    except (OSError, ValueError, SyntaxError, EOFError, PillowImage.DecompressionBombError) as error:
        reason = "Pillow can't identify it" if isinstance(error, UnidentifiedImageError) else str(error)
        raise BitstreamError(f"not a {file_format} bitstream that can be decoded: {reason}") from error
