"""PBM, PGM and PPM, plain and raw (netpbm's pnm(5)), with any maximum up to 65,535."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt

from qbench.errors import ImageError
from qbench.images.decoded import Decoded, from_channels, require_size

TOKEN = re.compile(rb"(?:[ \t\r\n\v\f]|#[^\r\n]*[\r\n])*([0-9]{1,10})")


def decode(data: bytes) -> Decoded:
    """Decode the first image of a PNM file.

    Raises:
        ImageError: damaged or too large.
    """
    kind = data[1] - ord("0")
    bitmap, plain, channels = kind in (1, 4), kind < 4, 3 if kind in (3, 6) else 1
    numbers, place = [], 2
    for _ in range(2 if bitmap else 3):
        found = TOKEN.match(data, place)
        if found is None:
            raise ImageError("damaged: its header is not one of PNM")
        numbers.append(int(found[1]))
        place = found.end()
    width, height, maximum = (*numbers, 1)[:3]
    require_size(width, height)
    if not 0 < maximum <= 65_535:
        raise ImageError(f"damaged: PNM with a maximum of {maximum}")
    # Behind the last number: one character of white space. A comment that follows its digits ends with one.
    comment = re.compile(rb"#[^\r\n]*").match(data, place)
    place = comment.end() if comment else place
    shape = (height, width, channels)
    samples: npt.NDArray[Any]
    end = len(data)
    count = height * width * channels
    if plain:
        samples = _plain(data[place:], count, bitmap).reshape(shape)
    elif bitmap:
        end = place + 1 + height * ((width + 7) // 8)
        rows = np.frombuffer(_raw(data, place + 1, end), np.uint8).reshape(height, -1)
        samples = np.unpackbits(rows, axis=1)[:, :width, None]
    else:
        dtype = np.dtype(">u2" if maximum > 255 else np.uint8)
        end = place + 1 + count * dtype.itemsize
        samples = np.frombuffer(_raw(data, place + 1, end), dtype).reshape(shape)
    left = b"" if plain else data[end:].lstrip()
    if samples.max() > maximum:
        raise ImageError(f"damaged: a sample exceeds the file's maximum of {maximum}")
    samples = samples.astype(np.uint16 if maximum > 255 else np.uint8)
    decoded = from_channels(1 - samples if bitmap else samples, maximum)  # a bitmap's 1 is black
    if re.match(rb"P[1-6]\s", left):
        decoded.notes.append("first of several images")
    return decoded


def _raw(data: bytes, start: int, end: int) -> bytes:
    if len(data) < end:
        raise ImageError("damaged or truncated: the file ends before its samples do")
    return data[start:end]


def _plain(text: bytes, count: int, bitmap: bool) -> npt.NDArray[np.int64]:
    text = re.sub(rb"#[^\r\n]*", b"", text)
    if bitmap and re.search(rb"[^01 \t\r\n\v\f]", text):
        raise ImageError("damaged: a sample is not a number")
    # Of a bitmap, digits need no space between them.
    words = re.findall(rb"[01]", text)[:count] if bitmap else text.split(None, count)[:count]
    if len(words) < count:
        raise ImageError("damaged or truncated: the file ends before its samples do")
    if any(not word.isdigit() or len(word.lstrip(b"0")) > 5 for word in words):
        raise ImageError("damaged: a sample is not a number")
    return np.array([int(word) for word in words], np.int64)
