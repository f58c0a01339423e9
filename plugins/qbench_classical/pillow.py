"""Coding through Pillow, which carries libjpeg-turbo, zlib-ng and libwebp in its wheels."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image, features

from qbench import BitstreamError, NotApplicable, Pixels


def libjpeg_turbo() -> str:
    """Return the version of libjpeg-turbo that Pillow carries."""
    return str(features.version_feature("libjpeg_turbo"))


def encode(image: Pixels, file_format: str, longest_side: int, **options: Any) -> bytes:
    """Encode with Pillow.

    Raises:
        NotApplicable: a side is longer than the format can say.
    """
    height, width = image.shape[:2]
    if max(height, width) > longest_side:
        raise NotApplicable(f"{width}×{height} pixels; {file_format} codes sides up to {longest_side}")
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format=file_format, **options)
    return buffer.getvalue()


def decode(bitstream: bytes, file_format: str) -> Pixels:
    """Decode with Pillow.

    Raises:
        BitstreamError: not this format, damaged, or absurdly large. The size is checked before the pixels are made.
    """
    try:
        with Image.open(io.BytesIO(bitstream), formats=[file_format]) as opened:
            return np.array(opened.convert("RGB"), dtype=np.uint8)
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise BitstreamError(f"not a {file_format} bitstream that can be decoded: {error}") from error
