"""Damaged files of every format: a picture or an ImageError that names the file, within a limit of memory."""

from __future__ import annotations

import io
import random
import resource
import sys

import imagecodecs
import numpy as np
import pytest
import tifffile
from conftest import sample_pixels
from PIL import Image as PillowImage

from qbench.errors import ImageError
from qbench.images.formats import FORMATS
from qbench.images.image import Image
from qbench.images.reading import read_image

EXTREMES = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\1")
MOST_MEGABYTES = 600
"""What reading a damaged file of a few kilobytes may take at its peak, with a limit of a million pixels."""


def by_pillow(image, form, **options):
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def by_tifffile(samples, **options):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, samples, **options)
    return buffer.getvalue()


def files():
    """Return small files of every format of the table, of all the kinds that are decoded in different ways."""
    pixels = sample_pixels(40, 32)
    deep = pixels.astype(np.uint16) * 257
    rgb = PillowImage.fromarray(pixels)
    rgba = PillowImage.fromarray(np.dstack([pixels, pixels[..., 0]]))
    linear = bytes(imagecodecs.cms_profile("rgb", whitepoint=(0.3127, 0.329, 1.0), gamma=1.0))
    made = {
        "rgb.png": by_pillow(rgb, "PNG", icc_profile=linear),
        "palette.png": by_pillow(rgb.quantize(16), "PNG"),
        "deep.png": imagecodecs.png_encode(deep),
        "a.jpg": by_pillow(rgb, "JPEG", icc_profile=linear),
        "cmyk.jpg": by_pillow(rgb.convert("CMYK"), "JPEG"),
        "progressive.jpg": by_pillow(rgb, "JPEG", progressive=True),
        "a.webp": by_pillow(rgba, "WEBP"),
        "lossless.webp": by_pillow(rgb, "WEBP", lossless=True),
        "a.gif": by_pillow(rgb, "GIF"),
        "a.bmp": by_pillow(rgb, "BMP"),
        "a.ppm": by_pillow(rgb, "PPM"),
        "plain.pgm": b"P2 4 2 15\n" + b" ".join(b"%d" % value for value in range(8)),
        "a.tif": by_tifffile(pixels, photometric="rgb"),
        "deflate.tif": by_tifffile(deep, photometric="rgb", compression="zlib", predictor=True),
        "tiles.tif": by_tifffile(pixels, photometric="rgb", tile=(16, 16), compression="lzw"),
        "group4.tif": by_pillow(rgb.convert("1"), "TIFF", compression="group4"),
        "jpeg.tif": by_pillow(rgb, "TIFF", compression="jpeg"),
        "a.avif": imagecodecs.avif_encode(pixels, level=90, speed=10),
        "a.jp2": imagecodecs.jpeg2k_encode(pixels, codecformat="jp2", level=30),
        "a.j2k": imagecodecs.jpeg2k_encode(deep, codecformat="j2k", reversible=True),
        "a.jxl": imagecodecs.jpegxl_encode(pixels, level=90, effort=1),
        "deep.jxl": imagecodecs.jpegxl_encode(deep, lossless=True, effort=1),
    }
    with_heif = True
    try:
        import pillow_heif
    except ImportError:
        with_heif = False
    if with_heif:
        buffer = io.BytesIO()
        pillow_heif.from_pillow(rgb).save(buffer, quality=50)
        made["a.heic"] = buffer.getvalue()
    return made


def mutated(data, rng):
    """Return a file with one kind of damage: bytes changed, cut, removed, repeated, or extreme numbers put in."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        place = rng.randrange(len(changed))
        if rng.random() < 0.5:  # headers are where the damage is worst
            place = rng.randrange(min(len(changed), 128))
        kind = rng.randrange(6)
        if kind == 0:
            changed[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            changed[place] = rng.randrange(256)
        elif kind == 2:
            changed[place : place + 4] = rng.choice(
                (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\1")
            )
        elif kind == 3:
            del changed[place : place + rng.randrange(1, 64)]
        elif kind == 4:
            changed[place:place] = changed[place : place + rng.randrange(1, 64)]
        else:
            del changed[place:]
        if not changed:
            break
    return bytes(changed)


def damage(tmp_path, count, seed):
    rng = random.Random(seed)
    whole = files()
    read = 0
    for number in range(count):
        name = rng.choice(sorted(whole))
        path = tmp_path / name
        data = mutated(whole[name], rng)
        path.write_bytes(data)
        try:
            found = read_image(path)
        except ImageError as error:
            assert str(error).startswith(f"{path}: "), (number, str(error))
        else:
            assert isinstance(found, Image)
            assert found.size <= 3_000_000
            read += 1
    return read


@pytest.fixture(autouse=True)
def limit(monkeypatch):
    monkeypatch.setenv("QBENCH_MAX_PIXELS", "1000000")


def test_every_format_of_the_table_is_damaged(tmp_path):
    whole = files()
    known = set()
    for name, data in whole.items():
        (tmp_path / name).write_bytes(data)
        assert read_image(tmp_path / name).size
        known |= {form.name for form in FORMATS if form.begins(data)}
    assert {form.name for form in FORMATS} - known <= {"HEIC (with pillow-heif)"}


def test_300_mutations(tmp_path):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert damage(tmp_path, 300, seed=1) > 20
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown / (2**20 if sys.platform == "darwin" else 2**10) < MOST_MEGABYTES


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 12))
def test_1000_mutations(tmp_path, seed):
    damage(tmp_path, 1000, seed)
