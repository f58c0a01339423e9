"""The codec, with a small model of random weights."""

from __future__ import annotations

import struct
import subprocess
import sys

import numpy as np
import pytest
import torch
from small_autoencoder import SMALL, networks, save

import qbench
from qbench.plugin import BitstreamError, Context, Image, ModelError
from qbench.testing import check_codec
from qbench.toolkit.range_coding import GaussianCdfs
from qbench.toolkit.tiling import tiled
from qbench_autoencoder import bitstream, model, rate
from qbench_autoencoder.codec import Autoencoder, AutoencoderCodecParameters
from qbench_autoencoder.network import anchors, margin
from qbench_autoencoder.prior import VALUE, ExactPrior


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A file with a small model."""
    return save(tmp_path_factory.mktemp("autoencoder") / "small.safetensors")


def codec(small, quality=4.0, exact=False):
    return Autoencoder(AutoencoderCodecParameters(model=str(small), quality=quality, exact=exact), Context())


def sample_pixels(height, width, seed=0):
    rows, columns = np.mgrid[0:height, 0:width]
    base = np.stack([rows + columns, 2 * rows - columns, 128 + 90 * np.sin((rows + 2 * columns) / 9)], axis=2)
    noise = np.random.default_rng(seed).normal(0, 8, base.shape)
    return np.clip(base % 256 + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    "quality", [4.3, pytest.param(1, marks=pytest.mark.slow), pytest.param(8, marks=pytest.mark.slow)]
)
def test_keeps_the_contract_of_codecs(small, quality):
    check_codec(Autoencoder, parameters={"model": str(small), "quality": quality}, mutations=30)


@pytest.mark.parametrize("size", [(1, 1), (1, 200), (63, 65), (64, 64), (130, 7)])
def test_any_size(small, size):
    original = sample_pixels(*size)
    assert codec(small).decode(codec(small).encode(Image(original))).shape == original.shape


def test_higher_quality_costs_more_up_to_steps_between_levels(small):
    original = sample_pixels(90, 120)
    sizes = [len(codec(small, quality).encode(Image(original))) for quality in (1, 2, 2.5, 3, 5, 8)]
    assert sizes == sorted(set(sizes))


def test_the_decoder_needs_no_quality(small):
    bits = codec(small, 6.5).encode(Image(sample_pixels(50, 70)))
    assert np.array_equal(codec(small, 1).decode(bits), codec(small, 8).decode(bits))


def test_tiles_make_no_difference():
    made = networks().double()
    values = torch.rand(3, 320, 448, dtype=torch.float64)
    with torch.inference_mode():
        whole = made["analysis"](values[None])[0]
        parts = tiled(made["analysis"], values, model.Fraction(1, 16), 128, margin(SMALL))
        assert torch.allclose(parts, whole, atol=1e-10)
        back = made["synthesis"](whole[None])[0]
        for cropping in (False, True):
            again = tiled(made["synthesis"], whole, 16, 4, margin(SMALL) // 16, cropping=cropping)
            assert torch.allclose(again, back, atol=1e-10)


def test_a_large_image_is_coded_in_tiles(small, monkeypatch):
    original = sample_pixels(200, 330)
    bits = codec(small).encode(Image(original))
    whole = codec(small, exact=True).decode(bits)
    monkeypatch.setattr(model, "ANALYSED", 128)
    monkeypatch.setattr(model, "SYNTHESISED", 64)
    monkeypatch.setattr("qbench_autoencoder.prior.TILE", 8)
    assert np.array_equal(codec(small, exact=True).decode(bits), whole)
    assert np.array_equal(codec(small).decode(codec(small).encode(Image(original))).shape, whole.shape)


def test_float32_is_nearly_exact(small):
    bits = codec(small).encode(Image(sample_pixels(200, 330)))
    exact, fast = (codec(small, exact=exact).decode(bits).pixels.astype(int) for exact in (True, False))
    assert np.abs(exact - fast).max() <= 1
    assert (exact != fast).mean() < 1e-4


def test_the_exact_prior_is_the_trained_one():
    layers = networks()["prior"]
    rng = np.random.default_rng(0)
    hyper = rng.integers(-4, 5, (SMALL.hyper, 5, 6)).astype(np.int32)
    known = (VALUE * rng.integers(-9, 9, (SMALL.latent, 20, 24)) * anchors(20, 24).numpy()).astype(np.int32)
    exact = ExactPrior(layers)
    walk = exact.walk(hyper)
    with torch.inference_mode():
        features = rate.hyper_features(torch.from_numpy(hyper)[None].float(), layers)
        for neighbours in (None, known):
            tensor = None if neighbours is None else torch.from_numpy(neighbours)[None] / VALUE
            mean, spread = rate.parameters(features, tensor, layers)
            walk.latents[:] = 0 if neighbours is None else neighbours
            means, tables = walk.parameters(first=neighbours is None)
            assert np.abs(means / VALUE - mean[0].numpy()).max() < 0.05
            expected = np.clip(np.rint(20 + 8 * spread[0].numpy()), 0, GaussianCdfs.COUNT - 1)
            assert np.abs(tables - expected).max() <= 1


def test_the_estimated_rate_is_the_real_one(tmp_path):
    """What the training minimises is what the bitstream takes."""
    # Latents about as large as the prior, which is of random weights, takes them to be.
    weak = save(tmp_path / "weak.safetensors", strength=5)
    layers = networks(strength=5)
    original = sample_pixels(512, 320)
    latents, hyper = model.load(weak, "weak", "cpu", exact=False).analyse(original, 3.0)
    bits = 8 * len(codec(weak, 4.0).encode(Image(original)))
    with torch.inference_mode():
        spreads = torch.zeros(SMALL.hyper)
        values = torch.from_numpy(hyper)[None].float()
        inputs = (latents[None].float(), values, layers["prior"], spreads)
        exact = float(rate.code(*inputs, exact=True).bits)
        noisy = [float(rate.code(*inputs, exact=False).bits) for _ in range(5)]
    assert latents.abs().mean() > 0.5
    assert bits == pytest.approx(exact, rel=0.01)
    assert np.mean(noisy) == pytest.approx(exact, rel=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("exact", [False, True])
def test_threads_make_no_difference(small, tmp_path, exact):
    original = sample_pixels(150, 700)
    bits = codec(small).encode(Image(original))
    (tmp_path / "image.qae").write_bytes(bits)
    program = (
        "import sys, torch\nfrom pathlib import Path\nimport numpy as np\nfrom qbench.plugin import Context\n"
        "from qbench_autoencoder.codec import Autoencoder, AutoencoderCodecParameters\n"
        "torch.set_num_threads(int(sys.argv[3]))\n"
        "codec = Autoencoder(AutoencoderCodecParameters(model=sys.argv[1], exact=bool(int(sys.argv[4]))), Context())\n"
        "np.save(sys.argv[2] + '.npy', codec.decode(Path(sys.argv[2]).read_bytes()).pixels)\n"
    )
    here = codec(small, exact=exact).decode(bits)
    for threads in ("1", "2"):
        command = [sys.executable, "-c", program, small, tmp_path / "image.qae", threads, str(int(exact))]
        subprocess.run(command, check=True, timeout=120)
        assert np.array_equal(np.load(tmp_path / "image.qae.npy"), here)


def test_foreign_bitstreams_are_refused(small, tmp_path):
    bits = codec(small).encode(Image(sample_pixels(40, 40)))
    other = save(tmp_path / "other.safetensors", seed=1)
    with pytest.raises(BitstreamError, match="encoded with a model other than"):
        codec(other).decode(bits)
    for damaged, message in (
        (b"", "0 bytes are too few"),
        (b"\xff\xd8" + bits[2:], "not a bitstream of the autoencoder"),
        (b"\xa7" + bits[1:], "version 7"),
        (bits[:2] + bytes([bits[2] ^ 1]) + bits[3:], "the header is damaged"),
    ):
        with pytest.raises(BitstreamError, match=message):
            codec(small).decode(damaged)
    mark = codec(small)._mark
    with pytest.raises(BitstreamError, match=r"quality 10\.0 in the header"):
        codec(small).decode(bitstream.Header(8, 8, 160, mark).write() + bits[10:])
    with pytest.raises(BitstreamError, match="65536×65536 pixels in the header are more than any"):
        codec(small).decode(bitstream.Header(1 << 16, 1 << 16, 64, mark).write())
    assert struct.calcsize(">BHHB2sH") == bitstream.SIZE


def test_files_that_are_no_model(tmp_path):
    (tmp_path / "no.safetensors").write_bytes(b"nothing")
    with pytest.raises(ModelError, match="not a file that `qbench train autoencoder` wrote"):
        codec(tmp_path / "no.safetensors").encode(Image(sample_pixels(8, 8)))


def test_in_a_run(small, photos):
    suite = {
        "name": "learned",
        "images": [{"folder": str(photos)}],
        "codecs": {"autoencoder": {"quality": [1, 8], "model": str(small)}},
        "metrics": ["psnr", "bpp"],
    }
    done = qbench.run(suite, output="run", cache=False)
    assert done.complete
    assert not done.failures
    assert all(f"autoencoder in {small}" in str(point.models) for point in done.plan.points)
