from __future__ import annotations

import io
import sys

import numpy as np
import pytest
import skimage.data
from conftest import sample_pixels
from imagecodecs import avif_decode
from PIL import Image as PillowImage
from pydantic import ValidationError

import qbench
from qbench.plugin import BitstreamError, Context, Image, NotApplicable, PluginError
from qbench.registry.registry import default_registry
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
    ("jpegli", {}),
    ("jpeg2000", {}),
    ("jpeg2000", {"bpp": 0.5, "resolutions": 3}),
    ("jpeg2000", {"lossless": True}),
    ("avif", {}),
    ("avif", {"quality": 30, "speed": 9, "depth": 10, "subsampling": "4:4:4"}),
    ("avif", {"quality": 90, "speed": 8, "depth": 12, "subsampling": "4:2:2"}),
    ("avif", {"lossless": True, "speed": 8}),
    ("heic", {"preset": "ultrafast"}),
    ("heic", {"subsampling": "4:4:4", "preset": "fast"}),
    ("jpeg-xl", {"effort": 4}),
    ("jpeg-xl", {"quality": 20, "effort": 3}),
    ("jpeg-xl", {"distance": 3.0, "effort": 5}),
    ("jpeg-xl", {"lossless": True, "effort": 3}),
]
NAMES = ["jpeg", "jpegli", "jpeg2000", "webp", "avif", "heic", "jpeg-xl", "png"]


def make(name, **parameters):
    cls = CODECS[name]
    return cls(cls.Parameters.model_validate(parameters), Context())


@pytest.mark.parametrize(("name", "parameters"), SETTINGS, ids=str)
def test_keeps_the_contract(name, parameters):
    check_codec(CODECS[name], parameters=parameters, fresh_process=parameters == {})


@pytest.mark.parametrize("name", [name for name in NAMES if CODECS[name].rate_parameter(CODECS[name].Parameters())])
def test_higher_quality_costs_more_and_errs_less(name):
    image = skimage.data.coffee()[:200, :300]
    rate = CODECS[name].rate_parameter(CODECS[name].Parameters())
    shares = (0.05, 0.3, 0.6, 0.9) if rate.increasing else (0.9, 0.6, 0.3, 0.05)
    fast = {"avif": {"speed": 8}, "heic": {"preset": "ultrafast"}, "jpeg-xl": {"effort": 4}}.get(name, {})
    sizes, errors = [], []
    for share in shares:
        value = rate.low + share * (rate.high - rate.low)
        codec = make(name, **{rate.name: int(value) if rate.integer else value}, **fast)
        bitstream = codec.encode(Image(image))
        sizes.append(len(bitstream))
        errors.append(((codec.decode(bitstream).pixels.astype(int) - image) ** 2).mean())
    assert sizes == sorted(sizes)
    assert errors == sorted(errors, reverse=True)


def test_jpeg_is_what_pillow_writes():
    image = skimage.data.coffee()
    buffer = io.BytesIO()
    PillowImage.fromarray(image).save(buffer, "JPEG", quality=40)  # Pillow's defaults: 4:2:0, baseline
    assert make("jpeg", quality=40).encode(Image(image)) == buffer.getvalue()


def test_the_thesis_exact_baseline_stretches_the_image_first():
    image = (64 + skimage.data.coffee() // 4).astype(np.uint8)
    back = make("jpeg-thesis-exact", quality=95).decode(make("jpeg-thesis-exact", quality=95).encode(Image(image)))
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
    bitstream = make("jpeg", subsampling=subsampling, progressive=progressive).encode(Image(sample_pixels(40, 40)))
    assert sampling_factors(bitstream) == (0xC2 if progressive else 0xC0, [luma, 0x11, 0x11])


def test_optimised_tables_are_smaller_with_the_same_pixels():
    image = sample_pixels(128, 96)
    plain, optimised = make("jpeg").encode(Image(image)), make("jpeg", optimize=True).encode(Image(image))
    assert len(optimised) < len(plain)
    assert np.array_equal(make("jpeg").decode(plain), make("jpeg").decode(optimised))


@pytest.mark.parametrize(("name", "side"), [("jpeg", 65_536), ("webp", 16_384), ("jpegli", 65_536), ("heic", 16_385)])
def test_sides_too_long_for_the_format_are_not_applicable(name, side):
    with pytest.raises(NotApplicable, match="codes sides up to"):
        make(name).encode(Image(np.zeros((1, side, 3), np.uint8)))


@pytest.mark.parametrize("name", NAMES)
def test_another_formats_bitstream_is_refused(name):
    for other in set(NAMES) - {name}:
        if {name, other} != {"jpeg", "jpegli"}:  # the same format
            with pytest.raises(BitstreamError, match="not a"):
                make(name).decode(make(other).encode(Image(sample_pixels(20, 20))))


@pytest.mark.parametrize("name", NAMES)
def test_library_versions_are_known(name):
    libraries = CODECS[name].libraries()
    assert libraries
    assert all(any(map(str.isdigit, version)) for version in libraries.values()), libraries


def test_jpeg_2000_comes_near_to_what_is_asked_for():
    image = skimage.data.coffee()
    for bpp in (0.25, 1.0, 3.0):
        size = len(make("jpeg2000", bpp=bpp).encode(Image(image)))
        assert 8 * size / image[..., 0].size == pytest.approx(bpp, rel=0.03)
    made = make("jpeg2000", psnr=38.0)
    error = np.mean((made.decode(made.encode(Image(image))).pixels.astype(float) - image) ** 2)
    assert 10 * np.log10(255**2 / error) == pytest.approx(38, abs=1)


def test_jpeg_xl_qualities_are_libjxls_own_distances():
    parameters = CODECS["jpeg-xl"].Parameters
    # As JxlEncoderDistanceFromQuality gives them.
    for quality, distance in ((99.0, 0.19), (90.0, 1.0), (75.0, 2.35), (30.0, 6.4), (10.0, 15.2667)):
        assert parameters(quality=quality).effective_distance == pytest.approx(distance, abs=1e-3)
    assert parameters().effective_distance == pytest.approx(1)
    assert parameters(distance=4.2).effective_distance == 4.2


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("jpeg-xl", {"quality": 80.0, "distance": 1.0}),
        ("jpeg-xl", {"quality": 80.0, "lossless": True}),
        ("jpeg2000", {"psnr": 30.0, "bpp": 1.0}),
        ("jpeg2000", {"bpp": 1.0, "lossless": True}),
    ],
)
def test_settings_that_exclude_one_another(name, parameters):
    with pytest.raises(ValidationError, match="are mutually exclusive; give one of them"):
        make(name, **parameters)


@pytest.mark.parametrize("depth", [8, 10, 12])
def test_bits_a_sample_reach_the_file_and_come_back(depth):
    image = np.repeat(np.repeat(np.linspace(0, 255, 256).astype(np.uint8)[None, :, None], 256, 0), 3, 2)
    made = make("avif", quality=95, depth=depth, subsampling="4:4:4", speed=8)
    bitstream = made.encode(Image(image))
    stored = avif_decode(bitstream)
    assert stored.max() == pytest.approx(2**depth - 1, rel=0.02)
    back = made.decode(bitstream).pixels
    assert back.dtype == np.uint8
    assert np.abs(back.astype(int) - image).mean() < 1


@pytest.mark.parametrize(
    ("name", "module", "extra"), [("heic", "pillow_heif", "heif"), ("jpegli", "pyjpegli", "jpegli")]
)
def test_an_encoder_that_is_not_installed_is_said_when_planning(name, module, extra, photos, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    suite = {"images": [{"folder": str(photos)}], "codecs": {name: {}}, "metrics": ["bpp"]}
    with pytest.raises(PluginError, match=rf"codec {name} needs the package .* pip install 'qbench\[{extra}\]'"):
        qbench.plan(suite)
