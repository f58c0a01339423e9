"""Metrics of gradients, phase, wavelets and information, against other people's code and the papers' formulas."""

from __future__ import annotations

import numpy as np
import piq
import piqa
import pytest
import torch
import torchmetrics.functional.image as torchmetrics
from edges import NOISE, flat, one_off, text
from image_pairs import CUP, PAIRS, jpeg, ours, tensors, thread_counts, value
from scipy.signal import convolve2d

from qbench.plugin import NotApplicable
from qbench_fidelity.planes import shrink_factor, shrunk

pair = pytest.mark.parametrize("pair", PAIRS, ids=lambda name: name)
SAME_SHRINKING = ["astronaut, JPEG 30", "chelsea, noise 20", "odd crop, JPEG 50"]
"""Pairs whose shorter side over 256 is rounded to where piqa, which cuts it off, comes as well."""


def theirs(metric, x, y):
    # In float32, as piqa keeps some of its constants in it.
    return float(metric(*(tensor / 255 for tensor in tensors(y, x, dtype=torch.float32))))


EDGES = {
    "one sample off": (flat(255), one_off(flat(255), -1)),
    "bright, two levels": (flat(250, 240, 230), flat(249, 241, 229)),
    "text on cream": (text(), jpeg(text(), 95)),
    "noise": (NOISE, np.roll(NOISE, 3, 1)),
    "a negative": (NOISE, 255 - NOISE),
    "half flat": (np.vstack([flat(200)[:88], NOISE[88:]]), np.vstack([flat(190)[:88], np.roll(NOISE, 1, 1)[88:]])),
    "shrunk by half": (np.tile(CUP, (3, 2, 1))[:400, :500], jpeg(np.tile(CUP, (3, 2, 1))[:400, :500], 10)),
    **PAIRS,
}
edge = pytest.mark.parametrize("name", EDGES)


@edge
@pytest.mark.parametrize("metric", ["vifp", "gmsd", "mdsi", "haarpsi"])
def test_piq_in_float64_says_the_same(metric, name):
    x, y = EDGES[name]
    function = {"vifp": "vif_p"}.get(metric, metric)
    right = float(getattr(piq, function)(*tensors(y, x), data_range=255))
    try:
        found = value(metric, x, y)
    except NotApplicable as reason:
        assert (metric, name) == ("vifp", "one sample off") or "bright" in name, reason
        return
    if metric == "haarpsi":  # piq has other digits in YIQ
        assert found == pytest.approx(right, abs=3e-4)
    else:
        assert found == pytest.approx(right, rel=1e-4, abs=2e-5)


@pair
def test_iw_ssim(pair):
    """By piq in float64, but that a negative level, of which piq takes the magnitude, counts as 0."""
    x, y = PAIRS[pair]
    right = float(piq.information_weighted_ssim(*tensors(y, x), data_range=255))
    assert value("iw-ssim", x, y) == pytest.approx(0 if pair == "inverted" else right, abs=1e-6)


def test_iw_ssim_where_blocks_do_not_vary_in_every_direction():
    """Covariances of stripes are singular: only what varies is counted."""
    stripes = np.tile(CUP[:1], (192, 1, 1))
    found = [value("iw-ssim", stripes, np.tile(jpeg(CUP, quality)[:1], (192, 1, 1))) for quality in (95, 50, 10)]
    assert 1 > found[0] > found[1] > found[2] > 0


@pair
def test_fsim_and_vsi_are_piqs_of_shrunk_images(pair):
    """piq adds nothing to amplitudes and takes the magnitude of a negative power; it does not smooth before SDSP."""
    x, y = PAIRS[pair]
    small = [np.float64(shrunk(each.astype(np.float32), shrink_factor(each))) for each in (y, x)]
    given = [tensor.clamp(0, 255) for tensor in tensors(*small)]
    far = pair == "inverted"
    assert value("fsim", x, y) == pytest.approx(float(piq.fsim(*given, data_range=255)), abs=3e-3 if far else 1e-4)
    assert value("vsi", x, y) == pytest.approx(float(piq.vsi(*given, data_range=255)), abs=2e-4)


def test_a_level_in_a_flat_picture_is_nothing_to_see():
    white, off = flat(255), one_off(flat(255), -1)
    for pair in ((white, off), (off, white)):
        assert 0.98 < value("fsim", *pair) < 1
        assert 0.5 < value("vsi", *pair) < 1
    for metric in ("fsim", "vsi"):
        (outcome,) = ours(metric, white, flat(0))
        assert isinstance(outcome, NotApplicable)


@pytest.mark.parametrize("metric", ["vifp", "gmsd", "mdsi", "haarpsi", "fsim", "vsi", "iw-ssim"])
def test_alone_beside_others_and_on_any_threads(metric):
    x = EDGES["astronaut, JPEG 30"][0]
    others = [jpeg(x, 30), one_off(x), x, 255 - x]
    together = ours(metric, x, *others)
    assert [ours(metric, x, each)[0] for each in others] == together
    best = 0 if metric in ("gmsd", "mdsi") else 1
    assert together[2][metric] == best != together[1][metric]
    for _ in thread_counts():
        assert ours(metric, x, *others) == together


