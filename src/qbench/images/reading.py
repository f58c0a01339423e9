"""Reading images of the formats in :mod:`qbench.images.formats` into what every codec gets: 8-bit sRGB, H×W×3.

Whatever had to be converted on the way is said in :attr:`Image.notes`, so that a table never compares two codecs on
pixels the reader doesn't know of.
"""

from __future__ import annotations

import stat
import struct
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from qbench.errors import ImageError, shown
from qbench.images.colour import DEEP, rescaled, to_srgb
from qbench.images.decoded import CurvesAndPrimaries, Decoded
from qbench.images.formats import FORMATS
from qbench.images.image import Image

Alpha = Literal["white", "black", "drop"]
"""What becomes of transparency: it is composited on white or on black, or dropped."""


def read_image(path: str | Path, *, alpha: Alpha = "white") -> Image:
    """Read an image file as 8-bit sRGB.

    Applied in this order at the file's own depth, each with a note where it changes something: first frame of an
    animation; palette → RGB; alpha of a premultiplied image undone; colours → sRGB (an ICC profile by the intent
    that it states; what leaves colours within one level where they are counts as sRGB); then 8 bits, rounded; CMYK
    and grey → RGB; alpha; orientation.

    Args:
        alpha: what becomes of transparency.

    Raises:
        ImageError: missing, not an image, damaged, too large to decode safely, or of a kind with no agreed
            conversion (floating point, high dynamic range). The text names the file.
    """
    if alpha not in get_args(Alpha):
        raise ValueError(f"alpha={alpha!r} is not accepted; accepted: {', '.join(get_args(Alpha))}")
    path = Path(path)
    try:
        if not stat.S_ISREG(path.stat().st_mode) and not path.is_dir():
            raise ImageError(f"{shown(path)}: can't read the image: not a regular file")
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"{shown(path)}: can't read the image: {reason}") from error
    form = next((form for form in FORMATS if form.begins(data)), None)
    if form is None:
        raise ImageError(f"{shown(path)}: not an image in a supported format ({len(data)} bytes)")
    try:
        return _finish(form.decode(data), alpha)
    except ImageError as error:
        raise ImageError(f"{shown(path)}: {error}") from error
    except Exception as error:  # each library has its own errors for damage, and some have any
        raise ImageError(f"{shown(path)}: damaged or truncated {form.name}{_detail(error)}") from error


def _detail(error: Exception) -> str:
    """Return what a library says of a file, where that means something to others."""
    first = (str(error).strip().splitlines() or [""])[0]
    internal = isinstance(error, (LookupError, TypeError, AttributeError, AssertionError, struct.error))
    internal |= first.startswith(("invalid literal", "cannot reshape", "buffer is ", "could not broadcast"))
    return "" if internal or " " not in first else f": {first}"


def _finish(decoded: Decoded, alpha: Alpha) -> Image:
    notes = decoded.notes
    maximum = decoded.maximum
    # What is mixed from now on is rounded at full depth; tables of light are for the file's own samples.
    if maximum < 255 and not isinstance(decoded.colour, CurvesAndPrimaries):
        decoded.samples = rescaled(decoded.samples, maximum, DEEP)
        decoded.alpha = None if decoded.alpha is None else rescaled(decoded.alpha, maximum, DEEP)
        decoded.maximum = DEEP
    if decoded.premultiplied and decoded.alpha is not None:
        _divide_by_alpha(decoded)
    notes += to_srgb(decoded)
    if maximum != 255:
        bits = maximum.bit_length()
        whole = maximum == (1 << bits) - 1
        notes.append(f"{bits}-bit converted to 8-bit" if whole else f"samples up to {maximum} converted to 8-bit")
    rgb = decoded.samples
    opacity = decoded.alpha
    if opacity is not None and opacity.size and int(opacity.min()) < decoded.maximum:
        notes.append("alpha dropped" if alpha == "drop" else f"alpha composited on {alpha}")
        if alpha != "drop":
            rgb = _composited(rgb, opacity, decoded.maximum, decoded.maximum if alpha == "white" else 0)
    pixels = rescaled(rgb, decoded.maximum, 255)
    if pixels.shape[2] == 1:
        notes.append("grey converted to RGB")
        pixels = np.repeat(pixels, 3, axis=2)
    pixels = _upright(pixels, decoded.orientation, notes)
    pixels = np.ascontiguousarray(pixels)
    pixels.setflags(write=False)
    return Image(pixels, notes=tuple(notes))


def _divide_by_alpha(decoded: Decoded) -> None:
    assert decoded.alpha is not None
    if int(decoded.alpha.min()) == decoded.maximum:
        return
    opacity = np.maximum(decoded.alpha, 1)[..., None].astype(np.uint64)
    undone = (decoded.samples.astype(np.uint64) * 2 * decoded.maximum + opacity) // (2 * opacity)
    decoded.samples = np.minimum(undone, decoded.maximum).astype(decoded.samples.dtype)
    decoded.notes.append("premultiplied alpha undone")


def _composited(samples: npt.NDArray[Any], opacity: npt.NDArray[Any], maximum: int, ground: int) -> npt.NDArray[Any]:
    weight = opacity[..., None].astype(np.uint64)
    mixed = samples.astype(np.uint64) * weight + np.uint64(ground) * (np.uint64(maximum) - weight)
    composited: npt.NDArray[Any] = ((2 * mixed + np.uint64(maximum)) // np.uint64(2 * maximum)).astype(samples.dtype)
    return composited


def _upright(pixels: npt.NDArray[Any], orientation: int, notes: list[str]) -> npt.NDArray[Any]:
    """Turn an image as EXIF's orientation says (JEITA CP-3451, 4.6.4 A)."""
    if orientation not in range(2, 9):
        return pixels
    notes.append("rotated by its orientation tag")
    if orientation in (5, 6, 7, 8):
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels
