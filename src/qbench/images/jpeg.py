"""JPEG (ITU-T T.81): pixels by Pillow's libjpeg-turbo; segments are read here."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from qbench.errors import ImageError
from qbench.images.by_pillow import decode_by_pillow
from qbench.images.decoded import Decoded

FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
SCAN, END, RESTART_INTERVAL, ICC = 0xDA, 0xD9, 0xDD, 0xE2
STANDALONE = {0x01, *range(0xD0, 0xD9)}
MOST_ZEROS = 64
"""Bytes of zero one after another that no entropy coder writes; a file that was not filled has more."""


def decode(data: bytes) -> Decoded:
    """Decode a JPEG.

    A scan that ends too early, with an end marker behind it, can't be told from a whole one in all cases: libjpeg fills
    the rest. Told are those without data or with zeros at the end, and restart markers that are missing.

    Raises:
        ImageError: damaged, too large, or of a kind that is not supported.
    """
    parts, total, interval, restarts = set(), 0, 0, 0
    for marker, body, scan in _segments(data):
        if marker in FRAMES and len(body) >= 6:
            precision, height, width = struct.unpack_from(">BHH", body)
            if precision != 8 and marker != 0xC3:
                raise ImageError(f"{precision}-bit JPEG is not supported")
            if not height:
                raise ImageError("JPEG whose height is stated behind its scan is not supported")
            blocks = _units(body, width, height)
        elif marker == ICC and body.startswith(b"ICC_PROFILE\0") and len(body) > 14:
            parts.add(body[12])
            total = body[13]
        elif marker == RESTART_INTERVAL and len(body) >= 2:
            interval = int.from_bytes(body[:2], "big")
        elif marker == SCAN:
            if not scan or scan.endswith(bytes(MOST_ZEROS)):
                raise ImageError("damaged or truncated: a scan has no data, or ends in zeros")
            numbers = [each[0] & 7 for each in re.findall(rb"\xff([\xd0-\xd7])", scan)]
            if numbers != [index % 8 for index in range(len(numbers))]:
                raise ImageError("damaged: restart markers are missing")
            restarts = len(numbers)
            if interval and body and body[0] > 1 and restarts < (blocks - 1) // interval:
                raise ImageError("damaged: restart markers are missing")
    decoded = decode_by_pillow(data, "JPEG", "MPO")
    if parts != set(range(1, total + 1)):
        decoded.colour = None
        decoded.notes.append("unusable ICC profile ignored")
    return decoded


def _units(frame: bytes, width: int, height: int) -> int:
    """Return the number of MCUs of a scan of all components (A.2.3)."""
    factors = frame[7::3][: frame[5]]
    across = 8 * max((factor >> 4 for factor in factors), default=1)
    down = 8 * max((factor & 15 for factor in factors), default=1)
    return -(-width // max(across, 8)) * -(-height // max(down, 8))


def _segments(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield marker, body and (of a scan) the data behind it, up to the end of the first image."""
    place = 2
    while place + 4 <= len(data):
        if data[place] != 0xFF:
            return  # libjpeg looks for the next marker; nothing that is read here counts then
        marker = data[place + 1]
        if marker == 0xFF:  # may stand before any marker, any number of times (B.1.1.2)
            place += 1
            continue
        if marker in STANDALONE:
            place += 2
            continue
        if marker == END:
            return
        length = max(int.from_bytes(data[place + 2 : place + 4], "big"), 2)
        body, place = data[place + 4 : place + 2 + length], place + 2 + length
        scan = b""
        if marker == SCAN:
            end = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]").search(data, place)
            stop = end.start() if end else len(data)
            scan, place = data[place:stop], stop
        yield marker, body, scan
