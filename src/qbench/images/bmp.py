"""BMP (Windows GDI, up to BITMAPV5HEADER): header, masks and colours are read here, the rest by Pillow."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import numpy.typing as npt

from qbench.errors import ImageError
from qbench.images.by_pillow import decode_by_pillow
from qbench.images.colour import BT709, rescaled
from qbench.images.decoded import (
    ColourDescription,
    Decoded,
    GammaAndPrimaries,
    IccProfile,
    from_channels,
    require_size,
)

V3, V4, V5 = 56, 108, 124
"""Sizes of headers with an alpha mask, with colours, and with an ICC profile."""
RGB, BITFIELDS, ALPHA_BITFIELDS = 0, 3, 6
CALIBRATED, EMBEDDED, LINKED = 0, 0x4D424544, 0x4C494E4B


def decode(data: bytes) -> Decoded:
    """Decode a BMP.

    Raises:
        ImageError: damaged, too large, or with colours that can't be converted.
    """
    (start,) = struct.unpack_from("<I", data, 10)
    (size,) = struct.unpack_from("<I", data, 14)
    if size < 40:
        return decode_by_pillow(data, "BMP")
    width, height, _, bits, compression = struct.unpack_from("<iiHHI", data, 18)
    require_size(width, abs(height))
    if bits in (16, 32) and compression in (RGB, BITFIELDS, ALPHA_BITFIELDS):
        decoded = _masked(data, start, size, bits, compression, width, height)
    else:
        decoded = decode_by_pillow(data, "BMP")
    decoded.colour = _colour(data, size)
    return decoded


def _masked(data: bytes, start: int, size: int, bits: int, compression: int, width: int, height: int) -> Decoded:
    """Decode samples that masks cut out of words, each with bits of its own."""
    masks: tuple[int, ...] = (0x7C00, 0x3E0, 0x1F) if bits == 16 else (0xFF0000, 0xFF00, 0xFF)
    if compression != RGB:
        known = 4 if size >= V3 or compression == ALPHA_BITFIELDS else 3
        masks = struct.unpack_from(f"<{known}I", data, 54)
    stride = (width * bits // 8 + 3) // 4 * 4
    if len(data) < start + stride * abs(height):
        raise ImageError("damaged or truncated: the file ends before its samples do")
    rows = np.frombuffer(data, np.uint8, stride * abs(height), start).reshape(abs(height), stride)
    words = np.ascontiguousarray(rows[:, : width * bits // 8]).view(f"<u{bits // 8}")
    words = words[::-1] if height > 0 else words
    depths = [mask.bit_count() for mask in masks]
    if not all(depths[:3]):
        raise ImageError("damaged: a mask of a colour is empty")
    most = 255 if max(depths) <= 8 else 65_535
    samples = np.stack([_cut_out(words, mask, most) for mask in masks if mask], axis=-1)
    decoded = from_channels(samples, most)
    if set(depths[:3]) != {most.bit_length()}:
        decoded.notes.append(f"samples of {'-'.join(map(str, depths[:3]))} bits widened")
    return decoded


def _cut_out(words: npt.NDArray[Any], mask: int, most: int) -> npt.NDArray[Any]:
    shift = (mask & -mask).bit_length() - 1
    whole = mask >> shift
    if whole & (whole + 1) or whole.bit_length() > 16:
        raise ImageError("BMP with masks of scattered bits, or of more than 16, is not supported")
    return rescaled((words & mask) >> shift, whole, most)


def _colour(data: bytes, size: int) -> ColourDescription | None:
    if size < V4:
        return None
    (kind,) = struct.unpack_from("<I", data, 14 + 56)
    if kind == LINKED:
        raise ImageError("its colour profile is in another file; embed it or convert the file")
    if kind == EMBEDDED and size >= V5:
        place, length = struct.unpack_from("<II", data, 14 + 112)
        return IccProfile(data[14 + place : 14 + place + length])
    if kind != CALIBRATED:  # sRGB, or Windows' own, which is the same
        return None
    ends = np.array(struct.unpack_from("<9i", data, 14 + 60), np.float64).reshape(3, 3) / 2**30
    gammas = [each / 2**16 for each in struct.unpack_from("<3I", data, 14 + 96)]
    if not ends.any() and not any(gammas):
        return None  # nothing is stated
    if len(set(gammas)) > 1:
        raise ImageError("BMP with a gamma of each colour's own is not supported")
    gamma = gammas[0] or None
    # Programs write the exponent of either direction: 2.2 to light, or 0.4545 to samples.
    return GammaAndPrimaries(1 / gamma if gamma and gamma > 1 else gamma, _chromaticities(ends) if ends.any() else None)


def _chromaticities(ends: npt.NDArray[np.float64]) -> tuple[float, ...]:
    """Return x and y of white and primaries, which programs write as XYZ or, adding up to 1 each, as xyz."""
    sums = ends.sum(axis=1)
    white = np.array([*BT709[:2], 0]) if np.abs(sums - 1).max() < 0.02 else ends.sum(axis=0) / max(ends.sum(), 1e-9)
    places = np.concatenate([white[:2], *(end[:2] / max(total, 1e-9) for end, total in zip(ends, sums, strict=True))])
    return tuple(map(float, places))
