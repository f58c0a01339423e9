"""Colours of every description, against values worked out from the standards."""

from __future__ import annotations

import struct
import zlib

import imagecodecs
import numpy as np
import pytest
import tifffile
from conftest import sample_pixels
from PIL import Image, ImageCms

from qbench.errors import ImageError
from qbench.images.reading import read_image

PIXELS = sample_pixels(24, 16)
P3 = (0.3127, 0.3290, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060)
RGB_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
P3_TO_XYZ = np.array(
    [[0.4865709, 0.2656677, 0.1982173], [0.2289746, 0.6917385, 0.0792869], [0.0, 0.0451134, 1.0439444]]
)
"""Bruce Lindbloom's matrices, both of D65."""


def to_light(values):
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def from_light(light):
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 1e-12) ** (1 / 2.4) - 0.055)


def p3_to_srgb(pixels, most=255):
    light = to_light(pixels / most) @ P3_TO_XYZ.T @ np.linalg.inv(RGB_TO_XYZ).T
    return np.rint(from_light(light.clip(0, 1)) * 255)


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(path, pixels, *chunks, **options):
    data = imagecodecs.png_encode(pixels)
    path.write_bytes(data[:33] + b"".join(chunk(*each) for each in chunks) + data[33:])  # behind IHDR
    return read_image(path, **options)


def gama(gamma):
    return b"gAMA", struct.pack(">I", round(gamma * 100_000))


def chrm(places):
    return b"cHRM", struct.pack(">8I", *(round(place * 100_000) for place in places))


def iccp(profile):
    return b"iCCP", b"x\0\0" + zlib.compress(profile)


