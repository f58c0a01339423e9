from __future__ import annotations

import io
import struct
import zlib

import imagecodecs
import numpy as np
import pytest
import tifffile
from conftest import sample_pixels
from PIL import Image, ImageCms

from qbench.errors import ImageError
from qbench.images.image import Image as QbenchImage
from qbench.images.reading import read_image


def save(path, image, **options):
    image.save(path, **options)
    return path


@pytest.mark.parametrize("size", [(1, 1), (1, 17), (17, 1), (33, 21), (64, 64)])
def test_rgb_is_taken_as_it_is(tmp_path, size):
    pixels = sample_pixels(*size)
    read = read_image(save(tmp_path / "a.png", Image.fromarray(pixels)))
    assert np.array_equal(read.pixels, pixels)
    assert read.notes == ()
    assert (read.width, read.height) == size
    assert not read.pixels.flags.writeable


def test_grey_becomes_rgb(tmp_path):
    grey = sample_pixels(9, 7)[..., 0]
    read = read_image(save(tmp_path / "a.png", Image.fromarray(grey)))
    assert np.array_equal(read.pixels, np.repeat(grey[..., None], 3, axis=2))
    assert read.notes == ("grey converted to RGB",)


def test_alpha_is_composited_on_white(tmp_path):
    rgba = np.zeros((2, 2, 4), np.uint8)
    rgba[0, 0] = (10, 20, 30, 255)
    rgba[1, 1] = (10, 20, 30, 51)  # a fifth
    read = read_image(save(tmp_path / "a.png", Image.fromarray(rgba)))
    assert read.notes == ("alpha composited on white",)
    assert read.pixels[0, 0].tolist() == [10, 20, 30]
    assert read.pixels[0, 1].tolist() == [255, 255, 255]
    assert read.pixels[1, 1].tolist() == [206, 208, 210]


def test_an_opaque_alpha_changes_nothing(tmp_path):
    pixels = sample_pixels(8, 8)
    rgba = np.dstack([pixels, np.full((8, 8), 255, np.uint8)])
    read = read_image(save(tmp_path / "a.png", Image.fromarray(rgba)))
    assert np.array_equal(read.pixels, pixels)
    assert read.notes == ()


def test_a_palette_with_a_transparent_colour(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 0), 1)
    read = read_image(save(tmp_path / "a.png", image, transparency=1))
    assert read.pixels.tolist() == [[[255, 0, 0], [255, 255, 255]]]
    assert read.notes == ("palette converted to RGB", "alpha composited on white")


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits_are_rounded_not_cut(tmp_path, channels):
    values = np.array([0, 128, 129, 255, 256, 384, 386, 65535 - 128, 65535], np.uint16).reshape(1, 9, 1)
    deep = np.repeat(values, channels, axis=2)
    if channels == 4:
        deep[..., 3] = 65535
    path = tmp_path / "a.png"
    path.write_bytes(imagecodecs.png_encode(deep[..., 0] if channels == 1 else deep))
    read = read_image(path)
    expected = np.round(values[0, :, 0] / 257).astype(int).tolist()
    assert read.pixels[0, :, 0].tolist() == expected
    assert "16-bit converted to 8-bit" in read.notes


def test_sixteen_bit_tiff(tmp_path):
    deep = (sample_pixels(12, 10).astype(np.uint16) * 257) + 100
    tifffile.imwrite(tmp_path / "a.tif", deep, photometric="rgb")
    read = read_image(tmp_path / "a.tif")
    assert np.array_equal(read.pixels, np.round(deep / 257).astype(np.uint8))
    assert read.notes == ("16-bit converted to 8-bit",)


@pytest.mark.parametrize("kind", ["big-endian TIFF", "PGM"])
def test_other_sixteen_bit_grey(tmp_path, kind):
    deep = (sample_pixels(12, 10)[..., 0].astype(np.uint16) * 257) + 100
    path = tmp_path / ("a.tif" if kind == "big-endian TIFF" else "a.pgm")
    if kind == "big-endian TIFF":
        tifffile.imwrite(path, deep, byteorder=">")
    else:
        path.write_bytes(b"P5 12 10 65535\n" + deep.astype(">u2").tobytes())
    read = read_image(path)
    assert np.array_equal(read.pixels[..., 0], np.round(deep / 257).astype(np.uint8))
    assert read.notes == ("16-bit converted to 8-bit", "grey converted to RGB")


def test_exif_orientation_is_applied(tmp_path):
    pixels = sample_pixels(10, 6)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it rotated by 90° clockwise
    read = read_image(save(tmp_path / "a.png", Image.fromarray(pixels), exif=exif))
    assert np.array_equal(read.pixels, np.rot90(pixels, -1))
    assert read.notes == ("rotated by its orientation tag",)


def test_an_icc_profile_is_converted_to_srgb(tmp_path):
    pixels = sample_pixels(16, 16)
    # A profile with red and blue exchanged: converting to sRGB must exchange them back.
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    tags = {bytes(profile[offset : offset + 4]): offset for offset in range(132, 132 + 12 * 17, 12)}
    red, blue = tags[b"rXYZ"], tags[b"bXYZ"]
    profile[red + 4 : red + 12], profile[blue + 4 : blue + 12] = (
        profile[blue + 4 : blue + 12],
        profile[red + 4 : red + 12],
    )
    description = profile.find("sRGB".encode("utf-16-be"))
    profile[description : description + 8] = "gBRs".encode("utf-16-be")
    read = read_image(save(tmp_path / "a.png", Image.fromarray(pixels), icc_profile=bytes(profile)))
    assert np.abs(read.pixels.astype(int) - pixels[..., ::-1]).max() <= 2
    assert len(read.notes) == 1
    assert "converted to sRGB" in read.notes[0]


