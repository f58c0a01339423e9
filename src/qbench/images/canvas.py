"""GIF and WebP: formats whose first frame need not fill the canvas."""

from __future__ import annotations

import struct

import numpy as np

from qbench.errors import ImageError
from qbench.images.by_pillow import decode_by_pillow
from qbench.images.decoded import Decoded

Rectangle = tuple[int, int, int, int]
"""Left, top, width and height."""


def decode_gif(data: bytes) -> Decoded:
    """Decode the first frame of a GIF (GIF89a, CompuServe 1990).

    Raises:
        ImageError: damaged, too large, or without a palette. Pillow's own errors are passed on.
    """
    frame, has_colours = _first_gif_frame(data)
    if not has_colours:
        raise ImageError("GIF without a palette has no defined colours")
    return _around(decode_by_pillow(data, "GIF"), frame)


def decode_webp(data: bytes) -> Decoded:
    """Decode a WebP (RFC 9649), the first frame of an animation.

    Raises:
        ImageError: damaged or too large. Pillow's own errors are passed on.
    """
    return _around(decode_by_pillow(data, "WEBP"), _first_webp_frame(data))


def _around(decoded: Decoded, frame: Rectangle | None) -> Decoded:
    """Make what a frame leaves free transparent, as viewers show it."""
    height, width = decoded.samples.shape[:2]
    if frame is None or (frame[0] <= 0 and frame[1] <= 0 and frame[2] >= width and frame[3] >= height):
        return decoded
    left, top, across, down = frame
    outside = np.ones((height, width), bool)
    outside[top : top + down, left : left + across] = False
    if outside.any():
        alpha = np.full((height, width), 255, np.uint8) if decoded.alpha is None else decoded.alpha.copy()
        alpha[outside] = 0
        decoded.alpha = alpha
        decoded.notes.append("transparent around its first frame")
    return decoded


def _first_gif_frame(data: bytes) -> tuple[Rectangle | None, bool]:
    """Return where the first frame is, and whether it has a palette."""
    place = 13 + (3 << ((data[10] & 7) + 1) if data[10] & 0x80 else 0)
    while place + 10 <= len(data):
        if data[place] == 0x2C:
            left, top, width, height = struct.unpack_from("<4H", data, place + 1)
            return (left, top, width, height), bool((data[10] | data[place + 9]) & 0x80)
        if data[place] != 0x21:
            break
        place += 2
        while place < len(data) and data[place]:  # blocks of an extension
            place += 1 + data[place]
        place += 1
    return None, True  # damaged: its decoder says so


def _first_webp_frame(data: bytes) -> Rectangle | None:
    place = 12
    while place + 8 <= len(data):
        kind, size = struct.unpack_from("<4sI", data, place)
        if kind == b"ANMF" and size >= 16:
            left, top, width, height = (
                int.from_bytes(data[place + 8 + 3 * each : place + 11 + 3 * each], "little") for each in range(4)
            )
            return 2 * left, 2 * top, width + 1, height + 1
        place += 8 + size + size % 2
    return None
