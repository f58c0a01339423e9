"""The SSIM family at the edges of its inputs, against formulas in float64 that share no code with it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from conftest import sample_pixels
from edges import NOISE, SIDE, flat, one_off, text
from image_pairs import PAIRS, jpeg, ours, thread_counts, value
from scipy.ndimage import correlate1d
from skimage.metrics import structural_similarity

from qbench_fidelity import on_accelerator
from qbench_fidelity.planes import matlab_luma
from qbench_fidelity.similarity import halve

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
C1, C2 = 6.5025, 58.5225
LUMA = np.array([0.299, 0.587, 0.114])


def filtered(plane):
    taps = np.exp(-((np.arange(11) - 5) ** 2) / 4.5)
    taps /= taps.sum()
    return correlate1d(correlate1d(plane, taps, axis=0), taps, axis=1)[5:-5, 5:-5]


def factors(x, y):
    """Return luminance and structure factors of planes, by the formula of Wang et al. 2004, in float64.

    There E[x²] - E[x]² is right to 1e-11, whatever the planes are.
    """
    x, y = x.astype(np.float64), y.astype(np.float64)
    mx, my = filtered(x), filtered(y)
    vx, vy, cov = filtered(x * x) - mx * mx, filtered(y * y) - my * my, filtered(x * y) - mx * my
    return (2 * mx * my + C1) / (mx**2 + my**2 + C1), (2 * cov + C2) / (vx + vy + C2)


def ssim64(x, y):
    planes = [factors(x[..., c], y[..., c]) for c in range(x.shape[2])]
    return float(np.mean([(lum * structure).mean() for lum, structure in planes]))


def shrunk(plane):
    """Halve as MATLAB's imfilter(x, ones(2)/4, 'symmetric') and every other sample do."""
    plane = np.pad(plane, ((0, 1), (0, 1)), mode="symmetric")
    return (plane[:-1, :-1] + plane[1:, :-1] + plane[:-1, 1:] + plane[1:, 1:])[::2, ::2] / 4


def ms_ssim64(x, y):
    found = []
    for c in range(x.shape[2]):
        one, other, product = x[..., c].astype(np.float64), y[..., c].astype(np.float64), 1.0
        for scale, weight in enumerate(WEIGHTS):
            lum, structure = factors(one, other)
            product *= max(0.0, (structure * lum if scale == 4 else structure).mean()) ** weight
            one, other = shrunk(one), shrunk(other)
        found.append(product)
    return float(np.mean(found))


BOARD = np.repeat(((np.indices(SIDE).sum(0) % 2) * 255).astype(np.uint8)[..., None], 3, 2)
RAMP = np.repeat(np.linspace(0, 6, SIDE[1]).astype(np.uint8)[None, :, None], SIDE[0], 0).repeat(3, 2)
EDGES = {
    "white, a level less": (flat(255), flat(254)),
    "white, one sample off": (flat(255), one_off(flat(255), -1)),
    "black, one sample off": (flat(0), one_off(flat(0))),
    "bright, two levels": (flat(250, 240, 230), flat(249, 241, 229)),
    "black and white": (flat(0), flat(255)),
    "noise": (NOISE, np.roll(NOISE, 3, 1)),
    "negative": (NOISE, 255 - NOISE),
    "board and its negative": (BOARD, 255 - BOARD),
    "board and grey": (BOARD, flat(128)),
    "nearly black ramp": (RAMP, RAMP + 1),
    "nearly white ramp": (255 - RAMP, 254 - RAMP),
    "text on cream, JPEG 95": (text(), jpeg(text(), 95)),
    "text on white, JPEG 100": (text((255,) * 3), jpeg(text((255,) * 3), 100)),
    "half white": (np.vstack([flat(255)[:88], NOISE[88:]]), np.vstack([flat(0)[:88], NOISE[88:]])),
    "photograph": (sample_pixels(SIDE[1], SIDE[0]), jpeg(sample_pixels(SIDE[1], SIDE[0]), 30)),
}
edge = pytest.mark.parametrize("name", EDGES)


@edge
def test_ssim_is_the_formula_in_float64(name):
    x, y = EDGES[name]
    found, right = value("ssim", x, y), ssim64(x, y)
    assert found == pytest.approx(right, abs=2e-6)
    assert 1 - found == pytest.approx(1 - right, rel=2e-4, abs=1e-12)
    assert -1 <= found < 1


