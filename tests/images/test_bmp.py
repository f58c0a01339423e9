"""BMP as its header says; the headers are written here, from Microsoft's documentation of BITMAPV5HEADER."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from conftest import sample_pixels
from PIL import Image, ImageCms

from qbench.errors import ImageError
from qbench.images.reading import read_image

PIXELS = sample_pixels(13, 9)


def bmp(path, words, bits, masks=(), kind=None, ends=(0,) * 9, gammas=(0,) * 3, profile=b"", top_down=False):
    """Write words of 16 or 32 bits, or colours of 24, under a header that is as long as it need be."""
    height, width = words.shape[:2]
    compression = 3 if masks else 0
    size = 40 if kind is None else 124
    header = struct.pack(
        "<IiiHHIIiiII", size, width, -height if top_down else height, 1, bits, compression, 0, 0, 0, 0, 0
    )
    if kind is not None:
        header += struct.pack("<4I", *(*masks, 0, 0, 0, 0)[:4])
        header += struct.pack("<I9i3I", kind, *ends, *gammas)
        header += struct.pack("<4I", 4, 0, len(profile), 0)
    elif masks:
        header += struct.pack("<3I", *masks)
    rows = words if top_down else words[::-1]
    body = b""
    for row in rows:
        line = np.ascontiguousarray(row).tobytes()
        body += line + bytes(-len(line) % 4)
    start = 14 + len(header)
    if profile:
        header = header[:112] + struct.pack("<I", len(header) + len(body)) + header[116:]
    path.write_bytes(b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + header + body + profile)
    return read_image(path)


@pytest.mark.parametrize("top_down", [False, True])
def test_bits_of_16_bit_samples_are_widened_with_rounding(tmp_path, top_down):
    five = PIXELS.astype(int) >> 3
    six = PIXELS[..., 1].astype(int) >> 2
    words = (five[..., 0] << 11 | six << 5 | five[..., 2]).astype(np.uint16)
    found = bmp(tmp_path / "a.bmp", words, 16, (0xF800, 0x7E0, 0x1F), top_down=top_down)
    expected = np.stack(
        [np.rint(five[..., 0] * 255 / 31), np.rint(six * 255 / 63), np.rint(five[..., 2] * 255 / 31)], -1
    )
    assert np.array_equal(found.pixels, expected)
    assert found.notes == ("samples of 5-6-5 bits widened",)
    words = (five[..., 0] << 10 | five[..., 1] << 5 | five[..., 2]).astype(np.uint16)
    assert np.array_equal(bmp(tmp_path / "b.bmp", words, 16).pixels, np.rint(five * 255 / 31))


def test_words_of_32_bits(tmp_path):
    red, green, blue = (PIXELS[..., each].astype(np.uint32) for each in range(3))
    assert np.array_equal(bmp(tmp_path / "a.bmp", red << 16 | green << 8 | blue, 32).pixels, PIXELS)
    ten = [np.rint(each * 1023 / 255).astype(np.uint32) for each in (red, green, blue)]
    words = ten[0] << 20 | ten[1] << 10 | ten[2]
    found = bmp(tmp_path / "b.bmp", words, 32, (0x3FF00000, 0xFFC00, 0x3FF))
    assert np.array_equal(found.pixels, PIXELS)
    assert "samples of 10-10-10 bits widened" in found.notes


def test_alpha_by_a_mask(tmp_path):
    red, green, blue = (PIXELS[..., each].astype(np.uint32) for each in range(3))
    masks = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    found = bmp(tmp_path / "a.bmp", red << 16 | green << 8 | blue | 128 << 24, 32, masks, kind=0x73524742)
    assert np.abs(found.pixels - (PIXELS.astype(int) * 128 / 255 + 127)).max() <= 1
    assert found.notes == ("alpha composited on white",)


def colour(path, **options):
    return bmp(path, np.ascontiguousarray(PIXELS[..., ::-1]), 24, **options)


def to_srgb(light):
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * np.maximum(light, 1e-9) ** (1 / 2.4) - 0.055)


def test_colours_that_a_header_describes(tmp_path):
    assert np.array_equal(colour(tmp_path / "a.bmp", kind=0x73524742).pixels, PIXELS)  # sRGB
    assert colour(tmp_path / "b.bmp", kind=0x57696E20).notes == ()  # Windows
    assert colour(tmp_path / "c.bmp", kind=0).notes == ()  # nothing is stated
    linear = colour(tmp_path / "d.bmp", kind=0, gammas=(1 << 16,) * 3)
    assert np.array_equal(linear.pixels, np.rint(255 * to_srgb(PIXELS / 255)))
    assert linear.notes == ("gamma 1 converted to sRGB",)
    srgb = ((0.4124, 0.2126, 0.0193), (0.3576, 0.7152, 0.1192), (0.1805, 0.0722, 0.9505))  # IEC 61966-2-1
    ends = [round(each * 2**30) for end in srgb for each in end]
    assert colour(tmp_path / "e.bmp", kind=0, ends=ends).notes == ()
    places = [round(each * 2**30) for each in (0.64, 0.33, 0.03, 0.30, 0.60, 0.10, 0.15, 0.06, 0.79)]
    assert colour(tmp_path / "i.bmp", kind=0, ends=places, gammas=(round(2**16 / 2.2),) * 3).notes == ()
    swapped = colour(tmp_path / "f.bmp", kind=0, ends=ends[3:6] + ends[:3] + ends[6:])
    assert np.abs(swapped.pixels - PIXELS[..., [1, 0, 2]].astype(int)).max() <= 1
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert colour(tmp_path / "g.bmp", kind=0x4D424544, profile=profile).notes == ()
    assert "unusable ICC profile ignored" in colour(tmp_path / "h.bmp", kind=0x4D424544, profile=b"nothing").notes


def test_what_would_be_read_wrong_is_refused(tmp_path):
    for options, message in (
        ({"kind": 0x4C494E4B}, "its colour profile is in another file"),
        ({"kind": 0, "gammas": (1 << 16, 1 << 17, 1 << 16)}, "a gamma of each colour's own"),
    ):
        with pytest.raises(ImageError, match=message):
            colour(tmp_path / "a.bmp", **options)
    with pytest.raises(ImageError, match="masks of scattered bits"):
        bmp(tmp_path / "b.bmp", np.zeros((2, 2), np.uint16), 16, (0xA000, 0x3E0, 0x1F))


def test_agrees_with_pillow(tmp_path):
    for mode in ("RGB", "L", "P", "1"):
        image = Image.fromarray(PIXELS).convert(mode)
        image.save(tmp_path / "a.bmp")
        assert np.array_equal(read_image(tmp_path / "a.bmp").pixels, np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_palettes_of_every_depth_and_colour(tmp_path, bits):
    path = tmp_path / "a.bmp"
    indices = (np.arange(5 * 7) % 2).astype(np.uint8).reshape(5, 7)
    body = b""
    for row in indices[::-1]:
        spread = (row[:, None] >> np.arange(bits - 1, -1, -1)) & 1
        line = np.packbits(spread.ravel()).tobytes()
        body += line + bytes(-len(line) % 4)
    for palette in (b"\0\0\0\0\xff\xff\xff\0", b"\1\2\3\0\xc8\x64\x0a\0"):  # blue, green, red
        header = struct.pack("<IiiHHIIiiII", 40, 7, 5, 1, bits, 0, 0, 0, 0, 2, 0) + palette
        path.write_bytes(b"BM" + struct.pack("<IHHI", 62 + len(body), 0, 0, 62) + header + body)
        colours = np.frombuffer(palette, np.uint8).reshape(2, 4)[:, 2::-1]
        assert np.array_equal(read_image(path).pixels, colours[indices])
    path.write_bytes(path.read_bytes()[:-8] + b"\xff" * 8)
    if bits > 1:
        with pytest.raises(ImageError, match="it uses colours that its palette of 2 lacks"):
            read_image(path)
