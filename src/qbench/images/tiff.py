"""TIFF 6.0 (Adobe 1992) and BigTIFF, by tifffile; fax and old-style JPEG by Pillow's libtiff."""

from __future__ import annotations

import io
import math
import struct
from typing import Any

import numpy as np
import numpy.typing as npt

from qbench.errors import ImageError
from qbench.images.by_pillow import decode_by_pillow
from qbench.images.colour import rescaled, ycbcr_to_rgb
from qbench.images.decoded import CurvesAndPrimaries, Decoded, IccProfile, Model, require_size

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, SEPARATED, YCBCR = 0, 1, 2, 3, 5, 6
COLOURS: dict[int, tuple[Model, int]] = {
    WHITE_IS_ZERO: ("grey", 1),
    BLACK_IS_ZERO: ("grey", 1),
    RGB: ("RGB", 3),
    PALETTE: ("grey", 1),
    SEPARATED: ("CMYK", 4),
    YCBCR: ("RGB", 3),
}
FAX_AND_OLD_JPEG = (2, 3, 4, 6)
JPEG = 7
LOSSLESS = (1, 5, 8, 32_773, 32_946, 34_925, 50_000)
"""None, LZW, Deflate, PackBits, Deflate (old number), LZMA, Zstandard: streams whose size the tags bound."""
MOST_SAMPLES = 16
ASSOCIATED, UNASSOCIATED = 1, 2
REDUCED, MASK = 1, 4
"""Bits of NewSubfileType: an image that stands for another one of the file."""
BT601_COEFFICIENTS = (0.299, 0.587, 0.114)
OLD_SUBFILE, OLD_REDUCED = 255, 2
PREDICTOR, HORIZONTAL = 317, 2
PREDICTED = (5, 8, 32_946, 34_925, 50_000)
"""Compressions with which a predictor is defined."""
SUBFILE, ORIENTATION, TRANSFER_FUNCTION, WHITE, PRIMARIES, INK_SET, DOT_RANGE = 254, 274, 301, 318, 319, 332, 336
COEFFICIENTS, SUBSAMPLING, REFERENCE_BLACK_WHITE, ICC_PROFILE, DNG_VERSION = 529, 530, 532, 34_675, 50_706


def decode(data: bytes) -> Decoded:
    """Decode the first image of a TIFF file that stands for itself, as its tags say.

    Raises:
        ImageError: damaged, too large, or of a kind that has no agreed conversion.
    """
    import tifffile

    with tifffile.TiffFile(io.BytesIO(data)) as file:
        index, page = _first_of_its_own(file)
        require_size(page.imagewidth, page.imagelength)
        if page.is_tiled:
            require_size(page.tilewidth, page.tilelength)
        if not 1 <= page.samplesperpixel <= MOST_SAMPLES:
            raise ImageError(f"TIFF with {page.samplesperpixel} samples per pixel is not supported")
        compression = int(page.compression)
        by_libtiff = compression in FAX_AND_OLD_JPEG
        if by_libtiff and index:
            raise ImageError("TIFF of this compression whose first image is a thumbnail is not supported")
        decoded = decode_by_pillow(data, "TIFF") if by_libtiff else _from_samples(page, compression)
        if len(file.pages) > 1 and not by_libtiff:
            decoded.notes.insert(0, f"first of {len(file.pages)} frames")
        orientation = page.tags.valueof(ORIENTATION)
        decoded.orientation = orientation if isinstance(orientation, int) else 1
        if by_libtiff and decoded.orientation in range(2, 9):  # Pillow has turned it
            decoded.orientation = 1
            decoded.notes.append("rotated by its orientation tag")
    return decoded


def _first_of_its_own(file: Any) -> tuple[int, Any]:
    """Return the first image that is neither a thumbnail nor a mask of another."""
    if file.pages.first.tags.valueof(DNG_VERSION) is not None:
        raise ImageError("DNG is a raw photograph, which has no agreed conversion; develop it first")
    for index, page in enumerate(file.pages):
        kind = page.tags.valueof(SUBFILE) if hasattr(page, "tags") else 0
        old = page.tags.valueof(OLD_SUBFILE) if hasattr(page, "tags") else 0
        if not (isinstance(kind, int) and kind & (REDUCED | MASK)) and old != OLD_REDUCED:
            return index, page
    raise ImageError("TIFF contains only thumbnails or masks, no full image")


