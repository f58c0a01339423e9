"""TIFF as its tags say (TIFF 6.0), at 8 and 16 bits alike."""

from __future__ import annotations

import struct
import zlib

import imagecodecs
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
    assert found.notes == ("rotated by its orientation tag",)


def test_the_orientation_of_what_libtiff_decodes(tmp_path):
    path = tmp_path / "a.tif"
    image = Image.fromarray(PIXELS).convert("1")
    image.save(path, compression="group4", tiffinfo={274: 6})
    found = read_image(path)
    assert np.array_equal(found.pixels[..., 0], np.rot90(np.asarray(image), -1) * 255)
    assert "rotated by its orientation tag" in found.notes


@pytest.mark.parametrize(
    ("samples", "options", "problem"),
    [
        (np.zeros((4, 4), np.float32), {}, "32-bit floating point have no agreed conversion to 8 bits"),
        (np.zeros((4, 4), np.int16), {}, "16-bit signed integers have no agreed conversion"),
        (np.zeros((4, 4), np.uint32), {}, "32-bit integers have no agreed conversion"),
        (
            np.zeros((4, 4, 3), np.uint8),
            {"photometric": "cielab"},
            "photometric interpretation CIELAB is not supported",
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


def to_srgb(light):
    """IEC 61966-2-1, of light in [0, 1]."""
    light = np.asarray(light, np.float64)
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * np.maximum(light, 1e-9) ** (1 / 2.4) - 0.055)


def patched(path, tag, change):
    """Change the entries of a tag in place: ``change`` gets the bytes of the classic little-endian file."""
    data = bytearray(path.read_bytes())
    (directory,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, directory)
    for place in range(directory + 2, directory + 2 + 12 * count, 12):
        if struct.unpack_from("<H", data, place)[0] == tag:
            change(data, place)
            path.write_bytes(data)
            return
    raise AssertionError(f"no tag {tag}")


def test_a_transfer_function_says_what_samples_mean(tmp_path):
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    linear = tuple(round(65_535 * each / 255) for each in range(256))
    found = read(tmp_path / "a.tif", ramp, extratags=[(301, "H", 256, linear, True)])
    assert np.array_equal(found.pixels[..., 0], np.rint(255 * to_srgb(ramp / 255)))
    assert "transfer function of its own converted to sRGB" in found.notes
    gamma = tuple(round(65_535 * (each / 255) ** 1.8) for each in range(256)) + 2 * linear
    colour = np.stack([ramp, ramp.T, ramp], axis=-1)
    found = read(tmp_path / "b.tif", colour, photometric="rgb", extratags=[(301, "H", 768, gamma, True)])
    light = np.stack([(ramp / 255) ** 1.8, ramp.T / 255, ramp / 255], axis=-1)
    assert np.abs(found.pixels - np.rint(255 * to_srgb(light))).max() <= 1


def test_primaries_are_converted_and_those_of_srgb_left_alone(tmp_path):
    colour = sample_pixels(16, 12)
    whites = {"srgb": ((3127, 3290), (64, 33, 30, 60, 15, 6)), "p3": ((3127, 3290), (68, 32, 265, 69, 15, 6))}
    for name, (white, primaries) in whites.items():
        fractions = (white[0], 10_000, white[1], 10_000)
        places = tuple(part for each in primaries for part in (each, 1000 if each == 265 else 100))
        tags = [(318, "2I", 2, fractions, True), (319, "2I", 6, places, True)]
        found = read(tmp_path / f"{name}.tif", colour, photometric="rgb", extratags=tags)
        if name == "srgb":
            assert np.array_equal(found.pixels, colour)
        else:
            assert "primaries of its own converted to sRGB" in found.notes
            png = tmp_path / "p3.png"
            chunk = b"cHRM" + struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
            whole = imagecodecs.png_encode(colour)
            cut = whole.index(b"IDAT") - 4
            made = struct.pack(">I", 32) + chunk + struct.pack(">I", zlib.crc32(chunk))
            png.write_bytes(whole[:cut] + made + whole[cut:])
            assert np.array_equal(found.pixels, read_image(png).pixels)


def test_ycbcr_without_compression(tmp_path):
    rgb = sample_pixels(16, 12).astype(float)
    r, g, b = np.moveaxis(rgb, -1, 0)
    y = 0.299 * r + 0.587 * g + 0.114 * b
    samples = np.stack([y, 128 + (b - y) / 1.772, 128 + (r - y) / 1.402], axis=-1).round().clip(0, 255).astype(np.uint8)
    found = read(tmp_path / "a.tif", samples, photometric="ycbcr", extratags=[(530, "H", 2, (1, 1), True)])
    assert np.abs(found.pixels - rgb).max() <= 2
    assert "YCbCr converted to RGB" in found.notes


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (
            {"extratags": [(532, "2I", 6, (16, 1, 235, 1) + (128, 1, 240, 1) * 2, True)]},
            "black and white are not the ends",
        ),
        ({"extratags": [(50706, "B", 4, (1, 4, 0, 0), True)]}, "DNG is a raw photograph"),
        ({"subfiletype": 1}, "only thumbnails or masks"),
    ],
)
def test_what_would_be_read_wrong_is_refused(tmp_path, options, problem):
    with pytest.raises(ImageError, match=problem):
        read(tmp_path / "a.tif", sample_pixels(16, 12), photometric="rgb", **options)


