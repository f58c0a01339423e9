"""AVIF by libavif, and HEIC by libheif where the package pillow-heif is installed."""

from __future__ import annotations

import io
from collections.abc import Iterable

import numpy as np

from qbench.errors import ImageError
from qbench.images.av1 import code_points
from qbench.images.boxes import ItemProperties, boxes, first, item_properties
from qbench.images.by_pillow import decode_by_pillow
from qbench.images.decoded import ColourDescription, Decoded, from_channels, require_described, require_size

TEMPORAL_DELIMITER = b"\x12\0"
"""The OBU that an AV1 stream may begin with."""


def brands(data: bytes) -> set[bytes]:
    """Return the brands that a file says it is of; empty if it is no ISO base media file."""
    for kind, body in boxes(data[:4096]):
        if kind == b"ftyp":
            return {body[:4], *(body[place : place + 4] for place in range(8, len(body), 4))}
        break
    return set()


def decode_avif(data: bytes) -> Decoded:
    """Decode an AVIF file's primary image, or the first of a sequence (AV1 Image File Format 1.1).

    Raises:
        ImageError: damaged, too large, or of high dynamic range.
    """
    import imagecodecs

    properties = _properties(data)
    if properties.cropped:
        raise ImageError("AVIF with a clean aperture to be cut out is not supported")
    bits = _av1_bits(data)
    if b"avis" in brands(data):  # of a sequence, imagecodecs writes past the end of its memory
        decoded = decode_by_pillow(data, "AVIF")
        decoded.orientation = 1
        if bits > 8:
            decoded.notes.append(f"{bits}-bit converted to 8-bit")
    else:
        decoded = from_channels(imagecodecs.avif_decode(data), (1 << bits) - 1)
    if properties.premultiplied and decoded.alpha is not None:
        decoded.notes.append("premultiplied alpha undone")
    decoded.colour = properties.colour or _stream_colours(data)
    require_described(decoded.colour)
    _turn(decoded, properties.turns)
    return decoded


def decode_heic(data: bytes) -> Decoded:
    """Decode a HEIC file's primary image (ISO/IEC 23008-12).

    Raises:
        ImageError: pillow-heif is not installed; damaged, too large, or of high dynamic range.
    """
    try:
        import pillow_heif
    except ImportError as error:
        raise ImageError("HEIC needs the package pillow-heif: pip install 'qbench[heif]'") from error
    properties = _properties(data)
    opened = pillow_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=False, hdr_to_16bit=False)
    bits = int(opened.info.get("bit_depth", 8))
    # libheif turns and crops by itself.
    decoded = from_channels(np.asarray(opened), (1 << bits) - 1)
    decoded.colour = properties.colour
    decoded.premultiplied = bool(opened.premultiplied_alpha) if hasattr(opened, "premultiplied_alpha") else False
    if properties.turns:
        decoded.notes.append("rotated as its container states")
    return decoded


def _properties(data: bytes) -> ItemProperties:
    properties = item_properties(data)
    if properties.size != (0, 0):
        require_size(*properties.size)
    require_described(properties.colour)
    return properties


def _av1_bits(data: bytes) -> int:
    """Return the bits of a sample, from the AV1 configuration that every file has (av1C, section 2.3)."""
    place = data.find(b"av1C")
    if place < 0 or place + 7 > len(data):
        raise ImageError("damaged: no AV1 configuration")
    flags = data[place + 6]
    return 12 if flags & 0x60 == 0x60 else 10 if flags & 0x40 else 8


def _stream_colours(data: bytes) -> ColourDescription | None:
    """Return the colours of the AV1 stream itself, which count where the container says nothing."""
    place = data.find(b"av1C")
    size = int.from_bytes(data[place - 4 : place], "big")
    stream = first(data, b"mdat") or b""
    return code_points(data[place + 8 : place - 4 + size]) or code_points(stream.removeprefix(TEMPORAL_DELIMITER))


def _turn(decoded: Decoded, turns: Iterable[tuple[str, int]]) -> None:
    turned = False
    for what, how in turns:
        if what == "rotate" and not how:
            continue
        turned = True
        turn = np.rot90 if what == "rotate" else np.flip
        decoded.samples = turn(decoded.samples, how)
        if decoded.alpha is not None:
            decoded.alpha = turn(decoded.alpha, how)
    if turned:
        decoded.notes.append("rotated as its container states")
