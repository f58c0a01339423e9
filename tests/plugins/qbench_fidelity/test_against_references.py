"""Every metric against an independent implementation, on photographs."""

from __future__ import annotations

import io
import math
import struct
import zlib

import numpy as np
import piq
import pytest
import pytorch_msssim
import skimage.data
import skimage.metrics
import torchmetrics.functional.image as torchmetrics
from conftest import sample_pixels
from image_pairs import COFFEE, PAIRS, ours, tensors, value
from PIL import Image as PillowImage

from qbench.plugin import Candidates, Context, Image, NotApplicable, PluginError, Reference
from qbench.registry.registry import default_registry
from qbench.testing import check_metric
from qbench_fidelity.rate import idat

METRICS = default_registry().metrics
OURS = sorted(name for name in METRICS if METRICS.offer(name).plugin.name == "fidelity")


pair = pytest.mark.parametrize("pair", PAIRS, ids=lambda name: name)


@pair
def test_mse_and_psnr(pair):
    x, y = PAIRS[pair]
    assert value("mse", x, y) == pytest.approx(skimage.metrics.mean_squared_error(x, y), rel=1e-12)
    assert value("psnr", x, y) == pytest.approx(
        skimage.metrics.peak_signal_noise_ratio(x, y, data_range=255), rel=1e-12
    )
    # piq adds 1e-8 to the error of images scaled to [0, 1].
    assert value("psnr", x, y) == pytest.approx(float(piq.psnr(*tensors(x, y), data_range=255.0)), abs=1e-3)


