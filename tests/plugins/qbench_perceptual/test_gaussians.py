"""Distances between sets of vectors, against other people's code."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import torch
from sklearn.covariance import ledoit_wolf
from torch_fidelity.metric_kid import kernel_poly, mmd2
from torchmetrics.image.fid import _compute_fid

from qbench_perceptual.gaussians import (
    frechet_distance,
    kernel_distance,
    sample_covariance,
    shrunk_covariance,
)
from qbench_perceptual.sampling import interval

MIX = np.random.default_rng(5).normal(size=(24, 24))


@pytest.fixture
def rng():
    return np.random.default_rng(6)


def samples(rng, count, *, shift=0.0, scale=1.0):
    return rng.normal(shift, scale, (count, 24)) @ MIX


@pytest.mark.parametrize(("count", "other_count", "shift"), [(400, 400, 0.0), (100, 60, 0.3), (30, 200, 1.0)])
def test_the_frechet_distance(rng, count, other_count, shift):
    one, other = samples(rng, count), samples(rng, other_count, shift=shift, scale=1.3)
    found = frechet_distance(one, other)
    covariances = [np.cov(each, rowvar=False) for each in (one, other)]
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    means = one.mean(axis=0) - other.mean(axis=0)
    assert found == pytest.approx(means @ means + np.trace(covariances[0] + covariances[1] - 2 * root), rel=1e-9)
    theirs = _compute_fid(
        *(torch.from_numpy(part) for part in (one.mean(0), covariances[0], other.mean(0), covariances[1]))
    )
    assert found == pytest.approx(float(theirs), rel=1e-9)
    assert found == pytest.approx(frechet_distance(other, one), rel=1e-9)
    assert abs(frechet_distance(one, one)) < 1e-9 * np.trace(covariances[0])


def test_singular_covariances(rng):
    """Samples in a plane: the distance is that within the plane, without anything added to a diagonal."""
    plane = rng.normal(size=(2, 24))
    plane = np.linalg.qr(plane.T)[0].T
    flat, other = rng.normal(size=(50, 2)), 1 + 2 * rng.normal(size=(50, 2))
    assert frechet_distance(flat @ plane, other @ plane) == pytest.approx(frechet_distance(flat, other), rel=1e-6)
    constant = np.ones((50, 24))
    expected = ((flat @ plane).mean(0) - 1) @ ((flat @ plane).mean(0) - 1) + np.trace(sample_covariance(flat @ plane))
    assert frechet_distance(flat @ plane, constant) == pytest.approx(expected)


@pytest.mark.parametrize("count", [2, 10, 300])
def test_shrinking(rng, count):
    drawn = samples(rng, count)
    assert shrunk_covariance(drawn) == pytest.approx(ledoit_wolf(drawn)[0], rel=1e-9, abs=1e-9)
    constant = np.ones((5, 24))
    assert not shrunk_covariance(constant).any()
    assert np.isfinite(frechet_distance(drawn, samples(rng, count, shift=1), shrink=True))


def test_the_kernel_distance(rng):
    one, other = samples(rng, 80), samples(rng, 80, shift=0.2)
    kernels = [
        kernel_poly(x, y, kid_kernel_poly_degree=3, kid_kernel_poly_gamma=None, kid_kernel_poly_coef0=1)
        for x, y in ((one, one), (one, other), (other, other))
    ]
    assert kernel_distance(one, other) == pytest.approx(mmd2(*kernels, mmd_est="u-statistic"), rel=1e-9)
    for count in (2, 6, 24):
        assert kernel_distance(one[:count], one[:count]) == 0


def test_the_interval_is_over_images(rng):
    """Of a mean, whose standard error is known; an image's patches say no more than one of them."""
    values = np.repeat(rng.normal(0, 1, 20), 10)
    parts = list(values.reshape(20, 10, 1).astype(np.float32))
    found = interval(lambda chosen: float(values[chosen].mean()), parts)
    expected = 2.093 * values[::10].std(ddof=1) / np.sqrt(20)
    assert found["high"] - values.mean() == pytest.approx(expected, rel=1e-3)
    assert values.mean() - found["low"] == pytest.approx(expected, rel=1e-3)
    few = interval(lambda chosen: 0.0, parts[:2])
    assert few["low"].reason == few["high"].reason == "2 images; an interval needs 3"
