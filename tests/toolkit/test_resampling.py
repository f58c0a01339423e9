"""Intervals hold what they say, by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from qbench.contracts.metric import Column, Direction
from qbench.reporting.bd import bd_rates
from qbench.reporting.correlation import Cells, correlate
from qbench.reporting.curves import CurvePoint, Curves
from qbench.toolkit.resampling import jackknife_interval, mean_interval, too_few

COUNTS = (3, 4, 8, 24, 100)
LONG = [3, 4, *(pytest.param(count, marks=pytest.mark.slow) for count in (8, 24, 100))]
LEAST, MOST = 0.93, 0.97
"""What a 95 % interval holds, give or take what few images make of it."""


def held(draw, interval, truth, trials):
    """Return how often an interval holds the truth."""
    found = [interval(draw()) for _ in range(trials)]
    assert None not in found
    return np.mean([low <= truth <= high for low, high in found])


@pytest.mark.parametrize("count", COUNTS)
def test_of_a_mean_difference(count):
    rng = np.random.default_rng(count)
    share = held(lambda: rng.normal(0.3, 1, count), mean_interval, 0.3, 3000)
    assert LEAST <= share <= MOST


@pytest.mark.parametrize("count", COUNTS)
def test_where_there_is_no_difference_few_are_certain(count):
    """Of heavy tails, as differences between two codecs have them."""
    rng = np.random.default_rng(count)
    assert held(lambda: rng.laplace(0, 1, count), mean_interval, 0, 2000) >= 0.935


def curves_of(offsets, factors):
    """Two codecs' curves of images that scatter; the second needs a fifth less, give or take."""
    rates = np.array([0.1, 0.2, 0.4, 0.8, 1.6])
    by_codec = {}
    for label, own, saving in (("anchor", np.ones_like(factors), 1.0), ("other", factors, 0.8)):
        points = []
        for rate in rates:
            values = 40 + 6 * np.log2(rate) + offsets
            own_rates = rate * saving * own
            points.append(CurvePoint(str(rate), own_rates.mean(), values.mean(), tuple(own_rates), tuple(values)))
        by_codec[label] = tuple(points)
    names = tuple(map(str, range(len(offsets))))
    return Curves("psnr", Column("psnr", Direction.HIGHER), names, (), by_codec)


@pytest.mark.parametrize("count", LONG)
def test_of_a_bd_rate(count):
    rng = np.random.default_rng(count)
    spread = 0.1
    truth = 100 * (0.8 * math.exp(spread**2 / 2) - 1)

    def draw():
        return curves_of(rng.normal(0, 2, count), np.exp(rng.normal(0, spread, count)))

    def interval(made):
        (found,) = bd_rates(made, "anchor")
        return found.low, found.high

    assert LEAST <= held(draw, interval, truth, 300) <= MOST


def pearson(values):
    return np.corrcoef(values.reshape(-1, 2).T)[0, 1]


@pytest.mark.parametrize("count", [8, *(pytest.param(count, marks=pytest.mark.slow) for count in (24, 100))])
@pytest.mark.parametrize(("spread", "common", "both"), [(0.3, 0, 0), (0.3, 0.2, 0), (0.3, 0.4, 0), (0.1, 0.1, 0.2)])
def test_of_a_correlation(count, spread, common, both):
    """Also where all cells of an image have much in common, in one column or in both."""
    rng = np.random.default_rng(count)
    quality = np.linspace(0, 1, 6)

    def draw():
        own = rng.normal(0, both, (count, 1))
        one, other = (
            quality + own + rng.normal(0, spread, (count, 6)) + rng.normal(0, common, (count, 1)) for _ in range(2)
        )
        return np.stack([one, other], axis=2)

    def interval(values):
        ends = jackknife_interval(
            lambda chosen: math.atanh(pearson(values[chosen])), count, fewest=8, fitted=2, corrected=True
        )
        return math.tanh(ends[0]), math.tanh(ends[1])

    values = draw()
    cells = Cells(("one", "other"), np.repeat(np.arange(count), 6), values.reshape(-1, 2), ())
    estimate = correlate(cells)[0].estimates["pearson"]
    assert (estimate.low, estimate.high) == pytest.approx(interval(values))
    shared = quality.var() + both**2
    truth = shared / (shared + spread**2 + common**2)
    assert LEAST <= held(draw, interval, truth, 1000) <= MOST


def test_a_correlation_of_few_images_has_none():
    values = np.random.default_rng(0).normal(size=(42, 2))
    for count, given in ((7, False), (8, True)):
        kept = np.repeat(np.arange(8), 6)[: 6 * count]
        rows = np.resize(values, (len(kept), 2))
        (found,) = correlate(Cells(("one", "other"), kept, rows, ()))
        assert (found.estimates["pearson"].low is not None) == given


@pytest.mark.parametrize("count", [3, 4, 8, *(pytest.param(count, marks=pytest.mark.slow) for count in (24, 100))])
def test_of_a_distance_between_sets(count):
    """Fréchet's, of patches of which an image's have much in common."""
    rng = np.random.default_rng(count)
    patches = 16

    def distance(one, other):
        apart = one.mean(axis=0) - other.mean(axis=0)
        first, second = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
        roots = np.linalg.eigvals(first @ second).real.clip(0)
        return apart @ apart + np.trace(first) + np.trace(second) - 2 * np.sqrt(roots).sum()

    def draw():
        originals = rng.normal(0, 0.5, (count, 1, 6)) + rng.normal(0, 1, (count, patches, 6))
        made = 0.9 * originals + 0.3 + rng.normal(0, 0.3, originals.shape) + rng.normal(0, 0.1, (count, 1, 6))
        return originals, made

    def of(pair, chosen=slice(None)):
        return distance(*(each[chosen].reshape(-1, 6) for each in pair))

    truth = np.mean([of(draw()) for _ in range(1000)])
    share = held(draw, lambda pair: jackknife_interval(lambda chosen: of(pair, chosen), count), truth, 400)
    assert LEAST <= share <= MOST


def test_too_few_have_none_and_it_is_said_why():
    assert mean_interval(np.array([1.0, 2.0])) is None
    assert too_few(2) == "2 images; an interval needs 3"
    assert too_few(1) == "1 image; an interval needs 3"
    assert too_few(3) == ""


def test_a_statistic_without_a_value_has_no_interval():
    assert jackknife_interval(lambda chosen: math.nan, 5) is None
    assert jackknife_interval(lambda chosen: math.inf if len(chosen) < 5 else 1.0, 5) is None


def test_many_images_are_left_out_in_parts():
    calls = []
    values = np.random.default_rng(0).normal(size=1000)
    low, high = jackknife_interval(lambda chosen: calls.append(0) or float(values[chosen].mean()), 1000)
    assert len(calls) == 41
    half = 1.96 * values.std(ddof=1) / math.sqrt(1000)
    assert (high - low) / 2 == pytest.approx(half, rel=0.25)


@pytest.mark.parametrize("count", [3, 24, 60, 1000])
def test_a_mean_has_students_interval(count):
    values = np.random.default_rng(count).normal(size=count)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert mean_interval(values) == pytest.approx((expected.low, expected.high))
    if count <= 40:  # of which the jackknife of a mean is the same
        found = jackknife_interval(lambda chosen: float(values[chosen].mean()), count)
        assert found == pytest.approx((expected.low, expected.high))
