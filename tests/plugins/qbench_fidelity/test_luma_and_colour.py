"""Luma, colour, and the metrics of other people's programs."""

from __future__ import annotations

import math
import shutil

import numpy as np
import pytest
import skimage.color
import skimage.metrics
from image_pairs import PAIRS, ours, value

from qbench.plugin import PluginError
from qbench_fidelity import butteraugli, colour, hvs
from qbench_fidelity.delta_e import _delta

pair = pytest.mark.parametrize("pair", PAIRS, ids=lambda name: name)
WEIGHTS = np.array([0.299, 0.587, 0.114])


@pair
def test_psnr_and_ssim_of_luma(pair):
    x, y = PAIRS[pair]
    one, other = x @ WEIGHTS, y @ WEIGHTS
    expected = skimage.metrics.peak_signal_noise_ratio(one, other, data_range=255)
    assert value("psnr-y", x, y) == pytest.approx(expected, rel=1e-6)
    expected = skimage.metrics.structural_similarity(
        one, other, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    assert value("ssim-y", x, y) == pytest.approx(expected, abs=2e-6)
    assert value("psnr-y", x, x) == math.inf
    assert value("ssim-y", x, x) == 1


def test_ciede2000_on_the_published_pairs():
    """Table 1 of Sharma et al. 2005 holds for scikit-image; here that means are taken of it."""
    lab = [(50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485)]
    assert skimage.color.deltaE_ciede2000(*lab) == pytest.approx(2.0425, abs=5e-5)
    found = np.empty(1)
    _delta(*(np.array([value]) for each in lab for value in each), found)
    assert found[0] == pytest.approx(2.0425, abs=5e-5)


COLOURS = np.random.default_rng(7).integers(0, 256, (120, 130, 3), np.uint8)
GREYS = np.repeat(COLOURS[..., :1], 3, 2)
COLOUR_PAIRS = {
    **PAIRS,
    "all colours": (COLOURS, COLOURS[::-1].copy()),
    "a level off": (COLOURS, np.where(COLOURS < 255, COLOURS + 1, 254).astype(np.uint8)),
    "greys": (GREYS, GREYS[::-1].copy()),
    "grey and colour": (GREYS, COLOURS),
    "black and white": (np.zeros_like(COLOURS), np.full_like(COLOURS, 255)),
    "nearly black": (COLOURS // 64, COLOURS[::-1] // 64),
}


@pytest.mark.parametrize("name", COLOUR_PAIRS)
def test_ciede2000_is_scikit_images(name):
    x, y = COLOUR_PAIRS[name]
    right = skimage.color.deltaE_ciede2000(skimage.color.rgb2lab(x), skimage.color.rgb2lab(y))
    each = colour.differences(x, y)
    # Where two hues are half a turn apart, a last bit decides which way is round.
    assert np.mean(np.abs(each - right) > 5e-4 + 1e-5 * right) < 2e-3
    (found,) = ours("ciede2000", x, y)
    assert found["ciede2000"] == pytest.approx(right.mean(), abs=1e-4, rel=1e-5)
    assert found["p95"] == pytest.approx(np.quantile(right, 0.95), abs=5e-4, rel=1e-5)
    assert ours("ciede2000", x, x) == [{"ciede2000": 0.0, "p95": 0.0}]


def test_psnr_hvs_weighs_coefficients_by_contrast_sensitivity():
    """A single coefficient that is off in every block: its error is what the paper's table weighs it with."""
    pytest.importorskip("psnr_hvsm", reason="the extra hvs is not installed")
    from scipy.fft import idctn

    coefficients = np.zeros((8, 8))
    coefficients[0, 2] = 160.0
    pattern = np.round(idctn(coefficients, norm="ortho"))
    block = np.repeat(np.tile(128 + pattern, (6, 6))[..., None], 3, axis=2).astype(np.uint8)
    flat = np.full_like(block, 128)
    (found,) = ours("psnr-hvs", flat, block)
    # 2.573509 is that coefficient's weight in Ponomarenko's table.
    expected = 10 * np.log10(255**2 / ((2.573509 * 160) ** 2 / 64))
    assert found["psnr-hvs"] == pytest.approx(expected, abs=0.1)
    assert found["m"] >= found["psnr-hvs"]
    assert ours("psnr-hvs", block, block)[0] == {"psnr-hvs": math.inf, "m": math.inf}


@pytest.mark.skipif(not shutil.which(butteraugli.PROGRAM), reason="butteraugli_main is not installed")
def test_butteraugli_rises_with_the_error():
    x, y = PAIRS["coffee, JPEG 95"]
    worse = PAIRS["coffee, JPEG 5"][1]
    found = ours("butteraugli", x, x, y, worse)
    assert found[0] == {"butteraugli": 0, "norm3": 0}
    assert 0 < found[1]["butteraugli"] < 2.5 < found[2]["butteraugli"]
    assert found[1]["norm3"] < found[2]["norm3"]


def test_programs_and_packages_that_are_missing(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(PluginError, match="apt-get install libjxl-devtools"):
        butteraugli.Butteraugli.libraries()
    monkeypatch.setattr(hvs, "import_module", lambda name: (_ for _ in ()).throw(ImportError(name)))
    with pytest.raises(PluginError, match=r"pip install 'qbench\[hvs\]'"):
        hvs.PsnrHvs.libraries()
