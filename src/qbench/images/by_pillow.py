"""Formats that Pillow decodes without loss: JPEG, WebP, GIF, BMP, and what TIFF leaves to libtiff."""

from __future__ import annotations

import contextlib
import io
import os
import re
import tempfile
import threading
import warnings
from collections.abc import Iterator

import numpy as np
from PIL import Image as PillowImage
from PIL import UnidentifiedImageError

from qbench.errors import ImageError
from qbench.images.decoded import Decoded, IccProfile, from_channels, most_pixels, require_size

# Pillow warns of large and of slightly damaged files, without naming them. Set once for the process, as
# warnings.catch_warnings is not safe in threads: it brings back filters that another thread has just changed.
warnings.filterwarnings("ignore", category=PillowImage.DecompressionBombWarning)
warnings.filterwarnings("ignore", module=r"PIL\.")

UNUSABLE_EXIF = "unusable EXIF data ignored"
_stderr = threading.Lock()


def decode_by_pillow(data: bytes, *formats: str) -> Decoded:
    """Decode the first frame of a file of one of Pillow's formats.

    Raises:
        ImageError: too large, or of a kind that has no agreed conversion. Pillow's own errors are passed on.
    """
    # Pillow's limit is twice this number; ours is checked as soon as the size is known.
    PillowImage.MAX_IMAGE_PIXELS = max(PillowImage.MAX_IMAGE_PIXELS or 0, most_pixels())
    with _libraries_heard("TIFF" in formats) as heard, _opened(data, formats) as opened:
        require_size(*opened.size)
        frames = getattr(opened, "n_frames", 1)
        opened.seek(0)
        opened.load()
        decoded = _from_mode(opened)
        try:
            orientation = opened.getexif().get(0x0112, 1)
        except Exception:  # whatever Pillow makes of damaged metadata
            orientation = 1
            decoded.notes.append(UNUSABLE_EXIF)
        profile = opened.info.get("icc_profile")
    if any("Fax" in line for line in heard):
        raise ImageError("damaged: its fax data can't be decoded whole")
    if frames > 1:
        decoded.notes.insert(0, f"first of {frames} frames")
    if isinstance(profile, bytes) and profile:
        decoded.colour = IccProfile(profile)
    decoded.orientation = orientation if isinstance(orientation, int) else 1
    return decoded


def orientation_of(exif: bytes, notes: list[str]) -> int:
    """Return the orientation that EXIF data state: 1, with a note, if they can't be read."""
    read = PillowImage.Exif()
    try:
        read.load(exif)
        orientation = read.get(0x0112, 1)
    except Exception:  # whatever Pillow makes of damaged metadata
        notes.append(UNUSABLE_EXIF)
        return 1
    return orientation if isinstance(orientation, int) else 1


def _opened(data: bytes, formats: tuple[str, ...]) -> PillowImage.Image:
    try:
        return PillowImage.open(io.BytesIO(data), formats=formats)
    except UnidentifiedImageError as error:
        raise ImageError(f"damaged: its header is not one of {formats[0]}") from error
    except PillowImage.DecompressionBombError as error:
        count = re.search(r"\((\d+) pixels\)", str(error))
        size = f"{count[1]} pixels, " if count else ""
        raise ImageError(f"refused: {size}more than {most_pixels()}; set QBENCH_MAX_PIXELS to accept more") from error


def _from_mode(opened: PillowImage.Image) -> Decoded:
    image: PillowImage.Image = opened
    notes: list[str] = []
    if image.mode in ("P", "PA") or "transparency" in image.info:
        if image.mode == "P" and image.palette is not None and image.palette.mode == "RGB":
            colours = len(image.palette.palette) // 3
            if int(np.asarray(image).max()) >= colours:
                raise ImageError(f"damaged: it uses colours that its palette of {colours} lacks")
        transparent = image.mode == "PA" or "transparency" in image.info
        notes.append(
            "palette converted to RGB" if image.mode in ("P", "PA") else "transparent colour converted to alpha"
        )
        image = image.convert("RGBA" if transparent else "RGB")
    elif image.mode == "1":
        notes.append("1-bit converted to 8-bit")
        image = image.convert("L")
    elif image.mode in ("YCbCr", "RGBX"):
        image = image.convert("RGB")
    if image.mode == "CMYK":
        decoded = Decoded(np.asarray(image), 255, "CMYK")
    elif image.mode in ("L", "LA", "RGB", "RGBA"):
        decoded = from_channels(np.asarray(image), 255)
    else:
        raise ImageError(f"samples of Pillow's mode {image.mode} have no agreed conversion to 8-bit RGB")
    decoded.notes = notes
    return decoded


@contextlib.contextmanager
def _libraries_heard(needed: bool) -> Iterator[list[str]]:
    """Keep what libtiff prints about a file, which it does not name, from stderr; it is in the list at the end."""
    heard: list[str] = []
    if not needed:
        yield heard
        return
    with _stderr, tempfile.TemporaryFile() as sink:
        kept = os.dup(2)
        try:
            os.dup2(sink.fileno(), 2)
            yield heard
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            sink.seek(0)
            heard += sink.read(100_000).decode("utf-8", "replace").splitlines()
