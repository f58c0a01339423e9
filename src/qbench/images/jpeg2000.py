"""JPEG 2000 (ISO/IEC 15444-1): JP2 files and codestreams, by OpenJPEG."""

from __future__ import annotations

import struct

import numpy as np

from qbench.errors import ImageError
from qbench.images.boxes import first
from qbench.images.by_pillow import decode_by_pillow
from qbench.images.decoded import Decoded, IccProfile, from_channels, require_size

CODESTREAM = b"\xff\x4f\xff\x51"
CMYK, SRGB, GREY, SYCC = 12, 16, 17, 18


def decode(data: bytes) -> Decoded:
    """Decode a JPEG 2000 image.

    Raises:
        ImageError: damaged, too large, or of colours or depths that have no conversion here.
    """
    import imagecodecs

    place = data.find(CODESTREAM)
    if place < 0 or place + 42 > len(data):
        raise ImageError("damaged: no JPEG 2000 codestream")
    x1, y1, x0, y0 = struct.unpack_from(">4I", data, place + 8)
    (components,) = struct.unpack_from(">H", data, place + 40)
    require_size(x1 - x0, y1 - y0)
    depths = set(data[place + 42 : place + 42 + 3 * components : 3])
    if len(depths) != 1 or max(depths) >= 16:
        raise ImageError("JPEG 2000 with signed samples, more than 16 bits, or components that differ is not supported")
    bits = max(depths) + 1
    box = b"" if data.startswith(CODESTREAM) else first(data, b"jp2h", b"colr") or b""
    if bits == 8:  # Pillow knows subsampled components and YCbCr; deeper samples it scales wrongly
        decoded = decode_by_pillow(data, "JPEG2000")
    else:
        decoded = from_channels(imagecodecs.jpeg2k_decode(data), (1 << bits) - 1)
    _colours(decoded, box, converted=bits == 8)
    return decoded


def _colours(decoded: Decoded, box: bytes, *, converted: bool) -> None:
    if len(box) < 3:
        return
    if box[0] == 2:  # a restricted ICC profile
        decoded.colour = IccProfile(box[3:])
        return
    (space,) = struct.unpack_from(">I", box, 3) if box[0] == 1 and len(box) >= 7 else (SRGB,)
    if space == SYCC and decoded.model == "RGB" and converted:
        decoded.notes.append("YCbCr converted to RGB")
    elif space == SYCC and decoded.model == "RGB":
        half = (decoded.maximum + 1) // 2
        y, cb, cr = (decoded.samples[..., each].astype(np.float64) for each in range(3))
        rgb = np.stack(
            [y + 1.402 * (cr - half), y - 0.344136 * (cb - half) - 0.714136 * (cr - half), y + 1.772 * (cb - half)],
            axis=-1,
        )
        decoded.samples = rgb.round().clip(0, decoded.maximum).astype(decoded.samples.dtype)
        decoded.notes.append("YCbCr converted to RGB")
    elif space not in (SRGB, GREY, SYCC, CMYK):
        raise ImageError(f"JPEG 2000 of the enumerated colour space {space} has no conversion here")
