"""The bundled generator: it is what its card says, and the codec's default."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from PIL import Image as PillowImage
from skimage import data

from qbench.plugin import Context, Image, find_weights
from qbench.testing import check_codec
from qbench_gan.codec import GanInversion
from qbench_gan.generators import BUNDLED, TrainedGenerator
from qbench_gan.settings import InversionParameters


def codec(**parameters):
    return GanInversion(InversionParameters(**parameters), Context())


def photograph(size):
    return np.asarray(PillowImage.fromarray(data.astronaut()).resize(size, PillowImage.Resampling.LANCZOS))


def psnr(one, other):
    return 10 * np.log10(255**2 / np.mean((np.asarray(one, float) - np.asarray(other)) ** 2))


def test_the_file_is_the_registered_one():
    content = find_weights(BUNDLED).read_bytes()
    assert hashlib.sha256(content).hexdigest() == BUNDLED.sha256
    assert len(content) == BUNDLED.size <= 12_000_000
    generator = TrainedGenerator()
    assert (generator.latent_size, generator.height, generator.width) == (512, 64, 64)
    assert len(generator.log2_scales) == 512


def test_a_photograph_is_drawn_again_and_searching_gets_nearer_than_the_encoder():
    original = photograph((64, 64))
    near = [
        psnr(codec().decode(codec(bits=6, iterations=iterations, refine=0).encode(Image(original))), original)
        for iterations in (0, 40)
    ]
    assert near[0] > 16
    assert near[1] > near[0] + 0.8


def test_tiles_are_nearer_than_the_whole():
    original = photograph((150, 130))
    near = [
        psnr(codec().decode(codec(mode=mode, iterations=10, refine=0, bits=4).encode(Image(original))), original)
        for mode in ("whole", "tile")
    ]
    assert near[1] > near[0] + 1


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["whole", "tile"])
def test_keeps_the_contract_of_codecs(mode):
    images = {
        name: Image(photograph(size)) for name, size in (("one", (1, 1)), ("thin", (200, 3)), ("small", (70, 40)))
    }
    check_codec(GanInversion, parameters={"mode": mode, "iterations": 2, "refine": 1}, images=images, mutations=3)


def test_a_bitstream_of_now_decodes_in_years_to_come():
    """These bytes were written by the first release; whoever changes what they mean raises the codec's version."""
    bitstream = bytes.fromhex(BITSTREAM)
    pixels = codec().decode(bitstream).pixels
    assert pixels.shape == (20, 30, 3)
    assert pixels.mean(axis=(0, 1)).round(1).tolist() == MEAN


BITSTREAM = (
    "c710001d0013047b1e9524d8e0807ff461f92d5c1323ce445bf837690970f1c935cc652e5da8f0d65db0e03d0ffb627dbefa"
    "ab88574d7ac6f5d8e3d7a764eb502e4d167dd2977fb86954941d9a52fbf267653a5f47dccc6779f8e48849"
)
MEAN = [151.1, 106.1, 99.3]
