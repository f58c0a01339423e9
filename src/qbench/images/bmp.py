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

CORE, V3, OS2, V4, V5 = 12, 56, 64, 108, 124
"""Sizes of headers: OS/2's first; with an alpha mask; OS/2's second; with colours; with an ICC profile."""
RGB, RLE8, RLE4, BITFIELDS, JPEG, PNG, ALPHA_BITFIELDS = 0, 1, 2, 3, 4, 5, 6
CALIBRATED, EMBEDDED, LINKED = 0, 0x4D424544, 0x4C494E4B


def decode(data: bytes) -> Decoded:
    """Decode a BMP.

    Raises:
        ImageError: damaged, too large, or with colours that can't be converted.
    """
    (start,) = struct.unpack_from("<I", data, 10)
    (size,) = struct.unpack_from("<I", data, 14)
    if size == CORE:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
        compression, used = RGB, 0
    elif size >= 40:
        width, height, _, bits, compression = struct.unpack_from("<iiHHI", data, 18)
        (used,) = struct.unpack_from("<I", data, 46)
    else:
        raise ImageError(f"BMP with a header of {size} bytes is not supported")
    require_size(width, abs(height))
    if compression in (JPEG, PNG) and size != OS2:
        raise ImageError("BMP that holds a JPEG or a PNG is not supported")
    if bits in (16, 32) and compression in (RGB, BITFIELDS, ALPHA_BITFIELDS):
        decoded = _masked(data, start, size, bits, compression, width, height)
    elif bits in (1, 2, 4, 8):
        decoded = _indexed(data, start, size, bits, compression, width, height, used)
    else:
        decoded = decode_by_pillow(data, "BMP")
    decoded.colour = _colour(data, size)
    return decoded


def _indexed(
    data: bytes, start: int, size: int, bits: int, compression: int, width: int, height: int, used: int
) -> Decoded:
    """Decode indices into a palette."""
    each = 3 if size == CORE else 4
    count = min(used or 1 << bits, 1 << bits, max(0, start - 14 - size) // each)
    palette = np.frombuffer(data, np.uint8, each * count, 14 + size).reshape(count, each)[:, 2::-1]
    if compression == RGB:
        indices = _rows(data, start, width * bits, height)
        spread = np.unpackbits(indices, axis=1).reshape(abs(height), -1, bits)[:, :width]
        indices = (np.packbits(spread, axis=2)[..., 0] >> (8 - bits)).astype(np.uint8)
    elif compression in (RLE8, RLE4):
        # Pillow makes other modes of black and white or grey palettes; of this one it makes colours that are indices.
        header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(data) - start, 0, 0, 256, 0)
        told = b"".join(bytes([0, 255 - index, index, 0]) for index in range(256))
        whole = b"BM" + struct.pack("<IHHI", 1078 + len(data) - start, 0, 0, 1078) + header + told + data[start:]
        indices = decode_by_pillow(whole, "BMP").samples[..., 0]
    else:
        raise ImageError(f"BMP of {bits} bits with compression {compression} is not supported")
    if int(indices.max()) >= count:
        raise ImageError(f"damaged: it uses colours that its palette of {count} lacks")
    decoded = from_channels(palette[indices], 255)
    decoded.notes.append("palette converted to RGB")
    return decoded


def _rows(data: bytes, start: int, width_bits: int, height: int) -> npt.NDArray[np.uint8]:
    """Return uncompressed rows from top to bottom, without what fills them up to four bytes."""
    stride, used = (width_bits + 31) // 32 * 4, (width_bits + 7) // 8
    if len(data) < start + stride * abs(height):
        raise ImageError("damaged or truncated: the file ends before its samples do")
    rows = np.frombuffer(data, np.uint8, stride * abs(height), start).reshape(abs(height), stride)[:, :used]
    return rows[::-1] if height > 0 else rows


def _masked(data: bytes, start: int, size: int, bits: int, compression: int, width: int, height: int) -> Decoded:
    """Decode samples that masks cut out of words, each with bits of its own."""
    masks: tuple[int, ...] = (0x7C00, 0x3E0, 0x1F) if bits == 16 else (0xFF0000, 0xFF00, 0xFF)
    if compression != RGB:
        known = 4 if size >= V3 or compression == ALPHA_BITFIELDS else 3
        masks = struct.unpack_from(f"<{known}I", data, 54)
    words = np.ascontiguousarray(_rows(data, start, width * bits, height)).view(f"<u{bits // 8}")
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
    if size < V4 or size == OS2:
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
