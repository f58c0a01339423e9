"""TIFF 6.0 (Adobe 1992) and BigTIFF, by tifffile; what it leaves to libtiff, by Pillow."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt

from qbench.errors import ImageError
from qbench.images.by_pillow import decode_by_pillow
from qbench.images.decoded import Decoded, IccProfile, Model, require_size

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, SEPARATED, YCBCR = 0, 1, 2, 3, 5, 6
COLOURS: dict[int, tuple[Model, int]] = {
    WHITE_IS_ZERO: ("grey", 1),
    BLACK_IS_ZERO: ("grey", 1),
    RGB: ("RGB", 3),
    PALETTE: ("grey", 1),
    SEPARATED: ("CMYK", 4),
    YCBCR: ("RGB", 3),
}
CCITT_AND_OLD_JPEG = (2, 3, 4, 6)
JPEG = 7
MOST_SAMPLES = 16
ASSOCIATED, UNASSOCIATED = 1, 2
ICC_PROFILE, INK_SET = 34675, 332


def decode(data: bytes) -> Decoded:
    """Decode the first image of a TIFF file, as its tags say.

    Raises:
        ImageError: damaged, too large, or of a kind that has no agreed conversion.
    """
    import tifffile

    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages.first
        require_size(page.imagewidth, page.imagelength)
        if page.is_tiled:
            require_size(page.tilewidth, page.tilelength)
        if not 1 <= page.samplesperpixel <= MOST_SAMPLES:
            raise ImageError(f"TIFF with {page.samplesperpixel} samples per pixel is not supported")
        photometric, compression = int(page.photometric), int(page.compression)
        by_libtiff = compression in CCITT_AND_OLD_JPEG or (photometric == YCBCR and compression != JPEG)
        frames = len(file.pages)
        decoded = (
            decode_by_pillow(data, "TIFF") if by_libtiff else _from_samples(page, photometric, compression, frames)
        )
        orientation = page.tags.valueof(274)
        decoded.orientation = orientation if isinstance(orientation, int) else 1
        if by_libtiff and decoded.orientation in range(2, 9):  # Pillow has turned it
            decoded.orientation = 1
            decoded.notes.append("rotated by its EXIF orientation")
    return decoded


def _from_samples(page: Any, photometric: int, compression: int, frames: int) -> Decoded:
    bits = page.bitspersample
    if photometric not in COLOURS:
        raise ImageError(f"TIFF of photometric interpretation {_name(page.photometric)} has no conversion here")
    if page.imagedepth != 1:
        raise ImageError("a TIFF of volumes is not an image")
    if not isinstance(bits, int):
        raise ImageError(f"TIFF with samples of {'/'.join(map(str, bits))} bits is not supported")
    if page.sampleformat not in (1, 4) or bits > 16:
        kinds = {1: "integers", 2: "signed integers", 3: "floating point", 4: "data of no declared kind"}
        kind = kinds.get(int(page.sampleformat), "complex numbers")
        raise ImageError(
            f"{bits}-bit {kind} have no agreed conversion to 8 bits; convert the file to 8 or 16 bits first"
        )
    if photometric == SEPARATED and (page.tags.valueof(INK_SET, 1) != 1 or page.samplesperpixel < 4):
        raise ImageError("a TIFF of inks other than CMYK has no conversion here")
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
    decoded = Decoded(samples[..., :colours], maximum, model)
    if frames > 1:
        decoded.notes.append(f"first of {frames} frames")
    if photometric == WHITE_IS_ZERO:
        decoded.samples = maximum - decoded.samples
        decoded.notes.append("white is zero: inverted")
    elif photometric == PALETTE:
        _look_up(decoded, page.colormap)
    elif photometric == YCBCR:
        decoded.notes.append("YCbCr converted to RGB")
    if photometric != PALETTE:
        _extra_samples(decoded, samples[..., colours:], page.extrasamples)
    profile = page.tags.valueof(ICC_PROFILE)
    if isinstance(profile, bytes):
        decoded.colour = IccProfile(profile)
    return decoded


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
    decoded.samples, decoded.maximum, decoded.model = palette[decoded.samples[..., 0]], 255, "RGB"
    decoded.notes.append("palette converted to RGB")


def _name(photometric: Any) -> str:
    return str(getattr(photometric, "name", photometric))
