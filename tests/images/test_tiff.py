"""TIFF as its tags say (TIFF 6.0), at 8 and 16 bits alike."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from conftest import sample_pixels
from PIL import Image

from qbench.errors import ImageError
from qbench.images.reading import read_image

PIXELS = sample_pixels(24, 16)
DEEP = PIXELS.astype(np.uint16) * 257
BOTH = pytest.mark.parametrize("samples", [PIXELS, DEEP], ids=["8-bit", "16-bit"])


def read(path, samples, **options):
    tifffile.imwrite(path, samples, **options)
    return read_image(path)


def depth_note(samples):
    return ("16-bit converted to 8-bit",) if samples.dtype == np.uint16 else ()


@BOTH
def test_white_is_zero(tmp_path, samples):
    grey = samples[..., 0]
    found = read(tmp_path / "a.tif", np.iinfo(grey.dtype).max - grey, photometric="miniswhite")
    assert np.array_equal(found.pixels[..., 1], PIXELS[..., 0])
    assert found.notes == ("white is zero: inverted", *depth_note(samples), "grey converted to RGB")


@BOTH
def test_cmyk(tmp_path, samples):
    most = np.iinfo(samples.dtype).max
    ink = np.dstack([most - samples, np.zeros_like(samples[..., 0])])
    found = read(tmp_path / "a.tif", ink, photometric="separated")
    assert np.array_equal(found.pixels, PIXELS)
    assert found.notes == ("CMYK converted to RGB", *depth_note(samples))


@BOTH
def test_an_extra_sample_of_no_meaning_is_no_alpha(tmp_path, samples):
    found = read(
        tmp_path / "a.tif", np.dstack([samples, samples[..., 0] * 0]), photometric="rgb", extrasamples=["unspecified"]
    )
    assert np.array_equal(found.pixels, PIXELS)
    assert found.notes == ("1 extra sample of no declared meaning dropped", *depth_note(samples))


@BOTH
def test_associated_alpha_is_undone(tmp_path, samples):
    most = np.iinfo(samples.dtype).max
    alpha = np.full(samples.shape[:2], most, samples.dtype)
    alpha[:, :12] = most // 2
    share = alpha[..., None] / most
    held = np.rint(samples * share).astype(samples.dtype)
    found = read(tmp_path / "a.tif", np.dstack([held, alpha]), photometric="rgb", extrasamples=["assocalpha"])
    expected = PIXELS * share + 255 * (1 - share)  # on white
    assert np.abs(found.pixels - expected).max() <= 1.01
    assert np.array_equal(found.pixels[:, 12:], PIXELS[:, 12:])
    assert found.notes == ("premultiplied alpha undone", *depth_note(samples), "alpha composited on white")


@BOTH
def test_unassociated_alpha(tmp_path, samples):
    alpha = np.zeros(samples.shape[:2], samples.dtype)
    found = read(tmp_path / "a.tif", np.dstack([samples, alpha]), photometric="rgb", extrasamples=["unassalpha"])
    assert (found.pixels == 255).all()


@BOTH
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_samples_in_planes(tmp_path, samples, byteorder):
    planes = np.ascontiguousarray(np.moveaxis(samples, -1, 0))
    found = read(tmp_path / "a.tif", planes, photometric="rgb", planarconfig="separate", byteorder=byteorder)
    assert np.array_equal(found.pixels, PIXELS)


def test_twelve_bits_are_twelve_bits(tmp_path):
    values = np.array([[0, 1, 2047, 2048, 4094, 4095]] * 2, np.uint16)
    packed = np.zeros((2, 9), np.uint8)  # two samples in three bytes
    for row in range(2):
        bits = "".join(f"{value:012b}" for value in values[row])
        packed[row] = [int(bits[place : place + 8], 2) for place in range(0, 72, 8)]
    path = tmp_path / "a.tif"
    tags = ((256, 6), (257, 2), (258, 12), (259, 1), (262, 1), (273, 8), (277, 1), (278, 2), (279, 18))
    directory = b"".join(
        number.to_bytes(2, "little")
        + (4).to_bytes(2, "little")
        + (1).to_bytes(4, "little")
        + value.to_bytes(4, "little")
        for number, value in tags
    )
    path.write_bytes(
        b"II*\0"
        + (26).to_bytes(4, "little")
        + packed.tobytes()
        + len(tags).to_bytes(2, "little")
        + directory
        + bytes(4)
    )
    found = read_image(path)
    assert found.pixels[0, :, 0].tolist() == [round(value * 255 / 4095) for value in values[0].tolist()]
    assert found.notes == ("12-bit converted to 8-bit", "grey converted to RGB")


def test_a_palette_of_either_convention(tmp_path):
    for factor in (256, 257):
        colours = np.zeros((3, 256), np.uint16)
        colours[:, :2] = np.array([[255, 10], [0, 20], [0, 30]]) * factor
        found = read(tmp_path / "a.tif", np.array([[0, 1]], np.uint8), photometric="palette", colormap=colours)
        assert found.pixels.tolist() == [[[255, 0, 0], [10, 20, 30]]]
        assert found.notes == ("palette converted to RGB",)


@pytest.mark.parametrize("compression", ["group4", "jpeg", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_pillows_compressions_agree_with_pillow(tmp_path, compression):
    path = tmp_path / "a.tif"
    image = Image.fromarray(PIXELS)
    image = image.convert("1") if compression == "group4" else image
    image.save(path, compression=compression)
    with Image.open(path) as opened:
        assert np.array_equal(read_image(path).pixels, np.asarray(opened.convert("RGB")))


def test_the_orientation_tag(tmp_path):
    found = read(tmp_path / "a.tif", PIXELS, photometric="rgb", extratags=[(274, 3, 1, 6, False)])
    assert np.array_equal(found.pixels, np.rot90(PIXELS, -1))
    assert found.notes == ("rotated by its EXIF orientation",)


def test_the_orientation_of_what_libtiff_decodes(tmp_path):
    path = tmp_path / "a.tif"
    image = Image.fromarray(PIXELS).convert("1")
    image.save(path, compression="group4", tiffinfo={274: 6})
    found = read_image(path)
    assert np.array_equal(found.pixels[..., 0], np.rot90(np.asarray(image), -1) * 255)
    assert "rotated by its EXIF orientation" in found.notes


@pytest.mark.parametrize(
    ("samples", "options", "problem"),
    [
        (np.zeros((4, 4), np.float32), {}, "32-bit floating point have no agreed conversion to 8 bits"),
        (np.zeros((4, 4), np.int16), {}, "16-bit signed integers have no agreed conversion"),
        (np.zeros((4, 4), np.uint32), {}, "32-bit integers have no agreed conversion"),
        (
            np.zeros((4, 4, 3), np.uint8),
            {"photometric": "cielab"},
            "photometric interpretation CIELAB has no conversion",
        ),
    ],
)
def test_what_has_no_conversion_is_refused(tmp_path, samples, options, problem):
    with pytest.raises(ImageError, match=rf"a\.tif: .*{problem}"):
        read(tmp_path / "a.tif", samples, **options)


def test_nothing_is_printed_about_a_damaged_file(tmp_path, capfd):
    path = tmp_path / "a.tif"
    Image.fromarray(PIXELS).convert("1").save(path, compression="group4")
    data = bytearray(path.read_bytes())
    data[8:40] = b"\xff" * 32
    path.write_bytes(data)
    try:
        read_image(path)
    except ImageError as error:
        assert "a.tif" in str(error)
    assert capfd.readouterr().err == ""