@pair
def test_ssim(pair):
    x, y = PAIRS[pair]
    found = value("ssim", x, y)
    theirs = skimage.metrics.structural_similarity(
        x, y, channel_axis=2, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    assert found == pytest.approx(theirs, abs=2e-6)
    assert found == pytest.approx(float(piq.ssim(*tensors(x, y), data_range=255.0, downsample=False)), abs=2e-6)
    # Its window is in float32. (torchmetrics also counts windows that reach past the border, up to 0.006 off here.)
    assert found == pytest.approx(float(pytorch_msssim.ssim(*tensors(x, y), data_range=255)), abs=1e-5)


@pair
def test_ms_ssim(pair):
    x, y = PAIRS[pair]
    found = value("ms-ssim", x, y, odd_sides="zeros")
    assert found == pytest.approx(float(pytorch_msssim.ms_ssim(*tensors(x, y), data_range=255)), abs=2e-6)
    # Where sides are even on every scale, all ways to halve them are the same; torchmetrics drops an odd last row.
    x, y = x[:192, :192], y[:192, :192]
    theirs = torchmetrics.multiscale_structural_similarity_index_measure(*tensors(y, x), data_range=255.0)
    if pair != "inverted":  # negative structure: torchmetrics takes powers of the channels' mean, and gives NaN
        # It also counts windows that reach past the border, and averages the channels at each scale.
        assert value("ms-ssim", x, y) == pytest.approx(float(theirs), abs=1e-2)
    found = ours("ms-ssim", x, y)[0]
    if found["ms-ssim"] < 1:
        assert found["db"] == pytest.approx(-10 * math.log10(1 - found["ms-ssim"]))


@pair
def test_ssim_uniform(pair):
    x, y = PAIRS[pair]
    theirs = skimage.metrics.structural_similarity(x, y, channel_axis=2, data_range=255)
    assert value("ssim-uniform", x, y) == pytest.approx(theirs, abs=2e-6)


@pair
def test_the_thesiss_own(pair):
    x, y = PAIRS[pair]
    x, y = np.vstack([x, x])[:450], np.vstack([y, y])[:450]
    rows = slice(100, 400)
    assert value("mse-thesis-exact", x, y) == pytest.approx(skimage.metrics.mean_squared_error(x[rows], y[rows]))
    assert value("psnr-thesis-exact", x, y) == pytest.approx(skimage.metrics.peak_signal_noise_ratio(x[rows], y[rows]))
    theirs = skimage.metrics.structural_similarity(
        x[rows], y[rows], channel_axis=2, data_range=float(y[rows].max()) - float(y[rows].min())
    )
    assert value("ssim-thesis-exact", x, y) == theirs


def test_rates():
    x = COFFEE[:100, :200].copy()
    sizes = [500, 60_000]
    assert [row["bpp"] for row in ours("bpp", x, x, x, sizes=sizes)] == [0.2, 24.0]
    assert [row["compression-ratio"] for row in ours("compression-ratio", x, x, x, sizes=sizes)] == [120.0, 1.0]


@pair
def test_png_sizes_are_those_of_pngs(pair):
    x, y = PAIRS[pair]

    def png(pixels):
        height, width = pixels.shape[:2]
        header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        chunks = [(b"IHDR", header), (b"IDAT", idat(pixels)), (b"IEND", b"")]
        file = b"\x89PNG\r\n\x1a\n"
        for kind, data in chunks:
            file += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        assert (np.asarray(PillowImage.open(io.BytesIO(file))) == pixels).all()
        return len(file)

    def pillows(pixels):
        buffer = io.BytesIO()
        PillowImage.fromarray(pixels).save(buffer, "PNG")
        return len(buffer.getvalue())

    found = value("png-size-ratio", x, y)
    assert found == png(y) / png(x)
    assert found == pytest.approx(pillows(y) / pillows(x), rel=0.05)
    assert value("png-size-ratio", x, x) == 1


def test_identical_images():
    assert value("psnr", COFFEE, COFFEE) == math.inf  # not a cap
    assert value("mse", COFFEE, COFFEE) == 0
    for pixels in (COFFEE, skimage.data.astronaut(), COFFEE[3:330, 7:408].copy()):
        assert value("ssim", pixels, pixels) == 1
        assert ours("ms-ssim", pixels, pixels) == [{"ms-ssim": 1.0, "db": math.inf}]


@pytest.mark.parametrize(
    ("name", "shape", "reason"),
    [
        ("ms-ssim", (160, 400), "shorter side is 160 pixels; MS-SSIM needs 161"),
        ("ssim", (10, 50), "shorter side is 10 pixels; SSIM's window needs 11"),
        ("ssim-uniform", (6, 50), "shorter side is 6 pixels; a 7×7 window needs 7"),
        ("ssim-thesis-exact", (106, 50), "rows 100 to 399 hold 6 × 50 pixels; at least 7 are needed"),
        ("mse-thesis-exact", (100, 50), "rows 100 to 399 hold 0 × 50 pixels"),
    ],
)
def test_small_images_are_not_applicable_and_never_a_smaller_window(name, shape, reason):
    pixels = sample_pixels(shape[1], shape[0])
    with pytest.raises(NotApplicable, match=reason):
        ours(name, pixels, pixels)
    larger = sample_pixels(shape[1], shape[0] + 1)
    assert ours(name, larger, larger)


def test_the_thesiss_ssim_is_not_defined_for_a_flat_reconstruction():
    flat = np.full_like(COFFEE, 7)
    (outcome,) = ours("ssim-thesis-exact", COFFEE, flat)
    assert isinstance(outcome, NotApplicable)


@pytest.mark.parametrize("name", OURS)
def test_keeps_the_contract(name):
    try:
        METRICS[name].libraries()
    except PluginError as error:
        pytest.skip(str(error))
    big = {"big": Image(sample_pixels(170, 420)), "bigger": Image(sample_pixels(201, 163 + 250))}
    check_metric(METRICS[name], images=big)
    if name not in ("ms-ssim", "iw-ssim") and not name.endswith("exact"):
        check_metric(METRICS[name])


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["mse", "ssim", "ms-ssim"])
def test_a_gpu_gives_the_same(name):
    cls = METRICS[name]
    results = {}
    for device in ("cpu", "cuda:0"):
        metric = cls(cls.Parameters(), Context(device=device))
        x, y = PAIRS["coffee, JPEG 5"]
        reference = Reference("image", Image(x), device)
        results[device] = metric.score(Candidates(reference, [Image(y)], [1], device), metric.prepare(reference))[0][
            name
        ]
    assert results["cpu"] == pytest.approx(results["cuda:0"], abs=1e-5)
