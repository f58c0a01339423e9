"""Reading images of any usual kind into what every codec gets: 8-bit sRGB, H×W×3.

Whatever had to be converted on the way is said in :attr:`Image.notes`, so that a table never compares two codecs on
pixels the reader doesn't know of.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageCms, ImageOps, UnidentifiedImageError

from qbench.errors import ImageError
from qbench.images.image import Image, Pixels

# Pillow warns at half of the size that it refuses; a large photograph is not news here. Set once for the process, as
# warnings.catch_warnings is not safe in threads: it brings back filters that another thread has just changed.
warnings.filterwarnings("ignore", category=PillowImage.DecompressionBombWarning)

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".pnm", ".gif", ".avif")
"""File names that a folder or a glob takes for images; a file that is named itself may have any suffix."""


def read_image(path: str | Path) -> Image:
    """Read an image file as 8-bit sRGB.

    Applied in this order, each with a note: first frame of an animation; EXIF orientation; ICC profile → sRGB
    (relative colorimetric; profiles that are sRGB already are left alone); 16 → 8 bits, rounded; palette, grey
    and CMYK → RGB; alpha composited on white.

    Raises:
        ImageError: missing, not an image, truncated, too large to decode safely, or of a kind with no agreed
            conversion (floating point).
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ImageError(f"{path}: can't read the image: {error.strerror or error}") from error
    try:
        with PillowImage.open(io.BytesIO(data)) as opened:
            return _convert(opened, data)
    except PillowImage.DecompressionBombError as error:
        raise ImageError(f"{path}: refused: it would decompress to a huge image ({error})") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{path}: not an image in a supported format ({len(data)} bytes)") from error
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error
    except (OSError, SyntaxError, ValueError, EOFError, MemoryError) as error:
        # Pillow reports damage with any of these, depending on the format.
        raise ImageError(f"{path}: damaged or truncated image: {error}") from error


def _convert(opened: PillowImage.Image, data: bytes) -> Image:
    notes: list[str] = []
    image = opened
    if getattr(opened, "n_frames", 1) > 1:
        notes.append(f"first of {opened.n_frames} frames")  # type: ignore[attr-defined]
        opened.seek(0)
    profile = opened.info.get("icc_profile")
    deep = _sixteen_bit(opened, data)
    if deep is not None:
        orientation = opened.getexif().get(0x0112, 1)
        image = PillowImage.fromarray(deep)
        image.getexif()[0x0112] = orientation
        notes.append("16-bit converted to 8-bit")
    elif opened.mode in ("F", "I"):
        raise ImageError(
            f"pixels of mode {opened.mode} ({'floating point' if opened.mode == 'F' else '32-bit'}) have no agreed "
            "conversion to 8 bits; convert the file to 8 or 16 bits first"
        )
    image.load()
    if image.getexif().get(0x0112, 1) != 1:
        image = ImageOps.exif_transpose(image)
        notes.append("rotated by its EXIF orientation")
    alpha = None
    if image.mode in ("P", "PA") or "transparency" in image.info:
        transparent = image.mode == "PA" or "transparency" in image.info
        notes.append(
            "palette converted to RGB" if image.mode in ("P", "PA") else "transparent colour converted to alpha"
        )
        image = image.convert("RGBA" if transparent else "RGB")
    if image.mode in ("RGBA", "LA"):
        alpha = image.getchannel("A")
        image = image.convert("RGB" if image.mode == "RGBA" else "L")
    if profile:
        image = _to_srgb(image, profile, notes)
    if image.mode != "RGB":
        notes.append({"L": "grey", "1": "black and white"}.get(image.mode, image.mode) + " converted to RGB")
        image = image.convert("RGB")
    if alpha is not None and alpha.getextrema() != (255, 255):
        white = PillowImage.new("RGB", image.size, "white")
        white.paste(image, mask=alpha)
        image = white
        notes.append("alpha composited on white")
    pixels = np.array(image, dtype=np.uint8)
    pixels.setflags(write=False)
    return Image(pixels, notes=tuple(notes))


def _sixteen_bit(opened: PillowImage.Image, data: bytes) -> Pixels | None:
    """Return 8-bit pixels, rounded, of a 16-bit file; None if the file is not 16 bits deep.

    Pillow opens 16-bit RGB by dropping the low byte, which darkens by up to one step: read those with the
    libraries that keep it.
    """
    deep = None
    if opened.format == "PNG" and data[24] == 16:  # IHDR's bit depth
        import imagecodecs

        deep = imagecodecs.png_decode(data)
    elif opened.mode.startswith("I;16") or (opened.format == "PPM" and opened.mode == "I"):
        deep = np.asarray(opened).astype(np.uint16)  # whatever the byte order in the file was
    elif opened.format == "TIFF" and 16 in (opened.tag_v2.get(258) or ()):  # type: ignore[attr-defined]
        import tifffile

        deep = tifffile.imread(io.BytesIO(data), key=0)
    if deep is None or deep.dtype != np.uint16:
        return None
    eight: Pixels = ((deep.astype(np.uint32) + 128) // 257).astype(np.uint8)
    return eight


def _to_srgb(image: PillowImage.Image, profile: bytes, notes: list[str]) -> PillowImage.Image:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        description = ImageCms.getProfileDescription(source).strip()
        if "srgb" in description.lower():
            return image
        converted = ImageCms.profileToProfile(
            image,
            source,
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        notes.append("unusable ICC profile ignored")
        return image
    notes.append(f"ICC profile “{description}” converted to sRGB")
    assert converted is not None  # only with inPlace=True
    return converted
