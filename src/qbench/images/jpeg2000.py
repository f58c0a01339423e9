"""JPEG 2000 (ISO/IEC 15444-1): JP2 files and codestreams, by OpenJPEG; what the boxes say is read here (annex I)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from qbench.errors import ImageError
from qbench.images.boxes import boxes
from qbench.images.by_pillow import decode_by_pillow
from qbench.images.colour import ycbcr_to_rgb
from qbench.images.decoded import Decoded, IccProfile, require_size

CODESTREAM = b"\xff\x4f\xff\x51"
CMYK, SRGB, GREY, SYCC = 12, 16, 17, 18
COLOURS = {CMYK: 4, SRGB: 3, GREY: 1, SYCC: 3}
"""Enumerated colour space → number of its channels."""
COLOUR, OPACITY, PREMULTIPLIED = 0, 1, 2
"""Types of channels (I.5.3.6)."""


@dataclass
class _Said:
    """What the boxes say.

    Attributes:
        space: the enumerated colour space; None where a profile or nothing describes the colours.
        opacity: type of the channel behind the colours; None where none is declared.
        palette: depth of the palette's colours; 0 without one.
        reordered: whether channels are declared at all, in whatever order.
    """

    space: int | None = None
    profile: bytes | None = None
    opacity: int | None = None
    palette: int = 0
    reordered: bool = False
    unknown: int = 0


def decode(data: bytes) -> Decoded:
    """Decode a JPEG 2000 image.

    Raises:
        ImageError: damaged, too large, or of colours or depths that are not supported.
    """
    import imagecodecs

    stream = data if data.startswith(CODESTREAM) else next((body for kind, body in boxes(data) if kind == b"jp2c"), b"")
    if not stream.startswith(CODESTREAM) or len(stream) < 42:
        raise ImageError("damaged: no JPEG 2000 codestream")
    x1, y1, x0, y0 = struct.unpack_from(">4I", stream, 8)
    (components,) = struct.unpack_from(">H", stream, 40)
    require_size(x1 - x0, y1 - y0)
    described = stream[42 : 42 + 3 * components]
    depths = set(described[::3])
    if len(depths) != 1 or max(depths) >= 16:
        raise ImageError("JPEG 2000 with signed samples, more than 16 bits, or components that differ is not supported")
    said = _Said() if data.startswith(CODESTREAM) else _said(data)
    bits = said.palette or max(depths) + 1
    if set(described[1::3]) | set(described[2::3]) == {1}:
        decoded = _channels(np.asarray(imagecodecs.jpeg2k_decode(data)), (1 << bits) - 1, said)
    elif bits == 8 and not said.palette and not said.reordered:
        decoded = decode_by_pillow(data, "JPEG2000")  # which brings subsampled components together
        if said.space == SYCC:
            decoded.notes.append("YCbCr converted to RGB")
        if decoded.alpha is not None:
            decoded.alpha = None
            decoded.notes.append(UNDECLARED)
    else:
        raise ImageError("JPEG 2000 with subsampled components of this kind is not supported")
    if said.profile is not None:
        decoded.colour = IccProfile(said.profile)
    if said.unknown:
        decoded.notes.append(f"colour description of method {said.unknown} ignored")
    return decoded


UNDECLARED = "1 extra channel of no declared meaning dropped"


def _channels(samples: np.ndarray[tuple[int, ...], np.dtype[np.generic]], maximum: int, said: _Said) -> Decoded:
    """Tell colours from opacity; OpenJPEG has applied the palette, and brought the colours into their order."""
    samples = samples[..., None] if samples.ndim == 2 else samples
    count = samples.shape[2]
    if said.space is not None:
        colours = COLOURS[said.space]
    elif said.profile is not None:
        colours = {b"GRAY": 1, b"RGB ": 3, b"CMYK": 4}.get(said.profile[16:20], 3)
    else:
        colours = 1 if count < 3 else 3
    if samples.ndim != 3 or samples.dtype not in (np.uint8, np.uint16) or not colours <= count <= colours + 1:
        raise ImageError(f"JPEG 2000 of {count} channels, {colours} of them colours, is not supported")
    decoded = Decoded(samples[..., :colours], maximum, {1: "grey", 3: "RGB", 4: "CMYK"}[colours])  # type: ignore[arg-type]
    if said.palette:
        decoded.notes.append("palette converted to RGB")
    if said.space == SYCC:
        decoded.samples = ycbcr_to_rgb(decoded.samples, maximum)
        decoded.notes.append("YCbCr converted to RGB")
    if count > colours and said.opacity is None:
        decoded.notes.append(UNDECLARED)
    elif count > colours:
        decoded.alpha = samples[..., colours]
        decoded.premultiplied = said.opacity == PREMULTIPLIED
    return decoded


def _said(data: bytes) -> _Said:
    """Read the boxes of a JP2 header.

    Raises:
        ImageError: colours or channels that are not supported, or boxes that are damaged.
    """
    said = _Said()
    header = next((body for kind, body in boxes(data) if kind == b"jp2h"), b"")
    try:
        for kind, body in boxes(header):
            if kind == b"colr" and said.space is None and said.profile is None:
                _read_colour(body, said)
            elif kind == b"cdef":
                said.reordered = True
                said.opacity = _opacity(body)
            elif kind == b"pclr":
                said.palette = _palette_depth(body)
    except (struct.error, IndexError) as error:
        raise ImageError("damaged: a box of its header is too short") from error
    return said


def _read_colour(body: bytes, said: _Said) -> None:
    """Read a ``colr`` box (I.5.3.3); a file may have several, of which the first that is known counts."""
    method = body[0]
    if method == 1:
        (space,) = struct.unpack_from(">I", body, 3)
        if space not in COLOURS:
            raise ImageError(f"JPEG 2000 of the enumerated colour space {space} is not supported")
        said.space, said.unknown = space, 0
    elif method in (2, 3):  # a restricted ICC profile, or any (ISO/IEC 15444-2)
        said.profile, said.unknown = body[3:], 0
    else:
        said.unknown = method


def _opacity(body: bytes) -> int | None:
    """Return the type of the opacity channel that a ``cdef`` box declares for the whole image."""
    (count,) = struct.unpack_from(">H", body)
    found = None
    for index in range(count):
        _, kind, association = struct.unpack_from(">3H", body, 2 + 6 * index)
        if kind in (OPACITY, PREMULTIPLIED):
            if association:
                raise ImageError("JPEG 2000 with opacity of single colours is not supported")
            found = kind
    return found


def _palette_depth(body: bytes) -> int:
    """Return the depth of a palette's colours."""
    _, columns = struct.unpack_from(">HB", body)
    depths = set(body[3 : 3 + columns])
    if len(depths) != 1 or max(depths) >= 16:
        raise ImageError(
            "JPEG 2000 with a palette of signed colours, more than 16 bits, or depths that differ is not supported"
        )
    return int(max(depths)) + 1