def test_half_of_a_factor_is_rounded_up():
    """640 / 256 is 2.5: MATLAB's round gives 3."""
    assert shrink_factor(np.zeros((640, 700, 3), np.uint8)) == 3
    assert shrink_factor(np.zeros((639, 700, 3), np.uint8)) == 2
    assert shrink_factor(np.zeros((100, 700, 3), np.uint8)) == 1


@pytest.mark.parametrize("factor", [2, 3, 4, 5])
def test_shrinking_is_matlabs(factor):
    image = np.random.default_rng(1).random((23, 31)).astype(np.float32)
    kernel = np.full((factor, factor), 1 / factor**2)
    full = convolve2d(image, kernel, "full")
    start = (factor + 1 + 1) // 2 - 1  # conv2's central part begins at ceil((size + 1) / 2), counted from 1
    same = full[start : start + 23, start : start + 31]
    assert shrunk(image, factor) == pytest.approx(same[::factor, ::factor], abs=1e-6)


@pair
def test_vifp(pair):
    x, y = PAIRS[pair]
    luma = [(image @ np.array([0.299, 0.587, 0.114]))[..., None] for image in (y, x)]
    expected = torchmetrics.visual_information_fidelity(*tensors(*luma))
    assert value("vifp", x, y) == pytest.approx(float(expected), abs=2e-4)


@pair
def test_gmsd(pair):
    x, y = PAIRS[pair]
    even = np.s_[: x.shape[0] // 2 * 2, : x.shape[1] // 2 * 2]  # odd sides are padded by one and cut by the other
    assert value("gmsd", x[even], y[even]) == pytest.approx(theirs(piqa.GMSD(), x[even], y[even]), abs=1e-5)


@pytest.mark.parametrize("pair", SAME_SHRINKING)
def test_fsim(pair):
    x, y = PAIRS[pair]
    assert value("fsim", x, y) == pytest.approx(theirs(piqa.FSIM(), x, y), abs=2e-4)


@pair
def test_haarpsi(pair):
    x, y = PAIRS[pair]
    even = np.s_[: x.shape[0] // 2 * 2, : x.shape[1] // 2 * 2]
    assert value("haarpsi", x[even], y[even]) == pytest.approx(theirs(piqa.HaarPSI(), x[even], y[even]), abs=5e-3)


def test_vsi():
    """piqa takes square images alone, and interpolates saliency otherwise."""
    x, y = PAIRS["astronaut, JPEG 30"]
    assert value("vsi", x, y) == pytest.approx(theirs(piqa.VSI(), x, y), abs=1e-3)


@pytest.mark.parametrize("pair", ["chelsea, noise 20", "odd crop, JPEG 50"])
def test_mdsi(pair):
    """By the paper's formulas; these images are not shrunk."""
    x, y = (image.astype(float) for image in PAIRS[pair])
    light, h, m = (
        [image @ np.array(row) for image in (x, y)]
        for row in ([0.2989, 0.5870, 0.1140], [0.30, 0.04, -0.35], [0.34, -0.60, 0.17])
    )
    prewitt = np.array([[1, 0, -1]] * 3) / 3

    def gradient(image):
        return np.hypot(convolve2d(image, prewitt, "same"), convolve2d(image, prewitt.T, "same"))

    def similarity(one, other, constant):
        return (2 * one * other + constant) / (one**2 + other**2 + constant)

    first, second, mean = gradient(light[0]), gradient(light[1]), gradient((light[0] + light[1]) / 2)
    structure = similarity(first, second, 140) + similarity(second, mean, 55) - similarity(first, mean, 55)
    colour = (2 * (h[0] * h[1] + m[0] * m[1]) + 550) / (h[0] ** 2 + h[1] ** 2 + m[0] ** 2 + m[1] ** 2 + 550)
    combined = (0.6 * structure + 0.4 * colour).astype(complex) ** 0.25
    expected = np.mean(np.abs(combined - combined.mean())) ** 0.25
    assert value("mdsi", PAIRS[pair][0], PAIRS[pair][1]) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("name", ["vifp", "iw-ssim", "fsim", "gmsd", "vsi", "haarpsi", "mdsi"])
def test_flat_images_and_identical_ones(name):
    x, y = PAIRS["coffee, JPEG 5"]
    flat = np.full_like(x, 90)
    (outcome,) = ours(name, x, flat)
    assert np.isfinite(outcome[name])
    assert ours(name, x, x)[0][name] == (0 if name in ("gmsd", "mdsi") else 1)
    if name == "vifp":
        with pytest.raises(NotApplicable, match="of one luma"):
            ours(name, flat, y)
    elif name == "iw-ssim":
        with pytest.raises(NotApplicable, match="no structure"):
            ours(name, flat, y)
    else:
        (outcome,) = ours(name, flat, y)
        assert np.isfinite(outcome[name])
