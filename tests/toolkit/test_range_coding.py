"""Range coding: tables that are the same everywhere, and levels that come back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from qbench.errors import BitstreamError
from qbench.toolkit.range_coding import GaussianCdfs, SymbolDecoder, SymbolEncoder

LARGEST = GaussianCdfs.MAX_SYMBOL


@pytest.mark.parametrize("table", range(GaussianCdfs.COUNT))
def test_tables_are_integrals_of_gaussians(table):
    frequencies = np.array(GaussianCdfs.frequencies(table))
    assert frequencies.sum() == GaussianCdfs.TOTAL_FREQUENCY
    assert frequencies.min() >= 1
    assert np.array_equal(frequencies, frequencies[::-1])
    deviation = 2 ** (table / GaussianCdfs.SCALES_PER_OCTAVE + GaussianCdfs.LOG2_MIN_SCALE)
    levels = np.arange(-LARGEST, LARGEST + 1)
    expected = norm.cdf((levels + 0.5) / deviation) - norm.cdf((levels - 0.5) / deviation)
    assert np.abs(frequencies / GaussianCdfs.TOTAL_FREQUENCY - expected / expected.sum()).max() < 1e-4


def test_tables_are_these_on_every_machine():
    """Whoever changes them makes old bitstreams unreadable: raise the versions of codecs that use them then."""
    middle = [GaussianCdfs.frequencies(table)[LARGEST - 1 : LARGEST + 2] for table in (0, 20, 40, 55)]
    assert middle == TABLES


TABLES = [(1, 16776194, 1), (4055315, 6424032, 4055315), (209038, 209312, 209038), (20316, 20826, 20316)]


def test_the_range_of_tables_is_useful():
    means = GaussianCdfs.mean_magnitudes()
    assert np.all(np.diff(means) >= 0)
    assert means[0] < 8  # a standard deviation of 1/32 rounds to 0
    assert means[-1] > 200 * 256


@settings(deadline=None)
@given(st.integers(0, 200), st.integers(0, 2**31), st.floats(0, 60))
def test_levels_come_back(count, seed, spread):
    rng = np.random.default_rng(seed)
    levels = np.clip(np.rint(rng.normal(0, spread, (2, count))), -LARGEST, LARGEST).astype(np.int32)
    tables = rng.integers(0, GaussianCdfs.COUNT, levels.shape)
    encoder = SymbolEncoder()
    for part, chosen in zip(levels, tables, strict=True):
        encoder.encode(part, chosen)
    decoder = SymbolDecoder(encoder.finish())
    for part, chosen in zip(levels, tables, strict=True):
        assert np.array_equal(decoder.decode(chosen), part)


@pytest.mark.parametrize("deviation", [0.05, 0.3, 1.0, 8.0, 60.0])
def test_the_rate_is_near_the_entropy(deviation):
    levels = np.rint(np.random.default_rng(1).normal(0, deviation, 50_000)).astype(np.int32)
    table = round(4 * np.log2(deviation)) - 4 * GaussianCdfs.LOG2_MIN_SCALE
    encoder = SymbolEncoder()
    encoder.encode(levels, np.full(levels.shape, table))
    bits = 8 * len(encoder.finish()) / len(levels)
    shares = np.unique(levels, return_counts=True)[1] / len(levels)
    assert bits == pytest.approx(-(shares * np.log2(shares)).sum(), rel=0.01, abs=1e-3)


@given(st.binary(max_size=40))
def test_any_bytes_give_levels_or_a_typed_error(data):
    try:
        levels = SymbolDecoder(data).decode(np.arange(50))
    except BitstreamError:
        return
    assert np.abs(levels).max() <= LARGEST