def _from_samples(page: Any, compression: int) -> Decoded:
    bits, photometric = page.bitspersample, int(page.photometric)
    _require_supported(page, bits, photometric, compression)
    _require_whole_segments(page, compression)
    samples = np.asarray(page.asarray())
    if samples.ndim == 2:
        samples = samples[..., None]
    elif samples.shape[0] == page.samplesperpixel and int(page.planarconfig) == 2:
        samples = np.moveaxis(samples, 0, -1)
    maximum = (1 << bits) - 1
    samples = samples.astype(np.uint8 if bits <= 8 else np.uint16)  # a single bit comes as a truth value
    model, colours = COLOURS[photometric]
    if samples.shape != (page.imagelength, page.imagewidth, page.samplesperpixel) or samples.shape[2] < colours:
        raise ImageError(f"TIFF with samples of shape {samples.shape} is not supported")
    if int(samples.max()) > maximum:
        raise ImageError(f"damaged: a sample exceeds the maximum of {bits} bits")
    decoded = Decoded(samples[..., :colours], maximum, model)
    if photometric == WHITE_IS_ZERO:
        decoded.samples = maximum - decoded.samples
        decoded.notes.append("white is zero: inverted")
    elif photometric == YCBCR:
        if compression != JPEG:  # which its decoder converts
            decoded.samples = ycbcr_to_rgb(decoded.samples, maximum)
        decoded.notes.append("YCbCr converted to RGB")
    _extra_samples(decoded, samples[..., colours:], page.extrasamples)
    if photometric == PALETTE:
        _look_up(decoded, page.colormap)
    _describe_colours(decoded, page, photometric)
    return decoded


def _require_supported(page: Any, bits: Any, photometric: int, compression: int) -> None:
    """Refuse what can't be read right.

    Raises:
        ImageError: saying what it is.
    """
    if photometric not in COLOURS:
        raise ImageError(f"TIFF of photometric interpretation {_name(page.photometric)} is not supported")
    if compression not in (*LOSSLESS, JPEG):
        raise ImageError(f"TIFF compressed by {_name(page.compression)} is not supported")
    predictor = page.tags.valueof(PREDICTOR, 1)
    if predictor != 1 and (predictor != HORIZONTAL or compression not in PREDICTED or bits not in (8, 16)):
        raise ImageError(f"TIFF with predictor {predictor} is not supported at {bits} bits with this compression")
    if page.imagedepth != 1:
        raise ImageError("volumetric TIFF is not supported")
    if not isinstance(bits, int):
        raise ImageError(f"TIFF with samples of {'/'.join(map(str, bits))} bits is not supported")
    if not isinstance(page.sampleformat, int):
        raise ImageError("TIFF whose samples are of different kinds is not supported")
    if page.sampleformat not in (1, 4) or bits > 16:
        kinds = {1: "integers", 2: "signed integers", 3: "floating point", 4: "data of no declared kind"}
        kind = kinds.get(int(page.sampleformat), "complex numbers")
        raise ImageError(
            f"{bits}-bit {kind} have no agreed conversion to 8 bits; convert the file to 8 or 16 bits first"
        )
    if photometric == SEPARATED and (page.tags.valueof(INK_SET, 1) != 1 or page.samplesperpixel < 4):
        raise ImageError("a TIFF of inks other than CMYK is not supported")
    if photometric == SEPARATED and _dot_range(page) not in ((), (0, (1 << bits) - 1)):
        raise ImageError("CMYK TIFF whose dots don't span the whole range is not supported")
    if photometric == YCBCR and compression != JPEG and _numbers(page, SUBSAMPLING, (2, 2)) != (1, 1):
        raise ImageError("TIFF of subsampled YCbCr is supported with JPEG compression only")
    if photometric == YCBCR and not np.allclose(
        _numbers(page, COEFFICIENTS, BT601_COEFFICIENTS), BT601_COEFFICIENTS, atol=1e-3
    ):
        raise ImageError("TIFF of YCbCr with other coefficients than BT.601's is not supported")
    whole, middle = (1 << bits) - 1, 1 << (bits - 1)
    usual = (0, whole, middle, whole, middle, whole) if photometric == YCBCR else (0, whole) * 3
    if photometric in (YCBCR, RGB) and _numbers(page, REFERENCE_BLACK_WHITE, usual) != usual:
        raise ImageError("TIFF whose black and white are not the ends of its range is not supported")