def test_an_srgb_profile_leaves_pixels_alone(tmp_path):
    pixels = sample_pixels(16, 16)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    read = read_image(save(tmp_path / "a.png", Image.fromarray(pixels), icc_profile=profile))
    assert np.array_equal(read.pixels, pixels)
    assert read.notes == ()


def test_a_broken_profile_is_ignored_and_said(tmp_path):
    pixels = sample_pixels(8, 8)
    read = read_image(save(tmp_path / "a.png", Image.fromarray(pixels), icc_profile=b"not a profile"))
    assert np.array_equal(read.pixels, pixels)
    assert read.notes == ("unusable ICC profile ignored",)


def test_cmyk_and_animations(tmp_path):
    cmyk = Image.new("CMYK", (4, 4), (0, 255, 255, 0))
    read = read_image(save(tmp_path / "a.jpg", cmyk, quality=100))
    assert read.notes == ("CMYK converted to RGB",)
    assert read.pixels[0, 0, 0] > 240
    frames = [Image.new("RGB", (5, 5), colour) for colour in ("red", "blue")]
    read = read_image(save(tmp_path / "a.gif", frames[0], save_all=True, append_images=frames[1:]))
    assert read.notes[0] == "first of 2 frames"
    assert read.pixels[0, 0].tolist() == [255, 0, 0]


def test_floating_point_is_refused_with_advice(tmp_path):
    save(tmp_path / "a.tif", Image.fromarray(np.zeros((4, 4), np.float32)))
    with pytest.raises(ImageError, match=r"floating point.*no agreed conversion to 8 bits"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "tif", "ppm", "gif"])
def test_truncated_files_are_refused(tmp_path, suffix):
    path = save(tmp_path / f"a.{suffix}", Image.fromarray(sample_pixels(64, 64)))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ImageError, match=rf"a\.{suffix}: "):
        read_image(path)


def test_a_decompression_bomb_is_refused_before_it_unfolds(tmp_path):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(10_000))
    path = tmp_path / "bomb.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b""))
    with pytest.raises(
        ImageError, match="refused: 50000×50000 are 2500000000 pixels, more than 178956970; set QBENCH_MAX_PIXELS"
    ):
        read_image(path)


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(ImageError, match=r"nope\.png: can't read the image: No such file"):
        read_image(tmp_path / "nope.png")
    with pytest.raises(ImageError, match="can't read the image"):
        read_image(tmp_path)


def test_the_digest_is_of_pixels_not_of_files(tmp_path):
    pixels = sample_pixels(20, 10)
    one = read_image(save(tmp_path / "a.png", Image.fromarray(pixels)))
    other = read_image(save(tmp_path / "a.bmp", Image.fromarray(pixels)))
    assert one.digest == other.digest == QbenchImage(pixels).digest
    assert QbenchImage(pixels.reshape(20, 10, 3)).digest != one.digest


def test_reads_the_same_as_pillow_alone(tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(sample_pixels(40, 30)).save(buffer, "JPEG", quality=60)
    (tmp_path / "a.jpg").write_bytes(buffer.getvalue())
    assert np.array_equal(read_image(tmp_path / "a.jpg").pixels, np.asarray(Image.open(buffer)))


def test_an_orientation_in_xmp_is_none(tmp_path):
    """Only EXIF's counts, as in browsers and in PNG."""
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    xmp += b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
    path = tmp_path / "a.jpg"
    Image.fromarray(sample_pixels(30, 20)).save(path, xmp=xmp)
    found = read_image(path)
    assert (found.pixels.shape, found.notes) == ((20, 30, 3), ())


def test_adobe_rgb_as_cameras_state_it(tmp_path):
    """DCF's optional colour space: R03 without a profile; the value by Adobe RGB (1998)'s own formulas."""
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA001] = 0xFFFF
    exif.get_ifd(0x8769)[0xA005] = {1: "R03"}
    path = tmp_path / "a.jpg"
    flat = Image.new("RGB", (16, 16), (100, 150, 200))
    flat.save(path, exif=exif, quality=100, subsampling=0)
    plain = tmp_path / "plain.jpg"
    flat.save(plain, quality=100, subsampling=0)
    light = (read_image(plain).pixels[0, 0] / 255) ** 2.19921875
    to_xyz = np.array([[0.57667, 0.18556, 0.18823], [0.29734, 0.62736, 0.07529], [0.02703, 0.07069, 0.99134]])
    to_srgb = np.array([[3.24097, -1.53738, -0.49861], [-0.96924, 1.87597, 0.04156], [0.05563, -0.20398, 1.05697]])
    linear = (to_srgb @ to_xyz @ light).clip(0, 1)
    expected = 255 * np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    found = read_image(path)
    assert np.abs(found.pixels[0, 0] - expected).max() < 0.6
    assert found.notes == ("Adobe RGB (by EXIF) converted to sRGB",)


def test_a_gif_without_a_palette_has_no_colours(tmp_path):
    path = tmp_path / "a.gif"
    Image.fromarray(sample_pixels(8, 8)).save(path)
    data = bytearray(path.read_bytes())
    entries = 3 << ((data[10] & 7) + 1)
    data[10] &= 0x7F
    path.write_bytes(data[:13] + data[13 + entries :])
    with pytest.raises(ImageError, match="GIF without a palette has no defined colours"):
        read_image(path)
