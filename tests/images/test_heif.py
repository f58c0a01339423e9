"""AVIF and HEIC: what their containers say of colours and orientation."""

from __future__ import annotations

import io

import imagecodecs
import numpy as np
import pytest
from conftest import sample_pixels
from PIL import Image, features

from qbench.errors import ImageError
from qbench.images.reading import read_image

PIXELS = np.asarray(Image.fromarray(sample_pixels(8, 6)).resize((64, 48), Image.Resampling.BICUBIC))
UPRIGHT = {
    1: PIXELS,
    2: PIXELS[:, ::-1],
    3: PIXELS[::-1, ::-1],
    4: PIXELS[::-1],
    5: PIXELS.transpose(1, 0, 2),
    6: np.rot90(PIXELS, -1),
    7: PIXELS.transpose(1, 0, 2)[::-1, ::-1],
    8: np.rot90(PIXELS, 1),
}
"""What EXIF's orientations 1 to 8 make of the pixels."""


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow writes no AVIF")
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_avif_is_turned_as_its_container_says(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(PIXELS).save(tmp_path / "a.avif", quality=100, subsampling="4:4:4", exif=exif)
    found = read_image(tmp_path / "a.avif")
    expected = UPRIGHT[orientation]
    assert found.shape == expected.shape
    assert np.abs(found.pixels.astype(int) - expected).max() <= 3
    assert found.notes == (() if orientation == 1 else ("rotated as its container states",))


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow writes no AVIF")
def test_the_first_of_a_sequence(tmp_path):
    frames = [Image.fromarray(PIXELS), Image.new("RGB", (64, 48))]
    frames[0].save(tmp_path / "a.avif", save_all=True, append_images=frames[1:], quality=100, subsampling="4:4:4")
    found = read_image(tmp_path / "a.avif")
    assert np.abs(found.pixels.astype(int) - PIXELS).max() <= 3
    assert found.notes == ("first of 2 frames",)


def test_an_avif_without_an_image_is_refused(tmp_path):
    data = bytearray(imagecodecs.avif_encode(PIXELS, level=90))
    place = data.find(b"pitm")
    data[place : place + 4] = b"xxxx"
    (tmp_path / "a.avif").write_bytes(data)
    with pytest.raises(ImageError, match=r"a\.avif: damaged"):
        read_image(tmp_path / "a.avif")


def heic(path, pixels, mode="RGB", **options):
    pillow_heif = pytest.importorskip("pillow_heif", reason="pillow-heif is not installed: pip install 'qbench[heif]'")
    made = pillow_heif.from_bytes(mode, pixels.shape[1::-1], np.ascontiguousarray(pixels).tobytes())
    buffer = io.BytesIO()
    made.save(buffer, quality=-1, chroma="444", **{"matrix_coefficients": 0, **options})
    path.write_bytes(buffer.getvalue())
    return read_image(path)


def test_heic(tmp_path):
    found = heic(tmp_path / "a.heic", PIXELS)
    assert np.array_equal(found.pixels, PIXELS)
    assert found.notes == ()


def test_heic_of_ten_bits(tmp_path):
    found = heic(tmp_path / "a.heic", PIXELS.astype(np.uint16) * 257, "RGB;16")
    assert np.abs(found.pixels.astype(int) - PIXELS).max() <= 1
    assert found.notes == ("10-bit converted to 8-bit",)


def test_heic_of_other_colours(tmp_path):
    found = heic(tmp_path / "a.heic", PIXELS, color_primaries=12, transfer_characteristics=13)
    assert found.notes == ("Display P3, sRGB transfer function, converted to sRGB",)
    with pytest.raises(ImageError, match=r"a\.heic: high dynamic range"):
        heic(tmp_path / "a.heic", PIXELS, color_primaries=9, transfer_characteristics=16)
