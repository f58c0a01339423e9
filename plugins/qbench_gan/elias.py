"""Elias omega coding of positive integers (Elias 1975, IEEE Trans. Inf. Theory 21)."""

from __future__ import annotations

from collections.abc import Iterable

from qbench.plugin import BitstreamError

LARGEST = 1 << 32
"""Larger numbers are refused when decoding: no sender of ours writes them."""


def omega(number: int) -> str:
    """Return the code of a number from 1 up, as a text of 0 and 1."""
    if number < 1:
        raise ValueError(f"Elias omega coding begins at 1, not {number}")
    code = "0"
    while number > 1:
        group = f"{number:b}"
        code = group + code
        number = len(group) - 1
    return code


class BitReader:
    """Reads single bits, integers and omega codes from bytes, highest bit first."""

    def __init__(self, data: bytes) -> None:
        self._bits = int.from_bytes(b"\x01" + data, "big")
        self._left = 8 * len(data)

    def bits(self, count: int) -> int:
        """Read an integer of so many bits.

        Raises:
            BitstreamError: there are not so many left.
        """
        if count > self._left:
            raise BitstreamError("the bitstream ends too early")
        self._left -= count
        return (self._bits >> self._left) & ((1 << count) - 1)

    def omega(self) -> int:
        """Read an omega code.

        Raises:
            BitstreamError: the bits end, or the number is larger than any that is written.
        """
        number = 1
        while self.bits(1):
            if number >= LARGEST.bit_length():
                raise BitstreamError("an Elias code in the bitstream is too large")
            number = (1 << number) | self.bits(number)
        return number


def pack(bits: Iterable[str]) -> bytes:
    """Join texts of 0 and 1 into bytes; the last is filled with zeros."""
    joined = "".join(bits)
    joined += "0" * (-len(joined) % 8)
    return int("1" + joined, 2).to_bytes(len(joined) // 8 + 1, "big")[1:]
