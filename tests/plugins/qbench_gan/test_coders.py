"""Coding of latents: Elias omega, QSGD, range coding, header, tiles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qbench.plugin import BitstreamError
from qbench.toolkit.limits import MOST_PIXELS
from qbench.toolkit.range_coding import GaussianCdfs
from qbench_gan import bitstream, qsgd
from qbench_gan.elias import BitReader, omega, pack
from qbench_gan.entropy import LatentCoder
from qbench_gan.tiles import Tiling

# The first codes as Elias 1975 and textbooks list them.
LISTED = {1: "0", 2: "100", 3: "110", 4: "101000", 7: "101110", 8: "1110000", 15: "1111110", 16: "10100100000"}
LISTED |= {100: "1011011001000", 1000: "11100111111010000"}


@pytest.mark.parametrize(("number", "code"), LISTED.items())
def test_omega_codes_are_those_in_print(number, code):
    assert omega(number) == code
    assert BitReader(pack([code])).omega() == number


@given(st.lists(st.integers(1, 2**31)))
def test_omega_codes_come_back(numbers):
    reader = BitReader(pack(omega(number) for number in numbers))
    assert [reader.omega() for _ in numbers] == numbers


def test_omega_begins_at_one_and_ends_somewhere():
    with pytest.raises(ValueError, match="begins at 1"):
        omega(0)
    with pytest.raises(BitstreamError, match="ends too early"):
        BitReader(b"").omega()
    with pytest.raises(BitstreamError, match="too large"):
        BitReader(b"\xff" * 40).omega()


LATENTS = arrays(np.float32, st.integers(1, 40), elements=st.floats(-8, 8, width=32))


@given(LATENTS, st.integers(1, 8), st.integers(0, 99))
def test_qsgd_is_within_a_level_and_comes_back(latent, bits, seed):
    norm, quantised = qsgd.quantise(latent, bits, np.random.default_rng(seed))
    assert np.abs(quantised).max() <= 2**bits - 1 + 1e-9
    back = qsgd.dequantise(norm, quantised, bits)
    assert np.all(np.abs(back - latent) <= norm / (2**bits - 1) * 1.0001 + 1e-6)
    found, read = qsgd.read(qsgd.write(norm, quantised, thesis_exact=False), len(latent), thesis_exact=False)
    assert found == norm
    assert np.array_equal(read, quantised)


def test_qsgd_is_right_on_average():
    latent = np.array([0.3, -1.2, 0.01, 2.0], np.float32)
    rng = np.random.default_rng(0)
    mean = np.mean([qsgd.dequantise(*qsgd.quantise(latent, 1, rng), 1) for _ in range(20_000)], axis=0)
    assert mean == pytest.approx(latent, abs=0.04)


def test_the_thesis_exact_coder_takes_zeros_for_ones():
    norm, quantised = 2.0, np.array([0, 1, -1, 0, 3, -2])
    exact = qsgd.write(norm, quantised, thesis_exact=True)
    assert qsgd.read(exact, 6, thesis_exact=True)[1].tolist() == [1, 1, -1, 1, 3, -2]
    assert len(exact) <= len(qsgd.write(norm, quantised, thesis_exact=False))


@pytest.mark.parametrize(
    "data",
    [b"", b"\x00\x00\x00", b"\x7f\xc0\x00\x00abc", b"\xbf\x80\x00\x00abc", b"\x7f\x80\x00\x00abc", b"\x3f\x80\x00\x00"],
)
def test_qsgd_refuses_what_is_none(data):
    with pytest.raises(BitstreamError):
        qsgd.read(data, 20, thesis_exact=False)


@settings(deadline=None)
@given(
    st.integers(1, 3),
    st.integers(1, 3),
    arrays(np.int32, 20, elements=st.integers(-30, 80)),
    st.integers(0, 2**31),
    st.floats(0, 60),
)
def test_levels_come_back(rows, columns, expected, seed, spread):
    drawn = np.random.default_rng(seed).normal(0, spread, (rows, columns, 20))
    levels = np.clip(np.rint(drawn), -GaussianCdfs.MAX_SYMBOL, GaussianCdfs.MAX_SYMBOL).astype(np.int32)
    coded = LatentCoder(expected, rows, columns).encode(levels)
    assert np.array_equal(LatentCoder(expected, rows, columns).decode(coded), levels)


@pytest.mark.parametrize("step", [2.0, 1.0, 0.5, 0.125])
def test_the_rate_is_near_the_entropy(step):
    drawn = np.random.default_rng(1).normal(size=(1, 1, 4096))
    levels = np.rint(drawn / step).astype(np.int32)
    expected = np.full(4096, round(-4 * np.log2(step)) - 4 * GaussianCdfs.LOG2_MIN_SCALE, np.int32)
    bits = 8 * len(LatentCoder(expected, 1, 1).encode(levels)) / 4096
    shares = np.unique(levels, return_counts=True)[1] / 4096
    assert bits == pytest.approx(-(shares * np.log2(shares)).sum(), rel=0.02)


def test_neighbours_tell_how_far_numbers_spread():
    rng = np.random.default_rng(2)
    activity = np.repeat(np.repeat(np.exp(rng.normal(0, 1, (4, 4, 1))), 2, 0), 2, 1)
    levels = np.clip(np.rint(2 * activity * rng.normal(size=(8, 8, 128))), -500, 500).astype(np.int32)
    expected = np.full(128, 4 - 4 * GaussianCdfs.LOG2_MIN_SCALE, np.int32)
    together = len(LatentCoder(expected, 8, 8).encode(levels))
    alone = sum(len(LatentCoder(expected, 1, 1).encode(tile[None, None])) for tile in levels.reshape(64, -1))
    assert together < 0.9 * alone


@given(
    st.integers(1, 1 << 16),
    st.integers(1, 1 << 16),
    st.booleans(),
    st.booleans(),
    st.integers(-24, 7),
    st.integers(0, 255),
)
def test_headers_come_back(width, height, tiled, qsgd_, precision, overlap):
    assume(width * height <= MOST_PIXELS)
    header = bitstream.Header(width, height, b"ab", tiled, qsgd_, False, precision, overlap if tiled else 0)
    assert bitstream.read(header.write() + b"rest") == (header, b"rest")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "0 bytes are too few"),
        (b"x" * 30, "not a bitstream of a GAN inversion"),
        (bytes([bitstream.MAGIC, 0xF0]) + bytes(8), "version 15"),
        (bytes([bitstream.MAGIC, bitstream.VERSION << 4 | 4]) + bytes(7), "ends within its header"),
        (
            bytes([bitstream.MAGIC, bitstream.VERSION << 4]) + b"\xff" * 7,
            "65536×65536 pixels in the header are more than any",
        ),
    ],
)
def test_foreign_headers(data, message):
    with pytest.raises(BitstreamError, match=message):
        bitstream.read(data)


@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 15))
def test_tiles_put_together_are_the_image(width, height, overlap):
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    tiling = Tiling(width, height, 24, 16, min(overlap, 15))
    tiles = tiling.cut(pixels)
    assert tiles.shape == (tiling.rows * tiling.columns, 16, 24, 3)
    assert np.allclose(tiling.blend(tiles.astype(np.float64)), pixels)


def test_neighbouring_tiles_fade_into_each_other():
    tiling = Tiling(28, 16, 16, 16, 4)
    assert (tiling.rows, tiling.columns) == (1, 2)
    blended = tiling.blend(np.stack([np.zeros((16, 16, 3)), np.ones((16, 16, 3))]))
    assert blended[0, :, 0] == pytest.approx([0] * 12 + [0.2, 0.4, 0.6, 0.8] + [1] * 12)
