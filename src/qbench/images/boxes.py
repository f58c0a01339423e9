"""Boxes of ISO base media files (ISO/IEC 14496-12), of which JPEG 2000, AVIF, HEIC and JPEG XL are made."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from qbench.errors import ImageError
from qbench.images.decoded import CodePoints, ColourDescription, IccProfile

MOST_BOXES = 10_000


@dataclass
class ItemProperties:
    """What a file of AVIF or HEIC says about its primary image.

    Attributes:
        size: width and height before it is turned.
        colour: ICC profile, else code points; None if neither is there.
        turns: what is to be done to the decoded image, in order: ``("rotate", quarters anticlockwise)``,
            ``("mirror", axis)`` with axis 0 exchanging top and bottom, 1 left and right.
        cropped: whether a clean aperture is to be cut out.
        premultiplied: whether the samples are multiplied by alpha; decoders undo it.
    """

    size: tuple[int, int] = (0, 0)
    colour: ColourDescription | None = None
    turns: list[tuple[str, int]] = field(default_factory=list)
    cropped: bool = False
    premultiplied: bool = False


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield type and contents of the boxes that follow one another; ends where they make no sense."""
    start, end = 0, len(data)
    for _ in range(MOST_BOXES):
        if start + 8 > end:
            return
        size, kind = struct.unpack_from(">I4s", data, start)
        header = 8
        if size == 1:
            if start + 16 > end:
                return
            (size,) = struct.unpack_from(">Q", data, start + 8)
            header = 16
        elif size == 0:
            size = end - start
        if size < header or start + size > end:
            return
        yield kind, data[start + header : start + size]
        start += size


def first(data: bytes, *path: bytes) -> bytes | None:
    """Return the contents of the first box of a path."""
    for wanted in path:
        found = next((body for kind, body in boxes(data) if kind == wanted), None)
        if found is None:
            return None
        data = found
    return data


def _colour_of(box: bytes) -> ColourDescription | None:
    """Read a ``colr`` box of AVIF or HEIC."""
    if box[:4] in (b"prof", b"rICC"):
        return IccProfile(box[4:])
    if box[:4] == b"nclx" and len(box) >= 10:
        return CodePoints(*struct.unpack_from(">HH", box, 4))
    return None


def item_properties(data: bytes) -> ItemProperties:
    """Read what an AVIF or HEIC file says about its primary image.

    Raises:
        ImageError: it has no primary image.
    """
    meta = first(data, b"meta")
    if meta is None:
        return ItemProperties()  # a bare sequence
    meta = meta[4:]  # behind version and flags
    try:
        primary = first(meta, b"pitm") or b""
        wanted = int.from_bytes(primary[4:6] if primary[0] == 0 else primary[4:8], "big")
        known = list(boxes(first(meta, b"iprp", b"ipco") or b""))
        numbers = _associations(first(meta, b"iprp", b"ipma") or b"", wanted)
        own = [known[number - 1] for number in numbers if 0 < number <= len(known)]
    except (IndexError, struct.error) as error:
        raise ImageError("damaged: its primary image is not described") from error
    references = first(meta, b"iref") or b""
    found = ItemProperties(premultiplied=any(kind == b"prem" for kind, _ in boxes(references[4:])))
    colours = []
    for kind, body in own:
        if kind == b"ispe" and len(body) >= 12:
            found.size = struct.unpack_from(">II", body, 4)
        elif kind == b"colr":
            colours.append(_colour_of(body))
        elif kind == b"irot" and body:
            found.turns.append(("rotate", body[0] & 3))
        elif kind == b"imir" and body:
            found.turns.append(("mirror", body[0] & 1))
        elif kind == b"clap":
            found.cropped = True
    colours.sort(key=lambda each: isinstance(each, IccProfile), reverse=True)
    found.colour = next((each for each in colours if each is not None), None)
    return found


def _associations(box: bytes, wanted: int) -> list[int]:
    """Return the numbers of an item's properties, from an ``ipma`` box."""
    version, flags = box[0], box[3]
    (count,) = struct.unpack_from(">I", box, 4)
    place = 8
    for _ in range(min(count, MOST_BOXES)):
        item, place = (
            (struct.unpack_from(">H", box, place)[0], place + 2)
            if version < 1
            else (struct.unpack_from(">I", box, place)[0], place + 4)
        )
        number, place = box[place], place + 1
        width = 2 if flags & 1 else 1
        found = [
            int.from_bytes(box[place + width * each : place + width * (each + 1)], "big")
            & (0x7FFF if width == 2 else 0x7F)
            for each in range(number)
        ]
        place += width * number
        if item == wanted:
            return found
    return []
