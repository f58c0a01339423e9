"""Coding through imagecodecs, which carries libavif, libjxl and others in its wheels."""

from __future__ import annotations

from typing import Any

import numpy as np

from qbench.plugin import BitstreamError, Pixels
from qbench.toolkit.builds import build_of


def decode(bitstream: bytes, name: str, file_format: str, **options: Any) -> np.ndarray[Any, Any]:
    """Decode with imagecodecs' decoder of that name.

    Returns:
        H×W×3, uint8 or uint16.

    Raises:
        BitstreamError: not this format, damaged, or not an RGB image.
    """
    import imagecodecs

    try:
        made = np.asarray(getattr(imagecodecs, f"{name}_decode")(bitstream, **options))
    except (RuntimeError, ValueError, TypeError, OSError, MemoryError, OverflowError) as error:
        raise BitstreamError(f"not a {file_format} bitstream that can be decoded: {error}") from error
    if made.ndim == 2:
        made = np.repeat(made[..., None], 3, axis=2)
    if made.ndim != 3 or made.shape[2] not in (3, 4) or made.dtype.kind != "u":
        raise BitstreamError(
            f"the {file_format} bitstream holds {made.dtype} values of shape {made.shape}, not an RGB image"
        )
    return np.ascontiguousarray(made[..., :3])


def widened(image: Pixels, depth: int) -> np.ndarray[Any, Any]:
    """Return 8-bit values as values of ``depth`` bits, white being white."""
    if depth == 8:
        return image
    wide: np.ndarray[Any, Any] = np.rint(image * ((2**depth - 1) / 255)).astype(np.uint16)
    return wide


def narrowed(values: np.ndarray[Any, Any], depth: int) -> Pixels:
    """Return values of ``depth`` bits as 8-bit values, rounded."""
    if depth == 8:
        return values.astype(np.uint8, copy=False)
    narrow: Pixels = np.rint(np.minimum(values, 2**depth - 1) * (255 / (2**depth - 1))).astype(np.uint8)
    return narrow


def version_of(library: str) -> str:
    """Return the version of a library that imagecodecs carries."""
    import imagecodecs

    return str(imagecodecs.version(dict).get(library, "unknown"))


def libraries_of(library: str) -> dict[str, str]:
    """Return what decides the bytes of an encoder that imagecodecs carries.

    Beside its version the build of the whole package: what is inside the encoder, such as libavif's AV1 encoder, tells
    no version.
    """
    return {library: version_of(library), "imagecodecs": build_of("imagecodecs")}
