"""JPEG XL (ISO/IEC 18181), by libjxl; what its header says of colours is read here (18181-1, annexes D and E)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qbench.errors import ImageError
from qbench.images.boxes import boxes
from qbench.images.decoded import (
    CodePoints,
    ColourDescription,
    Decoded,
    GammaAndPrimaries,
    from_channels,
    require_described,
    require_size,
)

CODESTREAM = b"\xff\x0a"
CONTAINER = b"\x00\x00\x00\x0cJXL \r\n\x87\n"
RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
WHITES = {1: (0.3127, 0.3290), 10: (1 / 3, 1 / 3), 11: (0.314, 0.351)}
PRIMARIES = {
    1: (0.639998686, 0.330010138, 0.300003784, 0.600003357, 0.150002046, 0.059997204),
    9: (0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    11: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
}


@dataclass(frozen=True)
class Header:
    """What is known before decoding."""

    width: int
    height: int
    bits: int
    colour: ColourDescription | None
    alpha_associated: bool
    animated: bool


def decode(data: bytes) -> Decoded:
    """Decode a JPEG XL image, the first frame of an animation.

    Raises:
        ImageError: damaged, too large, of high dynamic range, or with an ICC profile.
    """
    import imagecodecs

    header = read_header(data)
    require_size(header.width, header.height)
    require_described(header.colour)
    samples = imagecodecs.jpegxl_decode(data, index=0)
    if samples.dtype not in (np.uint8, np.uint16):
        raise ImageError(f"JPEG XL with samples of type {samples.dtype} has no agreed conversion to 8 bits")
    decoded = from_channels(samples, (1 << min(header.bits, 16)) - 1)
    decoded.colour = header.colour
    if header.animated:
        decoded.notes.append("first frame of an animation")
    decoded.premultiplied = header.alpha_associated and decoded.alpha is not None
    return decoded


def read_header(data: bytes) -> Header:
    """Read size, depth and colours.

    Raises:
        ImageError: not a header that an encoder writes, or colours by an ICC profile.
    """
    if data.startswith(CONTAINER):
        parts = [body[4:] if kind == b"jxlp" else body for kind, body in boxes(data) if kind in (b"jxlc", b"jxlp")]
        data = b"".join(parts)
    if not data.startswith(CODESTREAM):
        raise ImageError("damaged: no JPEG XL codestream")
    return _read(_Bits(data[2:4096]))


class _Bits:
    """Reads bits, the lowest of each byte first."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data, "little"), 8 * len(data)

    def __call__(self, count: int) -> int:
        if count > self._left:
            raise ImageError("damaged or truncated: the JPEG XL header ends too early")
        found = self._value & ((1 << count) - 1)
        self._value >>= count
        self._left -= count
        return found

    def choice(self, *options: tuple[int, int]) -> int:
        """Read a U32: two bits choose bits and offset."""
        count, offset = options[self(2)]
        return self(count) + offset

    def enum(self) -> int:
        return self.choice((0, 0), (0, 1), (4, 2), (6, 18))


def _read(bits: _Bits) -> Header:
    width, height = _size(bits)
    depth, colour, associated, animated = 8, None, False, False
    if not bits(1):  # not all_default
        if bits(1):  # extra fields: orientation, which libjxl applies; preview; animation
            bits(3)
            if bits(1):  # an intrinsic size
                _size(bits)
            if bits(1):
                _preview(bits)
            animated = bool(bits(1))
            if animated:
                _animation(bits)
        depth = _depth(bits)
        bits(1)  # modular_16bit_buffers
        for _ in range(bits.choice((0, 0), (0, 1), (4, 2), (12, 1))):
            associated |= _extra_channel(bits)
        bits(1)  # xyb_encoded
        colour = _colour(bits)
    return Header(width, height, depth, colour, associated, animated)


def _size(bits: _Bits) -> tuple[int, int]:
    small = bits(1)
    sizes = ((9, 1), (13, 1), (18, 1), (30, 1))
    height = (bits(5) + 1) * 8 if small else bits.choice(*sizes)
    ratio = bits(3)
    if ratio:
        across, down = RATIOS[ratio - 1]
        return height * across // down, height
    return ((bits(5) + 1) * 8 if small else bits.choice(*sizes)), height


def _preview(bits: _Bits) -> None:
    eighths = bits(1)
    sizes = ((0, 16), (0, 32), (5, 1), (9, 33)) if eighths else ((6, 1), (8, 65), (10, 321), (12, 1345))
    bits.choice(*sizes)
    if not bits(3):
        bits.choice(*sizes)


def _animation(bits: _Bits) -> None:
    bits.choice((0, 100), (0, 1000), (10, 1), (30, 1))
    bits.choice((0, 1), (0, 1001), (8, 1), (10, 1))
    bits.choice((0, 0), (3, 0), (16, 0), (32, 0))
    bits(1)


def _depth(bits: _Bits) -> int:
    if bits(1):
        raise ImageError("JPEG XL with floating-point samples has no agreed conversion to 8 bits")
    return bits.choice((0, 8), (0, 10), (0, 12), (6, 1))


def _extra_channel(bits: _Bits) -> bool:
    """Read an extra channel; say whether it is an alpha that colours are multiplied by."""
    if bits(1):  # all_default: an alpha that they are not multiplied by
        return False
    kind = bits.enum()
    _depth(bits)
    bits.choice((0, 0), (0, 3), (0, 4), (3, 1))
    length = bits.choice((0, 0), (4, 0), (5, 16), (10, 48))
    for _ in range(length):
        bits(8)
    if kind == 0:
        return bool(bits(1))
    if kind == 4:
        raise ImageError("JPEG XL of CMYK is not supported")
    if kind == 2:  # a spot colour
        bits(64)
    elif kind == 5:  # a colour filter array
        bits.choice((0, 1), (2, 0), (4, 3), (8, 19))
    return False


def _colour(bits: _Bits) -> ColourDescription | None:
    if bits(1):  # all_default: sRGB
        return None
    if bits(1):
        raise ImageError("JPEG XL with an ICC profile is not supported; convert it to PNG with djxl first")
    space = bits.enum()  # 0 RGB, 1 grey, 2 XYB, 3 unknown
    if space > 1:
        raise ImageError("JPEG XL of colours other than RGB or grey is not supported")
    kind = bits.enum()
    white = (_place(bits), _place(bits)) if kind == 2 else WHITES.get(kind)
    primaries: tuple[float, ...] | None = PRIMARIES[1]
    if space == 0:
        kind = bits.enum()
        primaries = tuple(_place(bits) for _ in range(6)) if kind == 2 else PRIMARIES.get(kind)
    if white is None or primaries is None:
        raise ImageError("damaged: JPEG XL with an unknown white point or unknown primaries")
    chromaticities = (*white, *primaries)
    if bits(1):
        return GammaAndPrimaries(bits(24) / 1e7, chromaticities)
    transfer = bits.enum()
    if transfer in (16, 18):
        return CodePoints(9, transfer)
    if transfer == 13:
        return GammaAndPrimaries(None, chromaticities)
    if transfer == 8:
        return GammaAndPrimaries(1.0, chromaticities)
    raise ImageError(f"JPEG XL with transfer function {transfer} of ITU-T H.273 is not supported")


def _place(bits: _Bits) -> float:
    """Read a coordinate of a chromaticity."""
    packed = bits.choice((19, 0), (19, 524_288), (20, 1_048_576), (21, 2_097_152))
    return (packed // 2 if packed % 2 == 0 else -(packed // 2) - 1) / 1e6