def _dot_range(page: Any) -> tuple[float, ...]:
    """Return the samples of no and of full ink: one pair, as every ink has the same; else all that is stated."""
    value = page.tags.valueof(DOT_RANGE)
    stated = tuple(value) if isinstance(value, tuple | list) else ()
    return stated[:2] if stated == stated[:2] * (len(stated) // 2) else stated


def _numbers(page: Any, tag: int, default: tuple[float, ...]) -> tuple[float, ...]:
    """Return a tag's numbers, fractions divided; ``default`` where the tag is not there, or damaged."""
    value = page.tags.valueof(tag)
    if not isinstance(value, tuple):
        return default
    if len(value) == 2 * len(default) and page.tags[tag].dtype in (5, 10):  # fractions
        pairs = list(zip(value[::2], value[1::2], strict=True))
        return tuple(one / other for one, other in pairs) if all(other for _, other in pairs) else default
    return value if len(value) == len(default) else default


def _require_whole_segments(page: Any, compression: int) -> None:
    """Refuse strips and tiles that are missing, or hold an image of another size than the tags say.

    Raises:
        ImageError: saying so.
    """
    if len(page.dataoffsets) != math.prod(page.chunked) or len(page.databytecounts) != len(page.dataoffsets):
        raise ImageError("damaged: too few strips or tiles for its size")
    if not all(page.dataoffsets) or not all(page.databytecounts):
        raise ImageError("damaged: strips or tiles of its samples are missing")
    if compression != JPEG:
        return
    width = page.tilewidth if page.is_tiled else page.imagewidth
    height = page.tilelength if page.is_tiled else min(page.rowsperstrip, page.imagelength)
    handle = page.parent.filehandle
    for offset, size in zip(page.dataoffsets, page.databytecounts, strict=True):
        handle.seek(offset)
        segment = handle.read(size)
        if not segment.rstrip(b"\0").endswith(b"\xff\xd9"):
            raise ImageError("damaged or truncated: a JPEG strip or tile ends too early")
        found = _jpeg_size(segment)
        if found is None or found[0] > width or found[1] > height:
            raise ImageError("damaged: the size of a JPEG strip or tile doesn't match its tags")


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height of a JPEG stream, from its frame header."""
    place = 2
    while place + 9 <= len(data) and data[place] == 0xFF:
        marker, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, place + 5)
            return width, height
        place += 2 + max(length, 2)
    return None


def _describe_colours(decoded: Decoded, page: Any, photometric: int) -> None:
    """Take an ICC profile; without one, transfer function, white point and primaries (TIFF 6.0, section 20)."""
    profile = page.tags.valueof(ICC_PROFILE)
    if isinstance(profile, bytes):
        decoded.colour = IccProfile(profile)
        return
    if decoded.model == "CMYK":
        return
    white, primaries = page.tags.valueof(WHITE), page.tags.valueof(PRIMARIES)
    chromaticities = None
    if isinstance(white, tuple) and isinstance(primaries, tuple):
        chromaticities = (*_numbers(page, WHITE, (0.0,) * 2), *_numbers(page, PRIMARIES, (0.0,) * 6))
    curves = page.tags.valueof(TRANSFER_FUNCTION)
    entries = 1 << page.bitspersample
    light = None
    if curves is not None and np.size(curves) in (entries, 3 * entries):
        light = np.array(curves, np.float64).reshape(-1, entries).T / 65_535
        if photometric == WHITE_IS_ZERO:
            light = light[::-1]
        if light[-1].min() < 0.5 or (np.diff(light, axis=0) < 0).any():  # such as of numbers of 8 bits
            decoded.notes.append("unusable transfer function ignored")
            light = None
        elif len(light) != decoded.maximum + 1:
            raise ImageError("TIFF of a palette with a transfer function is not supported")
    if light is not None or chromaticities is not None:
        decoded.colour = CurvesAndPrimaries(light, chromaticities)


def _extra_samples(decoded: Decoded, extra: npt.NDArray[Any], kinds: tuple[int, ...]) -> None:
    """Take alpha from among the extra samples; others mean nothing for the picture."""
    kinds = tuple(map(int, kinds or ()))[: extra.shape[2]]
    kinds = (*kinds, *[0] * (extra.shape[2] - len(kinds)))
    for index, kind in enumerate(kinds):
        if kind in (ASSOCIATED, UNASSOCIATED) and decoded.alpha is None:
            decoded.alpha = extra[..., index]
            decoded.premultiplied = kind == ASSOCIATED
    left = len(kinds) - (decoded.alpha is not None)
    if left:
        decoded.notes.append(f"{left} extra sample{'s' * (left > 1)} of no declared meaning dropped")


def _look_up(decoded: Decoded, colours: npt.NDArray[np.uint16] | None) -> None:
    if colours is None or len(colours) != 3 or colours.shape[1] <= decoded.samples.max():
        raise ImageError("damaged: the palette lacks colours")
    # Of 16-bit colours, whose high byte is what every program writes and reads: k·256 and k·257 are both usual for k.
    palette = (np.asarray(colours) >> 8).astype(np.uint8).T
    if decoded.alpha is not None:
        decoded.alpha = rescaled(decoded.alpha, decoded.maximum, 255)
    decoded.samples, decoded.maximum, decoded.model = palette[decoded.samples[..., 0]], 255, "RGB"
    decoded.notes.append("palette converted to RGB")


def _name(photometric: Any) -> str:
    return str(getattr(photometric, "name", photometric))