def profile(name="linear", primaries=None, gamma=1.0):
    """An ICC profile with a description of one's choice."""
    white = (0.3127, 0.3290, 1.0)
    places = primaries or (0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
    made = imagecodecs.cms_profile(
        "rgb", whitepoint=white, primaries=[*places[:2], 1, *places[2:4], 1, *places[4:], 1], gamma=gamma
    )
    return bytes(made)


def test_gamma_moves_samples_and_that_of_srgb_does_not(tmp_path):
    ramp = np.repeat(np.arange(256, dtype=np.uint8).reshape(1, -1, 1), 3, axis=2)
    found = png(tmp_path / "a.png", ramp, gama(1.0))
    assert found.pixels[0, 77].tolist() == [149] * 3
    assert np.array_equal(found.pixels[0, :, 0], np.rint(from_light(np.arange(256) / 255) * 255))
    assert found.notes == ("gamma 1 converted to sRGB",)
    for chunks in ([gama(0.45455)], [gama(0.45455), chrm((0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06))]):
        found = png(tmp_path / "a.png", ramp, *chunks)
        assert np.array_equal(found.pixels, ramp)
        assert found.notes == ()


def test_primaries_of_a_png(tmp_path):
    found = png(tmp_path / "a.png", PIXELS, chrm(P3))
    assert np.abs(found.pixels - p3_to_srgb(PIXELS)).max() <= 1
    assert found.notes == ("primaries of its own converted to sRGB",)


@pytest.mark.parametrize("deep", [False, True])
def test_code_points_come_before_all_else(tmp_path, deep):
    pixels = PIXELS.astype(np.uint16) * 257 if deep else PIXELS
    found = png(
        tmp_path / "a.png", pixels, (b"cICP", bytes((12, 13, 0, 1))), iccp(profile()), (b"sRGB", b"\0"), gama(1.0)
    )
    assert np.abs(found.pixels - p3_to_srgb(PIXELS)).max() <= 1
    assert found.notes[0] == "Display P3, sRGB transfer function, converted to sRGB"
    same = png(tmp_path / "a.png", PIXELS, (b"cICP", bytes((1, 13, 0, 1))), iccp(profile()))
    assert np.array_equal(same.pixels, PIXELS)
    assert same.notes == ()


def test_a_profile_before_srgb_before_gamma(tmp_path):
    linear = np.rint(from_light(PIXELS / 255) * 255)
    found = png(tmp_path / "a.png", PIXELS, iccp(profile()), (b"sRGB", b"\0"))
    assert np.abs(found.pixels - linear).max() <= 1
    assert np.array_equal(png(tmp_path / "a.png", PIXELS, (b"sRGB", b"\0"), gama(1.0)).pixels, PIXELS)


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_high_dynamic_range_is_refused(tmp_path, transfer, name):
    with pytest.raises(ImageError, match=rf"a\.png: high dynamic range \({name} transfer function\)"):
        png(tmp_path / "a.png", PIXELS, (b"cICP", bytes((9, transfer, 0, 1))))


def test_a_profile_is_srgb_by_what_it_does_not_by_its_name(tmp_path):
    renamed = bytearray(profile())
    place = renamed.find("RGB built-in".encode("utf-16-be"))
    assert place > 0
    renamed[place : place + 24] = "sRGB, linear".encode("utf-16-be")
    found = png(tmp_path / "a.png", PIXELS, iccp(bytes(renamed)))
    assert "sRGB, linear" in found.notes[0]
    assert np.abs(found.pixels - np.rint(from_light(PIXELS / 255) * 255)).max() <= 1
    srgb = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    place = srgb.find("sRGB".encode("utf-16-be"))
    srgb[place : place + 8] = "odd!".encode("utf-16-be")
    found = png(tmp_path / "a.png", PIXELS, iccp(bytes(srgb)))
    assert np.array_equal(found.pixels, PIXELS)
    assert found.notes == ()


def test_a_profile_is_applied_at_full_depth(tmp_path):
    dark = np.linspace(0, 0.01, 512)
    ramp = np.repeat(np.rint(dark * 65_535).astype(np.uint16).reshape(1, -1, 1), 3, axis=2)
    found = png(tmp_path / "a.png", ramp, iccp(profile()))
    expected = np.rint(from_light(ramp[0, :, 0] / 65_535) * 255)
    assert np.abs(found.pixels[0, :, 0] - expected).max() <= 1
    assert len(np.unique(found.pixels)) == len(np.unique(expected)) == 26
    assert found.notes[1] == "16-bit converted to 8-bit"


def test_an_image_stored_as_16_bit_linear_comes_back(tmp_path):
    linear = np.rint(to_light(PIXELS / 255) * 65_535).astype(np.uint16)
    found = png(tmp_path / "a.png", linear, iccp(profile()))
    assert np.array_equal(found.pixels, PIXELS)


def test_profiles_of_megabytes(tmp_path):
    big = bytearray(profile() + np.random.default_rng(0).bytes(3_000_000))
    big[:4] = len(big).to_bytes(4, "big")
    found = png(tmp_path / "a.png", PIXELS, iccp(bytes(big)), (b"zTXt", b"text\0\0" + zlib.compress(bytes(5_000_000))))
    assert np.abs(found.pixels - np.rint(from_light(PIXELS / 255) * 255)).max() <= 1


def test_a_broken_profile_chunk(tmp_path):
    found = png(tmp_path / "a.png", PIXELS, (b"iCCP", b"x\0\0not deflated"))
    assert np.array_equal(found.pixels, PIXELS)
    assert found.notes == ("unusable ICC profile ignored",)


def test_grey_with_a_profile_of_grey_and_of_rgb(tmp_path):
    grey = np.ascontiguousarray(PIXELS[..., 0])
    expected = np.rint(from_light(grey / 255) * 255)
    for made in (bytes(imagecodecs.cms_profile("gray", gamma=1.0)), profile()):
        found = png(tmp_path / "a.png", grey, iccp(made))
        assert np.abs(found.pixels - expected[..., None]).max() <= 1


def test_the_intent_that_a_profile_states(tmp_path):
    made = bytearray(profile(primaries=(0.64, 0.33, 0.30, 0.60, 0.15, 0.06)))
    made[64:68] = (3).to_bytes(4, "big")
    png(tmp_path / "a.png", PIXELS, iccp(bytes(made)))  # absolute colorimetric: accepted
    made[64:68] = (77).to_bytes(4, "big")
    assert (
        np.abs(
            png(tmp_path / "a.png", PIXELS, iccp(bytes(made))).pixels - np.rint(from_light(PIXELS / 255) * 255)
        ).max()
        <= 1
    )


@pytest.mark.parametrize(("alpha", "expected"), [("white", 204), ("black", 0), ("drop", 0)])
def test_what_transparency_becomes(tmp_path, alpha, expected):
    rgba = np.zeros((4, 4, 4), np.uint8)
    rgba[..., 3] = 51
    found = png(tmp_path / "a.png", rgba, alpha=alpha)
    assert (found.pixels == expected).all()
    assert found.notes == ("alpha dropped" if alpha == "drop" else f"alpha composited on {alpha}",)


# -- AVIF ---------------------------------------------------------------------------------------------------------


def avif(path, pixels, primaries=2, transfer=2, bits=8):
    data = imagecodecs.avif_encode(pixels, level=100, bitspersample=bits)
    place = data.find(b"nclx")
    described = struct.pack(">HH", primaries, transfer)
    path.write_bytes(data[: place + 4] + described + data[place + 8 :])
    return read_image(path)


def test_avif_of_other_colours(tmp_path):
    assert np.array_equal(avif(tmp_path / "a.avif", PIXELS).pixels, PIXELS)
    found = avif(tmp_path / "a.avif", PIXELS, 12, 13)
    assert np.abs(found.pixels - p3_to_srgb(PIXELS)).max() <= 1
    linear = avif(tmp_path / "a.avif", PIXELS, 1, 8)
    assert np.array_equal(linear.pixels, np.rint(from_light(PIXELS / 255) * 255))
    assert linear.notes == ("sRGB primaries, linear, converted to sRGB",)
    for transfer in (16, 18):
        with pytest.raises(ImageError, match=r"a\.avif: high dynamic range"):
            avif(tmp_path / "a.avif", PIXELS, 9, transfer)


@pytest.mark.parametrize("bits", [10, 12])
def test_deep_avif_is_rounded(tmp_path, bits):
    most = (1 << bits) - 1
    deep = np.rint(PIXELS / 255 * most).astype(np.uint16)
    found = avif(tmp_path / "a.avif", deep, bits=bits)
    assert np.array_equal(found.pixels, np.rint(deep / most * 255))
    assert found.notes == (f"{bits}-bit converted to 8-bit",)


# -- JPEG 2000, JPEG XL, PNM --------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("form", ["jp2", "j2k", "jxl"])
def test_white_is_white_at_every_depth(tmp_path, bits, form):
    most = (1 << bits) - 1
    ramp = np.linspace(0, most, 64).round().astype(np.uint8 if bits == 8 else np.uint16)
    pixels = np.repeat(np.tile(ramp, (16, 1))[..., None], 3, axis=2)
    path = tmp_path / f"a.{form}"
    if form == "jxl":
        path.write_bytes(imagecodecs.jpegxl_encode(pixels, lossless=True, bitspersample=bits))
    else:
        path.write_bytes(imagecodecs.jpeg2k_encode(pixels, codecformat=form, bitspersample=bits, reversible=True))
    found = read_image(path)
    notes = () if bits == 8 else (f"{bits}-bit converted to 8-bit",)
    if form == "jxl" and bits > 8:  # imagecodecs writes into the file that more than 8 bits are linear
        assert np.array_equal(found.pixels, np.rint(from_light(pixels / most) * 255))
        assert found.notes == ("gamma 1 converted to sRGB", *notes)
    else:
        assert np.array_equal(found.pixels, np.rint(pixels / most * 255))
        assert found.notes == notes


@pytest.mark.parametrize(
    ("text", "expected", "notes"),
    [
        (
            b"P5 3 1 65535\n\x00\x00\x80\x00\xff\xff",
            [0, 128, 255],
            ("16-bit converted to 8-bit", "grey converted to RGB"),
        ),
        (
            b"P2 # a comment\n3 1\n100\n0 50 100\n",
            [0, 128, 255],
            ("samples up to 100 converted to 8-bit", "grey converted to RGB"),
        ),
        (b"P1\n3 1\n101\n", [0, 255, 0], ("1-bit converted to 8-bit", "grey converted to RGB")),
        (b"P4\n3 1\n\xa0", [0, 255, 0], ("1-bit converted to 8-bit", "grey converted to RGB")),
        (b"P6 1 1 1023\n\x03\xff\x00\x00\x03\xff", [255], ("10-bit converted to 8-bit",)),
        (b"P6 1 1 255\n\xff\x00\xff", [255], ()),
    ],
)
def test_pnm(tmp_path, text, expected, notes):
    path = tmp_path / "a.pnm"
    path.write_bytes(text)
    found = read_image(path)
    assert found.pixels[0, :, 0].tolist() == expected
    assert found.notes == notes


@pytest.mark.parametrize(
    "text",
    [b"P5 3 1", b"P5 3 1 255\nab", b"P2 2 1 255\n1 x", b"P5 1 1 70000\n00", b"P5 1 1 100\n\xff", b"P5 0 1 255\n"],
)
def test_damaged_pnm(tmp_path, text):
    path = tmp_path / "a.pnm"
    path.write_bytes(text)
    with pytest.raises(ImageError, match=r"a\.pnm: "):
        read_image(path)


@pytest.mark.parametrize("orientation", [0, 9, 65_535])
def test_an_orientation_of_no_meaning_changes_nothing(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(PIXELS).save(tmp_path / "a.png", exif=exif)
    found = read_image(tmp_path / "a.png")
    assert np.array_equal(found.pixels, PIXELS)
    assert found.notes == ()


# -- PNG: what is unusable falls to the next ------------------------------------------------------------------------

LINEAR = np.rint(255 * from_light(PIXELS / 255)).astype(np.uint8)


@pytest.mark.parametrize(
    ("broken", "note"),
    [
        ((b"iCCP", b"x\0\0" + zlib.compress(bytes(500))), "unusable ICC profile ignored"),
        ((b"iCCP", b"x\0\0" + zlib.compress(profile())[:-20]), "unusable ICC profile ignored"),
        ((b"cICP", bytes([12, 13, 0])), "damaged chunk cICP ignored"),
        ((b"sRGB", b""), "damaged chunk sRGB ignored"),
        ((b"cHRM", bytes(32)), "unusable chromaticities ignored"),
        ((b"cHRM", bytes(12)), "damaged chunk cHRM ignored"),
    ],
)
def test_gamma_counts_where_what_comes_before_it_is_unusable(tmp_path, broken, note):
    found = png(tmp_path / "a.png", PIXELS, broken, gama(1.0))
    assert np.array_equal(found.pixels, LINEAR)
    assert set(found.notes) == {note, "gamma 1 converted to sRGB"}


def pieces(path):
    data, place, found = path.read_bytes(), 8, []
    while place < len(data):
        (length,) = struct.unpack_from(">I", data, place)
        found.append(data[place : place + 12 + length])
        place += 12 + length
    return found


def test_chunks_in_the_wrong_place_or_damaged(tmp_path):
    path = tmp_path / "a.png"
    png(path, PIXELS)
    signature, (header, *samples, end) = path.read_bytes()[:8], pieces(path)
    gamma = chunk(*gama(1.0))
    cases = {
        "chunk gAMA behind the samples ignored": [header, *samples, gamma, end],
        "damaged chunk gAMA ignored": [header, gamma[:-4] + bytes(4), *samples, end],
        "unusable EXIF data ignored": [header, chunk(b"eXIf", b"not EXIF at all"), *samples, end],
    }
    for note, parts in cases.items():
        path.write_bytes(signature + b"".join(parts))
        found = read_image(path)
        assert np.array_equal(found.pixels, PIXELS)
        assert found.notes == (note,)
    for message, parts in {
        "its header is not its first chunk": [gamma, header, *samples, end],
        "unknown critical chunk 'ABCD'": [header, chunk(b"ABCD", b"x"), *samples, end],
    }.items():
        path.write_bytes(signature + b"".join(parts))
        with pytest.raises(ImageError, match=message):
            read_image(path)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_indices_beyond_the_palette(tmp_path, bits):
    path = tmp_path / "a.png"
    indices = (np.arange(256).reshape(16, 16) % (1 << bits)).astype(np.uint8)
    image = Image.fromarray(indices, "P")
    image.putpalette([each for index in range(1 << bits) for each in (index, 0, 255 - index)])
    image.save(path, bits=bits)
    assert np.array_equal(read_image(path).pixels[..., 0], indices)
    short = b"".join(chunk(b"PLTE", piece[8:-4][:-3]) if piece[4:8] == b"PLTE" else piece for piece in pieces(path))
    path.write_bytes(path.read_bytes()[:8] + short)
    with pytest.raises(ImageError, match="it uses colours that its palette lacks"):
        read_image(path)


# -- what else changes pixels, or does not --------------------------------------------------------------------------


def test_a_jpeg_whose_profile_lacks_a_part(tmp_path):
    path = tmp_path / "a.jpg"
    Image.fromarray(PIXELS).save(path, quality=95, icc_profile=profile() + bytes(80_000))
    whole = path.read_bytes()
    second = whole.index(b"ICC_PROFILE\0\x02")
    length = int.from_bytes(whole[second - 2 : second], "big")
    path.write_bytes(whole[: second - 4] + whole[second - 2 + length :])
    assert read_image(path).notes == ("unusable ICC profile ignored",)


def test_low_depths_are_widened_before_they_are_mixed(tmp_path):
    path = tmp_path / "a.tif"
    grey = np.repeat(np.arange(16, dtype=np.uint8), 16).reshape(16, 16)
    alpha = np.tile(np.arange(16, dtype=np.uint8), 16).reshape(16, 16)
    tifffile.imwrite(path, np.stack([grey, alpha], -1) * 17, photometric="minisblack", extrasamples=["unassalpha"])
    assert np.array_equal(read_image(path).pixels[..., 0], np.rint(255 * (1 - alpha / 15 * (1 - grey / 15))))
    jxl = tmp_path / "a.jxl"
    jxl.write_bytes(imagecodecs.jpegxl_encode(np.stack([grey, alpha], -1), lossless=True, bitspersample=4))
    found = read_image(jxl).pixels[..., 0]
    assert np.array_equal(found, np.rint(255 * (1 - alpha / 15 * (1 - grey / 15))))


def test_animations_and_sequences_say_that_the_first_is_read(tmp_path):
    path = tmp_path / "a.jxl"
    path.write_bytes(imagecodecs.jpegxl_encode(np.stack([PIXELS, 255 - PIXELS]), lossless=True))
    found = read_image(path)
    assert np.array_equal(found.pixels, PIXELS)
    assert found.notes == ("first frame of an animation",)
    path = tmp_path / "a.pgm"
    path.write_bytes(b"P5 2 1 255\n\x07\x08P5 2 1 255\n\x09\x0a")
    assert read_image(path).notes == ("first of several images", "grey converted to RGB")


def test_what_pnm_allows(tmp_path):
    path = tmp_path / "a.pgm"
    path.write_bytes(b"P5 2 1 255# white\n\x07\x08")
    assert read_image(path).pixels[0, :, 0].tolist() == [7, 8]
    path.write_bytes(b"P5 2 2 255 " + bytes([35, 10, 2, 3]))  # a sample that looks like the beginning of a comment
    assert read_image(path).pixels[..., 0].tolist() == [[35, 10], [2, 3]]
    path.write_bytes(b"P1 3 1 1x0y1")
    with pytest.raises(ImageError, match="a sample is not a number"):
        read_image(path)
    path.write_bytes(b"P2 2 1 255\n000001 0000255\n")
    assert read_image(path).pixels[0, :, 0].tolist() == [1, 255]


def test_avif_without_a_colour_box_goes_by_its_stream(tmp_path):
    path = tmp_path / "a.avif"
    for primaries, transfer in ((12, 13), (1, 8)):
        whole = imagecodecs.avif_encode(PIXELS, level=100, pixelformat="444", primaries=primaries, transfer=transfer)
        path.write_bytes(whole)
        expected = read_image(path).pixels
        path.write_bytes(whole.replace(b"colrnclx", b"freenclx"))
        assert np.array_equal(read_image(path).pixels, expected)
        assert not np.array_equal(expected, PIXELS)
    path.write_bytes(imagecodecs.avif_encode(PIXELS, primaries=9, transfer=16).replace(b"colrnclx", b"freenclx"))
    with pytest.raises(ImageError, match="high dynamic range"):
        read_image(path)


def test_jpegs_that_only_look_whole(tmp_path):
    path = tmp_path / "a.jpg"
    Image.fromarray(PIXELS).save(path, quality=90, subsampling=0, restart_marker_blocks=1)
    whole = path.read_bytes()
    scan = whole.index(b"\xff\xda")
    first = scan + 2 + int.from_bytes(whole[scan + 2 : scan + 4], "big")
    one, two = whole.index(b"\xff\xd0"), whole.index(b"\xff\xd1")
    for cut, message in (
        (whole[:first] + b"\xff\xd9", "a scan has no data"),
        (whole[: first + 20] + bytes(200) + b"\xff\xd9", "ends in zeros"),
        (whole[:one] + whole[two:], "restart markers are missing"),
    ):
        path.write_bytes(cut)
        with pytest.raises(ImageError, match=message):
            read_image(path)


def test_around_the_first_frame_of_a_gif_nothing_is_shown(tmp_path):
    path = tmp_path / "a.gif"
    Image.fromarray(PIXELS[:4, :4]).quantize(4).save(path)
    data = bytearray(path.read_bytes())
    struct.pack_into("<HH", data, 6, 8, 6)
    place = data.index(b"\x2c\0\0\0\0\4\0\4\0")
    struct.pack_into("<HH", data, place + 1, 1, 2)
    path.write_bytes(data)
    found = read_image(path)
    assert found.shape == (6, 8, 3)
    assert (found.pixels[0] == 255).all()
    assert "transparent around its first frame" in found.notes
