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
from qbench.images.decoded import Decoded, GammaAndPrimaries, IccProfile, from_channels, most_pixels, require_size

# Pillow warns of large and of slightly damaged files, without naming them. Set once for the process, as
# warnings.catch_warnings is not safe in threads: it brings back filters that another thread has just changed.
warnings.filterwarnings("ignore", category=PillowImage.DecompressionBombWarning)
warnings.filterwarnings("ignore", module=r"PIL\.")

UNUSABLE_EXIF = "unusable EXIF data ignored"
ORIENTATION, EXIF_IFD, INTEROPERABILITY_IFD, COLOR_SPACE, UNCALIBRATED = 0x0112, 0x8769, 0xA005, 0xA001, 0xFFFF
ADOBE_RGB = GammaAndPrimaries(256 / 563, (0.3127, 0.3290, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06), "Adobe RGB (by EXIF)")
"""Adobe RGB (1998), 4.3.1.2 and 4.3.4."""
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
        exif, profile = opened.info.get("exif"), opened.info.get("icc_profile")
    if any("Fax" in line for line in heard):
        raise ImageError("damaged: its fax data can't be decoded whole")
    if frames > 1:
        decoded.notes.insert(0, f"first of {frames} frames")
    if isinstance(profile, bytes) and profile:
        decoded.colour = IccProfile(profile)
    if isinstance(exif, bytes):
        describe_by_exif(decoded, exif)
    return decoded


def describe_by_exif(decoded: Decoded, exif: bytes) -> None:
    """Take the orientation that EXIF data state, and Adobe RGB as cameras write it (JEITA CP-3461, DCF 2.0, 2.1.3).

    Adobe RGB is an uncalibrated ColorSpace with an InteroperabilityIndex of R03; it counts where nothing else
    describes the colours. Data that can't be read are noted and ignored.
    """
    read = PillowImage.Exif()
    try:
        read.load(exif)
        orientation = read.get(ORIENTATION, 1)
        main, interoperability = read.get_ifd(EXIF_IFD), read.get_ifd(INTEROPERABILITY_IFD)
    except Exception:  # whatever Pillow makes of damaged metadata
        decoded.notes.append(UNUSABLE_EXIF)
        return
    decoded.orientation = orientation if isinstance(orientation, int) else 1
    index = interoperability.get(1)
    adobe = main.get(COLOR_SPACE) == UNCALIBRATED and isinstance(index, str) and index.rstrip("\0") == "R03"
    if adobe and decoded.colour is None and decoded.model == "RGB":
        decoded.colour = ADOBE_RGB


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
