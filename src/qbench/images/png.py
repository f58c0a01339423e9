"""PNG, third edition (W3C 2025): chunks are read here, pixels are decoded by libpng."""

from __future__ import annotations

import struct
import zlib

from qbench.errors import ImageError
from qbench.images.by_pillow import describe_by_exif
from qbench.images.colour import is_usable
from qbench.images.decoded import (
    CodePoints,
    ColourDescription,
    Decoded,
    GammaAndPrimaries,
    IccProfile,
    Model,
    from_channels,
    require_size,
)

SIGNATURE = b"\x89PNG\r\n\x1a\n"
NEEDED = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
"""What decides the samples. The decoder gets nothing else: no limit on texts or profiles can stop it."""
DESCRIBING = (b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"eXIf")
"""What says how to show the samples; the colours' must come before the samples (section 5.6)."""
STILL_IS_A_FRAME = b"fcTL before IDAT"
MOST_PROFILE_BYTES = 2**26
GREY, COLOUR, PALETTE = 0, 2, 3


def decode(data: bytes) -> Decoded:
    """Decode a PNG: the still image, or an animation's first frame.

    Raises:
        ImageError: damaged, too large, or colours that can't be converted.
    """
    import imagecodecs

    notes: list[str] = []
    chunks = _chunks(data, notes)
    header = chunks.get(b"IHDR", [b""])[0]
    if len(header) != 13:
        raise ImageError("damaged: no PNG header")
    width, height, depth, kind = struct.unpack_from(">IIBB", header)
    require_size(width, height)
    if b"tRNS" in chunks and kind in (GREY, COLOUR) and len(chunks[b"tRNS"][0]) != 2 * (1 + kind):
        raise ImageError("damaged: chunk tRNS has a wrong length")
    if b"IDAT" not in chunks:
        raise ImageError("damaged: it holds no samples")
    kept = b"".join(_chunk(name, body) for name in NEEDED for body in chunks.get(name, []))
    decoded = from_channels(imagecodecs.png_decode(SIGNATURE + kept), 65_535 if depth == 16 else 255)
    decoded.notes = notes
    frames = int.from_bytes(chunks.get(b"acTL", [b""])[0][:4], "big")
    if frames > 1 and STILL_IS_A_FRAME in chunks:
        decoded.notes.append(f"first of {frames} frames")
    if kind == PALETTE:
        _require_colours(chunks, header)
        decoded.notes.append("palette converted to RGB")
    elif depth < 8:
        decoded.notes.append(f"{depth}-bit converted to 8-bit")
    if kind in (GREY, COLOUR) and decoded.alpha is not None:
        decoded.notes.append("transparent colour converted to alpha")
    if b"eXIf" in chunks:
        describe_by_exif(decoded, chunks[b"eXIf"][0])
    decoded.colour = _colour(chunks, decoded.model, decoded.notes)
    return decoded


def _require_colours(chunks: dict[bytes, list[bytes]], header: bytes) -> None:
    """Refuse an image that uses colours which its palette lacks (section 11.2.2); libpng would invent them."""
    import imagecodecs

    depth = header[8]
    (palette,) = chunks.get(b"PLTE", [b""])[:1]
    if len(palette) // 3 >= 1 << depth:
        return
    # The same samples as those of a grey image, which is stretched to 8 bits.
    pieces = [(b"IHDR", header[:9] + bytes([GREY]) + header[10:]), *((b"IDAT", body) for body in chunks[b"IDAT"])]
    indices = imagecodecs.png_decode(SIGNATURE + b"".join(_chunk(*piece) for piece in (*pieces, (b"IEND", b""))))
    if int(indices.max()) * ((1 << depth) - 1) // 255 >= len(palette) // 3:
        raise ImageError("damaged: it uses colours that its palette lacks")


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _chunks(data: bytes, notes: list[str]) -> dict[bytes, list[bytes]]:
    """Return the chunks by name, up to IEND; note those that should say something, and can't.

    Raises:
        ImageError: the file ends before, or a chunk that decides the samples is damaged, misplaced or unknown.
    """
    found: dict[bytes, list[bytes]] = {}
    view, place = memoryview(data), len(SIGNATURE)
    while place + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, place)
        end = place + 8 + length
        if end + 4 > len(data):
            break
        whole = zlib.crc32(view[place + 4 : end]) == int.from_bytes(data[end : end + 4], "big")
        text = name.decode("latin-1")
        if name != b"IHDR" and not found:
            raise ImageError("damaged: its header is not its first chunk")
        if whole and name in DESCRIBING[:5] and b"IDAT" in found:
            notes.append(f"chunk {text} behind the samples ignored")
        elif whole and name == b"tRNS" and b"IDAT" in found:
            raise ImageError("damaged: chunk tRNS is behind the samples")
        elif whole and name == b"PLTE" and not {b"tRNS", b"IDAT"}.isdisjoint(found):
            raise ImageError("damaged: chunk PLTE is behind what depends on it")
        elif whole and name not in NEEDED and not name[0] & 0x20:
            raise ImageError(f"unknown critical chunk {text!r}")
        elif whole:
            if name == b"fcTL" and b"IDAT" not in found:
                found[STILL_IS_A_FRAME] = []
            found.setdefault(name, []).append(bytes(view[place + 8 : end]))
        elif name in NEEDED:
            raise ImageError(f"damaged: chunk {text} has a wrong checksum")
        elif name in DESCRIBING:
            notes.append(f"damaged chunk {text} ignored")
        if name == b"IEND":
            return found
        place = end + 4
    raise ImageError("damaged or truncated: the file ends before its IEND chunk")


def _colour(chunks: dict[bytes, list[bytes]], model: Model, notes: list[str]) -> ColourDescription | None:
    """Return what counts: cICP before iCCP before sRGB before gAMA and cHRM (section 4.3), of those that are usable."""

    def usable(name: bytes, length: int) -> bytes | None:
        body = chunks.get(name, [None])[0]
        if body is not None and len(body) != length:
            notes.append(f"damaged chunk {name.decode()} ignored")
            return None
        return body

    code_points = usable(b"cICP", 4)
    if code_points is not None:
        primaries, transfer, matrix, full_range = code_points
        if matrix != 0 or full_range != 1:
            raise ImageError("its cICP chunk is of samples other than full-range RGB, which are not supported")
        return CodePoints(primaries, transfer)
    if b"iCCP" in chunks:
        profile = _profile(chunks[b"iCCP"][0])
        if profile is not None and is_usable(profile, model):
            return IccProfile(profile)
        notes.append("unusable ICC profile ignored")
    if usable(b"sRGB", 1) is not None:
        return None
    gamma, places = usable(b"gAMA", 4), usable(b"cHRM", 32)
    chromaticities = None if places is None else tuple(each / 100_000 for each in struct.unpack(">8i", places))
    exponent = 0.0 if gamma is None else int.from_bytes(gamma, "big") / 100_000
    if gamma is not None and not exponent:
        notes.append("damaged chunk gAMA ignored")
    if not exponent and chromaticities is None:
        return None
    return GammaAndPrimaries(exponent or None, chromaticities)


def _profile(body: bytes) -> bytes | None:
    """Return the profile of an iCCP chunk; None if it can't be unpacked whole."""
    _, _, rest = body.partition(b"\0")
    unpacking = zlib.decompressobj()
    try:
        profile = unpacking.decompress(rest[1:], MOST_PROFILE_BYTES)
    except zlib.error:
        return None
    return profile if unpacking.eof else None
