"""JPEG 2000 as its boxes say (ISO/IEC 15444-1, annex I). The boxes are written here, from the standard."""

from __future__ import annotations

import struct

import imagecodecs
import numpy as np
import pytest
from conftest import sample_pixels

from qbench.errors import ImageError
from qbench.images.reading import read_image

UNDECLARED = "1 extra channel of no declared meaning dropped"


def box(kind, body):
    return struct.pack(">I4s", 8 + len(body), kind) + body


def colours(space):
    return box(b"colr", struct.pack(">BbBI", 1, 0, 0, space))


def channels(*entries):
    return box(b"cdef", struct.pack(">H", len(entries)) + b"".join(struct.pack(">3H", *each) for each in entries))


def palette(table, bits=8):
    entries = struct.pack(">HB", *table.shape) + bytes([bits - 1]) * table.shape[1]
    entries += table.astype(">u2" if bits > 8 else "u1").tobytes()
    places = b"".join(struct.pack(">HBB", 0, 1, column) for column in range(table.shape[1]))
    return box(b"pclr", entries) + box(b"cmap", places)


def read(tmp_path, samples, bits, *header, **options):
    stream = imagecodecs.jpeg2k_encode(
        samples, level=0, codecformat="j2k", reversible=True, bitspersample=bits, mct=False
    )
    count = samples.shape[2] if samples.ndim == 3 else 1
    size = box(b"ihdr", struct.pack(">IIHBBBB", *samples.shape[:2], count, bits - 1, 7, 0, 0))
    path = tmp_path / "a.jp2"
    path.write_bytes(
        b"\x00\x00\x00\x0cjP  \r\n\x87\n"
        + box(b"ftyp", b"jp2 \0\0\0\0jp2 ")
        + box(b"jp2h", size + b"".join(header))
        + box(b"jp2c", stream)
    )
    return read_image(path, **options)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_a_palette_of_any_depth_of_indices(tmp_path, bits):
    table = np.array([[10, 20, 30], [40, 50, 60], [70, 80, 90], [100, 110, 120]])
    indices = (np.arange(64) % 4).astype(np.uint8).reshape(8, 8)
    found = read(tmp_path, indices, bits, colours(16), palette(table))
    assert np.array_equal(found.pixels, table[indices])
    assert "palette converted to RGB" in found.notes
    deep = read(tmp_path, indices, bits, colours(16), palette(table * 257, 16))
    assert np.array_equal(deep.pixels, table[indices])


def test_channels_are_brought_into_order(tmp_path):
    rgb = sample_pixels(16, 12)
    found = read(
        tmp_path, np.ascontiguousarray(rgb[..., ::-1]), 8, colours(16), channels((0, 0, 3), (1, 0, 2), (2, 0, 1))
    )
    assert np.array_equal(found.pixels, rgb)
    assert found.notes == ()


@pytest.mark.parametrize("bits", [8, 12])
def test_opacity_is_what_is_declared(tmp_path, bits):
    maximum = (1 << bits) - 1
    rgb = sample_pixels(16, 12).astype(np.uint16) * maximum // 255
    half = np.full((12, 16, 1), maximum // 2 + 1)
    kind = np.uint8 if bits == 8 else np.uint16
    first = np.concatenate([half, rgb], axis=2).astype(kind)
    declared = channels((0, 1, 0), (1, 0, 1), (2, 0, 2), (3, 0, 3))
    weight = (maximum // 2 + 1) / maximum
    on_black = np.rint(rgb * weight * 255 / maximum)
    assert np.abs(read(tmp_path, first, bits, colours(16), declared, alpha="black").pixels - on_black).max() <= 1
    last = np.concatenate([rgb, half], axis=2).astype(kind)
    premultiplied = channels((0, 0, 1), (1, 0, 2), (2, 0, 3), (3, 2, 0))
    found = read(
        tmp_path, (last * [weight, weight, weight, 1]).astype(kind), bits, colours(16), premultiplied, alpha="drop"
    )
    assert np.abs(found.pixels - np.rint(rgb * 255 / maximum)).max() <= 2
    assert "premultiplied alpha undone" in found.notes
    undeclared = read(tmp_path, last, bits, colours(16))
    assert np.array_equal(undeclared.pixels, np.rint(rgb * 255 / maximum))
    assert UNDECLARED in undeclared.notes


@pytest.mark.parametrize("bits", [8, 12])
def test_cmyk(tmp_path, bits):
    maximum = (1 << bits) - 1
    inks = (sample_pixels(16, 12).astype(np.uint16) * maximum // 255).astype(np.uint8 if bits == 8 else np.uint16)
    inks = np.concatenate([inks, inks[..., :1] // 3], axis=2)
    found = read(tmp_path, inks, bits, colours(12))
    paper = 1 - inks / maximum
    assert np.abs(found.pixels - 255 * paper[..., :3] * paper[..., 3:]).max() <= 1
    assert "CMYK converted to RGB" in found.notes


def test_a_profile_of_any_method_counts_and_the_first_that_is_known(tmp_path):
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    rgb = sample_pixels(16, 12)
    found = read(tmp_path, rgb, 8, box(b"colr", b"\x03\0\0" + profile))
    assert found.notes == ("unusable ICC profile ignored",)  # looked at, and not one of RGB
    vendor = box(b"colr", b"\x04\0\0" + bytes(16))
    assert read(tmp_path, rgb, 8, vendor, colours(16)).notes == ()
    assert read(tmp_path, rgb, 8, vendor).notes == ("colour description of method 4 ignored",)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ([colours(14)], "enumerated colour space 14 is not supported"),
        ([colours(16), channels((0, 0, 1), (1, 0, 2), (2, 1, 2))], "opacity of single colours is not supported"),
        ([box(b"colr", b"\x01\0")], "a box of its header is too short"),
        ([colours(12)], "of 3 channels, 4 of them colours"),
    ],
)
def test_what_would_be_read_wrong_is_refused(tmp_path, header, message):
    with pytest.raises(ImageError, match=message):
        read(tmp_path, sample_pixels(16, 12), 8, *header)
