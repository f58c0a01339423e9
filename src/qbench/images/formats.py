"""The formats that originals are read from: all that is ever tried, known by how a file begins."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass

from qbench.images import bmp, canvas, heif, jpeg, jpeg2000, jpegxl, png, pnm, tiff
from qbench.images.decoded import Decoded

# What these have to say about a file would go to stderr, without the file's name.
for library in ("imagecodecs", "tifffile", "PIL"):
    logging.getLogger(library).addHandler(logging.NullHandler())


@dataclass(frozen=True)
class FileFormat:
    """A format of originals.

    Attributes:
        suffixes: of file names, lower case: those that a folder or a glob takes for images.
        begins: whether a file of that beginning is one.
        decode: from its bytes to what it holds.
        depths: bits per sample.
        colours: models that are read.
    """

    name: str
    suffixes: tuple[str, ...]
    begins: Callable[[bytes], bool]
    decode: Callable[[bytes], Decoded]
    depths: str
    colours: str


def _any_of(*beginnings: bytes) -> Callable[[bytes], bool]:
    return lambda data: data.startswith(beginnings)


FORMATS = (
    FileFormat(
        "PNG",
        (".png", ".apng"),
        _any_of(png.SIGNATURE),
        png.decode,
        "1, 2, 4, 8, 16",
        "grey, RGB, palette; alpha; cICP, ICC, gAMA and cHRM",
    ),
    FileFormat(
        "JPEG",
        (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
        _any_of(b"\xff\xd8\xff"),
        jpeg.decode,
        "8",
        "grey, YCbCr, RGB, CMYK; ICC",
    ),
    FileFormat(
        "WebP",
        (".webp",),
        lambda data: data[:4] == b"RIFF" and data[8:12] == b"WEBP",
        canvas.decode_webp,
        "8",
        "YCbCr, RGB; alpha; ICC",
    ),
    FileFormat(
        "TIFF",
        (".tif", ".tiff"),
        _any_of(b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
        tiff.decode,
        "1 to 16",
        "grey (either zero), RGB, palette, CMYK, YCbCr; alpha of both kinds; ICC",
    ),
    FileFormat(
        "AVIF",
        (".avif",),
        lambda data: not heif.brands(data).isdisjoint({b"avif", b"avis"}),
        heif.decode_avif,
        "8, 10, 12",
        "grey, YCbCr, RGB; alpha; ICC, nclx",
    ),
    FileFormat(
        "HEIC (with pillow-heif)",
        (".heic", ".heif", ".hif"),
        lambda data: bool(heif.brands(data) & {b"heic", b"heix", b"hevc", b"mif1", b"msf1"}),
        heif.decode_heic,
        "8, 10, 12",
        "grey, YCbCr; alpha; ICC, nclx",
    ),
    FileFormat(
        "JPEG XL",
        (".jxl",),
        _any_of(jpegxl.CODESTREAM, jpegxl.CONTAINER),
        jpegxl.decode,
        "1 to 16",
        "grey, RGB, XYB; alpha; colours by enumeration",
    ),
    FileFormat(
        "JPEG 2000",
        (".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"),
        _any_of(jpeg2000.CODESTREAM, b"\x00\x00\x00\x0cjP  \r\n\x87\n"),
        jpeg2000.decode,
        "1 to 16",
        "grey, RGB, YCbCr; alpha; ICC",
    ),
    FileFormat(
        "PBM, PGM, PPM",
        (".pbm", ".pgm", ".ppm", ".pnm"),
        lambda data: re.match(rb"P[1-6][\s#]", data) is not None,
        pnm.decode,
        "1 to 16",
        "black and white, grey, RGB",
    ),
    FileFormat(
        "BMP",
        (".bmp", ".dib"),
        _any_of(b"BM"),
        bmp.decode,
        "1 to 8; 16 and 32 by masks",
        "RGB, palette; alpha; ICC, gamma and primaries",
    ),
    FileFormat(
        "GIF",
        (".gif",),
        _any_of(b"GIF87a", b"GIF89a"),
        canvas.decode_gif,
        "8",
        "palette; transparency",
    ),
)
"""In the order that they are tried in; the first that a file begins as is the only one."""

SUFFIXES = tuple(suffix for form in FORMATS for suffix in form.suffixes)
