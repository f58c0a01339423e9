"""Colours as an AV1 sequence header states them (AV1 Bitstream & Decoding Process Specification, 5.5)."""

from __future__ import annotations

from qbench.images.decoded import CodePoints

SEQUENCE_HEADER = 1


def code_points(stream: bytes) -> CodePoints | None:
    """Return what the sequence header that a stream begins with says of colours; None if nothing, or there is none."""
    if len(stream) < 2 or (stream[0] >> 3) & 15 != SEQUENCE_HEADER:
        return None
    place = 1 + (stream[0] >> 2 & 1)  # behind the OBU's header and its extension
    if stream[0] >> 1 & 1:  # its size, in groups of seven bits
        while place < len(stream) and stream[place] & 0x80:
            place += 1
        place += 1
    try:
        return _colours(_Bits(stream[place : place + 100]))
    except EOFError:
        return None


class _Bits:
    """Reads bits, the highest of each byte first."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data, "big"), 8 * len(data)

    def __call__(self, count: int = 1) -> int:
        if count > self._left:
            raise EOFError
        self._left -= count
        return self._value >> self._left & ((1 << count) - 1)


def _colours(bits: _Bits) -> CodePoints | None:
    profile, _, reduced = bits(3), bits(), bits()
    if reduced:
        bits(5)
    else:
        _operating_points(bits)
    width, height = bits(4) + 1, bits(4) + 1
    bits(width + height)
    if not reduced and bits():  # frame ids
        bits(7)
    bits(3)
    if not reduced:
        _tools(bits)
    bits(3)
    deep = bits()
    if profile == 2 and deep:
        bits()
    if profile != 1:
        bits()  # monochrome
    if not bits():
        return None
    primaries, transfer = bits(8), bits(8)
    return CodePoints(primaries, transfer)


def _operating_points(bits: _Bits) -> None:
    delay_length = 0
    if bits():  # timing
        bits(64)
        if bits():
            zeros = 0
            while not bits():
                zeros += 1
            bits(zeros)
        if bits():  # a decoder model
            delay_length = bits(5) + 1
            bits(42)
    display_delay = bits()
    for _ in range(bits(5) + 1):
        bits(12)
        if bits(5) > 7:
            bits()
        if delay_length and bits():
            bits(2 * delay_length + 1)
        if display_delay and bits():
            bits(4)


def _tools(bits: _Bits) -> None:
    bits(4)
    order_hint = bits()
    if order_hint:
        bits(2)
    screen_content = 2 if bits() else bits()
    if screen_content and not bits():
        bits()
    if order_hint:
        bits(3)
