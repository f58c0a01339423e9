from __future__ import annotations

import io

import numpy as np
import pytest
import skimage.data
from conftest import picture
from PIL import Image

from qbench import BitstreamError, Context, NotApplicable
from qbench.registry import default_registry
from qbench.testing import check_codec

CODECS = default_registry().codecs
SETTINGS = [
    ("jpeg", {}),
    ("jpeg", {"quality": 1}),
    ("jpeg", {"quality": 100, "subsampling": "4:4:4"}),
    ("jpeg", {"subsampling": "4:2:2", "progressive": True, "optimize": True}),
    ("png", {}),
    ("png", {"optimize": True}),
    ("png", {"level": 0}),
    ("webp", {}),
    ("webp", {"quality": 0, "method": 0}),
    ("webp", {"lossless": True}),
]


def make(name, **parameters):
    cls = CODECS[name]
    return cls(cls.Parameters.model_validate(parameters), Context())


@pytest.mark.parametrize(("name", "parameters"), SETTINGS, ids=str)
def test_keeps_the_contract(name, parameters):
    check_codec(CODECS[name], parameters=parameters, fresh_process=parameters == {})


@pytest.mark.parametrize("name", ["jpeg", "webp"])
def test_higher_quality_costs_more_and_errs_less(name):
    image = skimage.data.coffee()
    sizes, errors = [], []
    for quality in (5, 30, 60, 90):
        codec = make(name, quality=quality)
        bitstream = codec.encode(image)
        sizes.append(len(bitstream))
        errors.append(((codec.decode(bitstream).astype(int) - image) ** 2).mean())
    assert sizes == sorted(sizes)
    assert errors == sorted(errors, reverse=True)


def test_jpeg_is_what_pillow_writes():
    image = skimage.data.coffee()
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=40)  # Pillow's defaults: 4:2:0, baseline
    assert make("jpeg", quality=40).encode(image) == buffer.getvalue()


def test_the_thesis_exact_baseline_stretches_the_picture_first():
    image = (64 + skimage.data.coffee() // 4).astype(np.uint8)
    back = make("jpeg-thesis-exact", quality=95).decode(make("jpeg-thesis-exact", quality=95).encode(image))
    stretched = np.rint((image - image.min()) * (255 / np.ptp(image)))
    assert np.abs(back - stretched).mean() < 3
    check_codec(CODECS["jpeg-thesis-exact"])


def sampling_factors(bitstream):
    """Read the sampling factors of the components out of a JPEG's start of frame."""
    place = 2
    while bitstream[place + 1] not in (0xC0, 0xC2):
        place += 2 + int.from_bytes(bitstream[place + 2 : place + 4], "big")
    count = bitstream[place + 9]
    return bitstream[place + 1], [bitstream[place + 11 + 3 * index] for index in range(count)]


@pytest.mark.parametrize(("subsampling", "luma"), [("4:4:4", 0x11), ("4:2:2", 0x21), ("4:2:0", 0x22)])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_settings_reach_the_file(subsampling, luma, progressive):
    bitstream = make("jpeg", subsampling=subsampling, progressive=progressive).encode(picture(40, 40))
    assert sampling_factors(bitstream) == (0xC2 if progressive else 0xC0, [luma, 0x11, 0x11])


def test_optimised_tables_are_smaller_with_the_same_pixels():
    image = picture(128, 96)
    plain, optimised = make("jpeg").encode(image), make("jpeg", optimize=True).encode(image)
    assert len(optimised) < len(plain)
    assert np.array_equal(make("jpeg").decode(plain), make("jpeg").decode(optimised))


@pytest.mark.parametrize(("name", "side"), [("jpeg", 65_536), ("webp", 16_384)])
def test_sides_too_long_for_the_format_are_not_applicable(name, side):
    with pytest.raises(NotApplicable, match="codes sides up to"):
        make(name).encode(np.zeros((1, side, 3), np.uint8))


@pytest.mark.parametrize("name", ["jpeg", "png", "webp"])
def test_another_formats_bitstream_is_refused(name):
    for other in {"jpeg", "png", "webp"} - {name}:
        with pytest.raises(BitstreamError, match="not a"):
            make(name).decode(make(other).encode(picture(20, 20)))


@pytest.mark.parametrize("name", ["jpeg", "png", "webp"])
def test_library_versions_are_known(name):
    libraries = CODECS[name].libraries()
    assert libraries
    assert all(version[0].isdigit() for version in libraries.values()), libraries