@edge
def test_ms_ssim_is_the_formula_in_float64(name):
    x, y = EDGES[name]
    (found,) = ours("ms-ssim", x, y)
    right = ms_ssim64(x, y)
    assert found["ms-ssim"] == pytest.approx(right, abs=5e-6)
    assert 0 <= found["ms-ssim"] < 1
    assert found["db"] < math.inf
    if right < 1 - 1e-9:
        assert found["db"] == pytest.approx(-10 * math.log10(1 - right), abs=2e-3)


@edge
def test_of_luma(name):
    x, y = EDGES[name]
    one, other = ((each @ LUMA)[..., None] for each in (x, y))
    assert value("ssim-y", x, y) == pytest.approx(ssim64(one, other), abs=2e-6)
    assert value("ms-ssim-y", x, y) == pytest.approx(ms_ssim64(one, other), abs=5e-6)
    one, other = (matlab_luma(each)[..., None] for each in (x, y))
    assert value("ssim-y", x, y, luma="rgb2gray") == pytest.approx(ssim64(one, other), abs=2e-6)


@edge
def test_uniform_windows(name):
    x, y = EDGES[name]
    theirs = structural_similarity(x.astype(np.float64), y.astype(np.float64), channel_axis=2, data_range=255)
    assert value("ssim-uniform", x, y) == pytest.approx(theirs, abs=3e-6)
    assert value("ssim-uniform", x, x) == 1 > value("ssim-uniform", x, y)


def test_matlabs_luma_rounds_as_matlab_does():
    colours = np.array([[[255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255], [1, 2, 3], [10, 200, 30]]], np.uint8)
    assert matlab_luma(colours).tolist() == [[255, 76, 150, 29, 2, 124]]


@edge
def test_on_an_accelerator_it_is_the_same_formula(name):
    """By torch on the processor, which stands in for an accelerator."""
    x, y = (torch.from_numpy(each.copy()).permute(2, 0, 1)[None].float() for each in EDGES[name])
    found = on_accelerator.dissimilarities([x], y).mean()
    assert 1 - found == pytest.approx(value("ssim", *EDGES[name]), abs=2e-5)
    for zeros in (False, True):
        scales = on_accelerator.at_scales(x, 5, zeros=zeros)
        factors = 1 - on_accelerator.dissimilarities(scales, y, zeros=zeros)[0]
        product = (factors.clip(min=0) ** np.array(WEIGHTS)).prod(axis=1).mean()
        way = "zeros" if zeros else "symmetric"
        assert product == pytest.approx(value("ms-ssim", *EDGES[name], odd_sides=way), abs=1e-4)


@pytest.mark.parametrize("name", ["ssim", "ssim-y", "ms-ssim", "ms-ssim-y"])
def test_alone_and_beside_others_identical_and_on_any_threads(name):
    x = EDGES["photograph"][0]
    others = [EDGES["photograph"][1], one_off(x), x, 255 - x]
    together = ours(name, x, *others)
    assert [ours(name, x, each)[0] for each in others] == together
    assert ours(name, x, *others[::-1]) == together[::-1]
    assert together[2][name] == 1
    assert together[1][name] < 1
    if "db" in together[2]:
        assert together[2]["db"] == math.inf
    for _ in thread_counts():
        assert ours(name, x, *others) == together


@pytest.mark.parametrize("shape", [(11, 11), (11, 300), (12, 11), (138, 139), (139, 15)])
def test_least_sizes(shape):
    x = sample_pixels(shape[1], shape[0])
    y = jpeg(x, 20)
    assert value("ssim", x, y) == pytest.approx(ssim64(x, y), abs=2e-6)
    assert value("ssim-y", x, y) == pytest.approx(ours("ssim-y", x, x, y)[1]["ssim-y"], abs=0)


@pytest.mark.parametrize("shape", [(4, 6), (5, 6), (4, 7), (5, 7)])
def test_halving(shape):
    plane = np.random.default_rng(2).random(shape).astype(np.float32)
    assert halve(plane) == pytest.approx(shrunk(plane.astype(np.float64)), abs=1e-6)
    zeros = torch.nn.functional.avg_pool2d(
        torch.from_numpy(plane)[None, None], 2, padding=[side % 2 for side in shape]
    )[0, 0]
    assert halve(plane, zeros=True) == pytest.approx(zeros.numpy(), abs=1e-6)


@pytest.mark.parametrize("pair", PAIRS)
def test_growing_distortion_lowers_it(pair):
    x = PAIRS[pair][0][:192, :192]
    found = [ours("ms-ssim", x, jpeg(x, quality))[0]["ms-ssim"] for quality in (90, 50, 20, 5)]
    assert found == sorted(found, reverse=True)
