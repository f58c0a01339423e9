"""PNG, third edition (W3C 2025): chunks are read here, pixels are decoded by libpng."""

from __future__ import annotations

import struct
import zlib

from PIL import Image as PillowImage

from qbench.errors import ImageError
from qbench.images.decoded import (
    CodePoints,
    ColourDescription,
    Decoded,
    GammaAndPrimaries,
    IccProfile,
    from_channels,
    require_size,
)

SIGNATURE = b"\x89PNG\r\n\x1a\n"
NEEDED = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
"""What decides the samples. The decoder gets nothing else: no limit on texts or profiles can stop it."""
MOST_PROFILE_BYTES = 2**26
GREY, COLOUR, PALETTE = 0, 2, 3


def decode(data: bytes) -> Decoded:
    """Decode a PNG: the still image, or an animation's first frame.

    Raises:
        ImageError: damaged, too large, or colours that can't be converted.
    """
    import imagecodecs

    chunks = _chunks(data)
    header = chunks.get(b"IHDR", [b""])[0]
    if len(header) != 13:
        raise ImageError("damaged: no PNG header")
    width, height, depth, kind = struct.unpack_from(">IIBB", header)
    require_size(width, height)
    if b"IDAT" not in chunks:
        raise ImageError("damaged: it holds no samples")
    kept = b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name in NEEDED
        for body in chunks.get(name, [])
    )
    decoded = from_channels(imagecodecs.png_decode(SIGNATURE + kept), 65_535 if depth == 16 else 255)
    frames = int.from_bytes(chunks.get(b"acTL", [b""])[0][:4], "big")
    if frames > 1:
        decoded.notes.append(f"first of {frames} frames")
    if kind == PALETTE:
        decoded.notes.append("palette converted to RGB")
    elif depth < 8:
        decoded.notes.append(f"{depth}-bit converted to 8-bit")
    if kind in (GREY, COLOUR) and decoded.alpha is not None:
        decoded.notes.append("transparent colour converted to alpha")
    if b"eXIf" in chunks:
        exif = PillowImage.Exif()
        exif.load(chunks[b"eXIf"][0])
        orientation = exif.get(0x0112, 1)
        decoded.orientation = orientation if isinstance(orientation, int) else 1
    decoded.colour = _colour(chunks, decoded.notes)
    return decoded


def _chunks(data: bytes) -> dict[bytes, list[bytes]]:
    """Return the chunks by name, up to IEND.

    Raises:
        ImageError: the file ends before, or a chunk that decides the samples is damaged.
    """
    found: dict[bytes, list[bytes]] = {}
    view, place = memoryview(data), len(SIGNATURE)
    while place + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, place)
        end = place + 8 + length
        if end + 4 > len(data):
            break
        whole = zlib.crc32(view[place + 4 : end]) == int.from_bytes(data[end : end + 4], "big")
        if whole:
            found.setdefault(name, []).append(bytes(view[place + 8 : end]))
        elif name in NEEDED:
            raise ImageError(f"damaged: chunk {name.decode('latin-1')} has a wrong checksum")
        if name == b"IEND":
            return found
        place = end + 4
    raise ImageError("damaged or truncated: the file ends before its IEND chunk")


def _colour(chunks: dict[bytes, list[bytes]], notes: list[str]) -> ColourDescription | None:
    """Return what counts: cICP before iCCP before sRGB before gAMA and cHRM (section 4.3)."""
    code_points = chunks.get(b"cICP", [b""])[0]
    if len(code_points) == 4:
        primaries, transfer, matrix, full_range = code_points
        if matrix != 0 or full_range != 1:
            raise ImageError("its cICP chunk is of samples other than full-range RGB, which have no conversion here")
        return CodePoints(primaries, transfer)
    if b"iCCP" in chunks:
        _, _, rest = chunks[b"iCCP"][0].partition(b"\0")
        try:
            unpacked = zlib.decompressobj()
            return IccProfile(unpacked.decompress(rest[1:], MOST_PROFILE_BYTES))
        except zlib.error:
            notes.append("unusable ICC profile ignored")
    if b"sRGB" in chunks:
        return None
    gamma = int.from_bytes(chunks.get(b"gAMA", [b""])[0][:4], "big") / 100_000
    places = chunks.get(b"cHRM", [b""])[0]
    chromaticities = tuple(each / 100_000 for each in struct.unpack(">8i", places)) if len(places) == 32 else None
    if not gamma and chromaticities is None:
        return None
    return GammaAndPrimaries(gamma or None, chromaticities)