def test_a_thumbnail_in_front_is_passed_over(tmp_path):
    path = tmp_path / "a.tif"
    whole = sample_pixels(32, 24)
    with tifffile.TiffWriter(path) as file:
        file.write(whole[::4, ::4], photometric="rgb", subfiletype=1)
        file.write(whole, photometric="rgb")
    assert np.array_equal(read_image(path).pixels, whole)


def test_a_palette_with_alpha(tmp_path):
    indices = (np.arange(64) % 4).astype(np.uint8).reshape(8, 8)
    alpha = np.where(indices > 1, 255, 0).astype(np.uint8)
    colours = np.zeros((3, 256), np.uint16)
    colours[0, :4] = np.array([10, 20, 30, 40]) * 257
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path,
        np.stack([indices, alpha], axis=-1),
        photometric="minisblack",
        planarconfig="contig",
        extrasamples=["unassalpha"],
        extratags=[(320, "H", 768, tuple(colours.ravel().tolist()), True)],
    )
    patched(path, 262, lambda data, place: data.__setitem__(slice(place + 8, place + 10), b"\x03\0"))
    found = read_image(path)
    assert np.array_equal(found.pixels[..., 0], np.where(indices > 1, (indices + 1) * 10, 255))
    assert "alpha composited on white" in found.notes


def test_segments_that_are_missing_cut_or_of_another_size_are_refused(tmp_path):
    path = tmp_path / "a.tif"
    samples = sample_pixels(32, 24)
    tifffile.imwrite(path, samples, photometric="rgb", rowsperstrip=24)
    patched(path, 279, lambda data, place: data.__setitem__(slice(place + 8, place + 12), bytes(4)))
    with pytest.raises(ImageError, match="strips or tiles of its samples are missing"):
        read_image(path)
    tifffile.imwrite(path, samples, photometric="rgb", compression="jpeg", rowsperstrip=24)
    patched(path, 279, lambda data, place: struct.pack_into("<I", data, place + 8, 500))
    with pytest.raises(ImageError, match="a JPEG strip or tile ends too early"):
        read_image(path)
    tifffile.imwrite(path, samples, photometric="rgb", compression="jpeg", rowsperstrip=24)
    data = path.read_bytes()
    frame = data.index(b"\xff\xc0") + 5
    path.write_bytes(data[:frame] + struct.pack(">HH", 60_000, 60_000) + data[frame + 4 :])
    with pytest.raises(ImageError, match="the size of a JPEG strip or tile doesn't match its tags"):
        read_image(path)
    tifffile.imwrite(path, samples, photometric="rgb", compression="png")
    with pytest.raises(ImageError, match="compressed by PNG is not supported"):
        read_image(path)


def test_transfer_functions_that_change_nothing_or_make_no_sense(tmp_path):
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    usual = tuple(round(65_535 * (each / 255) ** 2.2) for each in range(256))
    assert read(tmp_path / "a.tif", ramp, extratags=[(301, "H", 256, usual, True)]).notes == ("grey converted to RGB",)
    found = read(tmp_path / "b.tif", ramp, extratags=[(301, "H", 256, tuple(range(256)), True)])
    assert found.notes == ("unusable transfer function ignored", "grey converted to RGB")
    assert np.array_equal(found.pixels[..., 0], ramp)


@pytest.mark.parametrize(("dots", "read"), [((0, 255), True), ((0, 255) * 4, True), ((20, 230), False)])
def test_the_range_of_dots_of_cmyk(tmp_path, dots, read):
    path = tmp_path / "a.tif"
    samples = np.zeros((4, 4, 4), np.uint8)
    tifffile.imwrite(path, samples, photometric="separated", extratags=[(336, 3, len(dots), dots, True)])
    if read:
        assert read_image(path).pixels.min() == 255
    else:
        with pytest.raises(ImageError, match="CMYK TIFF whose dots don't span the whole range"):
            read_image(path)
