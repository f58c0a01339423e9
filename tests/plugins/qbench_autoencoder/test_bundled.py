"""The bundled model: it is what its card says, and the codec's default."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from image_pairs import COFFEE, jpeg, ours
from PIL import Image as PillowImage
from skimage.data import astronaut

from qbench.plugin import Context, Image, find_weights
from qbench.testing import check_codec
from qbench_autoencoder.codec import Autoencoder, AutoencoderCodecParameters
from qbench_autoencoder.model import BUNDLED


def codec(quality=4.0):
    return Autoencoder(AutoencoderCodecParameters(quality=quality), Context())


def test_the_file_is_the_registered_one():
    content = find_weights(BUNDLED).read_bytes()
    assert hashlib.sha256(content).hexdigest() == BUNDLED.sha256
    assert len(content) == BUNDLED.size <= 12_000_000


@pytest.mark.slow
def test_each_level_costs_more_and_is_nearer():
    original = COFFEE[:256, :256].copy()
    sizes, errors = [], []
    for quality in range(1, 9):
        bitstream = codec(quality).encode(Image(original))
        sizes.append(len(bitstream))
        errors.append(np.mean((codec().decode(bitstream).pixels.astype(float) - original) ** 2))
    assert sizes == sorted(set(sizes))
    assert errors == sorted(set(errors), reverse=True)


@pytest.mark.parametrize("quality", [2, 5])
def test_is_nearer_than_a_jpeg_of_as_many_bytes(quality):
    """By PSNR and by MS-SSIM, on photographs that it never saw."""
    for original in (astronaut(), COFFEE):
        bitstream = codec(quality).encode(Image(original))
        made = codec().decode(bitstream).pixels
        larger = next(pixels for pixels, size in jpegs(original) if size >= len(bitstream))
        for metric in ("psnr", "ms-ssim"):
            mine, theirs = (row[metric] for row in ours(metric, original, made, larger))
            assert mine > theirs


def jpegs(original):
    """Yield decoded JPEGs of rising quality, with their sizes."""
    import io

    for quality in range(1, 100):
        buffer = io.BytesIO()
        PillowImage.fromarray(original).save(buffer, "JPEG", quality=quality)
        yield jpeg(original, quality), buffer.tell()


@pytest.mark.slow
def test_keeps_the_contract_of_codecs():
    check_codec(Autoencoder, parameters={"quality": 3}, mutations=5)


def test_a_bitstream_of_now_decodes_in_years_to_come():
    """These bytes were written by the first release; whoever changes what they mean raises the codec's version."""
    pixels = codec().decode(bytes.fromhex(BITSTREAM)).pixels
    assert pixels.shape == (20, 30, 3)
    assert pixels.mean(axis=(0, 1)).round(1).tolist() == MEAN


BITSTREAM = (
    "a1001d001340d37036c89df1a785486bcfa0dc44a67c5d91580ee69ee0fdda49050ceb90a3d5b95919ad3b29eb23b94a753b"
    "a007e9db0df22500a3ae42e8ddf787ea03e081fe769b196a7782ea1070725b36e03014e203c6c1c277b2092e9593ad9931df"
    "862f31fb9d424c0a43b681aae8587580ca0566b73222ec4dd3f46ad815a44f3d7dab5755d3aa48eea9dadce7123becaace3e"
    "cf326324499a4b4c744459648d0339699739e8ed93e8eea4d65c945ddddf57b965909a4294d7b3734660343ffcd9e14dadd1"
    "8e81ad1b3bc03ac3eb0cc059c7bf1cd37eb48b066b4ebc3bc4700c6502990c255f2645c584e316baf24dda8afcbf88872c49"
    "0bf55c8294acac71bd9607def9457f"
)
MEAN = [142.8, 106.8, 95.8]
