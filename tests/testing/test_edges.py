"""The matrix of nasty pictures passes every metric there is, and finds what is wrong with bad ones."""

from __future__ import annotations

import math

import numpy as np
import piq
import pytest
import skimage.color
import skimage.metrics
import torch
import toys
from scipy.ndimage import correlate1d

from qbench.plugin import Metric, PluginError
from qbench.registry.registry import default_registry
from qbench.testing import check_metric_at_edges, edge_pictures
from qbench_fidelity.planes import shrink_factor

METRICS = default_registry().metrics
HUB = (
    "lpips",
    "dists",
    "clip-similarity",
)  # these have networks that no package brings; checked with networks of tests
BUNDLED = [name for name in METRICS if issubclass(METRICS[name], Metric) and name not in HUB]


def filtered(plane):
    taps = np.exp(-((np.arange(11) - 5) ** 2) / 4.5)
    taps /= taps.sum()
    return correlate1d(correlate1d(plane, taps, axis=0), taps, axis=1)[5:-5, 5:-5]


def ssim(x, y):
    """Return SSIM by the formula of Wang et al. 2004, in float64."""
    maps = []
    for c in range(x.shape[2]):
        one, other = (each[..., c].astype(np.float64) for each in (x, y))
        mx, my = filtered(one), filtered(other)
        vx, vy, cov = filtered(one**2) - mx**2, filtered(other**2) - my**2, filtered(one * other) - mx * my
        maps.append((2 * mx * my + 6.5025) * (2 * cov + 58.5225) / (mx**2 + my**2 + 6.5025) / (vx + vy + 58.5225))
    return float(np.mean(maps))


def ssim_y(x, y):
    return ssim(*((each @ np.array([0.299, 0.587, 0.114]))[..., None] for each in (x, y)))


def psnr(x, y):
    error = np.mean((x.astype(np.float64) - y) ** 2)
    return 10 * math.log10(255**2 / error) if error else math.inf


def uniform(x, y):
    return skimage.metrics.structural_similarity(*(np.float64(each) for each in (x, y)), channel_axis=2, data_range=255)


def ciede2000(x, y):
    return float(skimage.color.deltaE_ciede2000(*(skimage.color.rgb2lab(each) for each in (x, y))).mean())


def by_piq(name):
    def formula(x, y):
        if np.array_equal(x, y):
            return math.nan  # what arithmetic makes of 1 or 0
        pair = [torch.from_numpy(np.float64(each)).permute(2, 0, 1)[None] for each in (y, x)]
        try:
            return float(getattr(piq, name)(*pair, data_range=255))
        except RuntimeError:  # it can't invert the covariance of a picture without structure
            return math.nan

    return formula


def mdsi(x, y):
    return by_piq("mdsi")(x, y) if shrink_factor(x) == 1 else math.nan


FORMULAS = {
    "psnr": (psnr, 1e-9),
    "ssim": (ssim, 2e-6),
    "ssim-y": (ssim_y, 2e-6),
    "ssim-uniform": (uniform, 1e-9),
    "ciede2000": (ciede2000, 2e-4),
    "vifp": (by_piq("vif_p"), 1e-6),
    "gmsd": (by_piq("gmsd"), 2e-5),
    "haarpsi": (by_piq("haarpsi"), 3e-4),
    "mdsi": (mdsi, 2e-5),
}
"""Other programs in float64, and how far ours, partly in float32, may be from them."""


@pytest.mark.parametrize("name", BUNDLED)
def test_every_metric_keeps_its_promises_at_the_edges(name):
    try:
        METRICS[name].libraries()
    except PluginError as error:
        pytest.skip(str(error))
    formula, tolerance = FORMULAS.get(name, (None, 1.0))
    check_metric_at_edges(METRICS[name], formula=formula, tolerance=tolerance)


def test_pictures_are_what_they_say():
    pictures = edge_pictures()
    assert pictures.keys() == edge_pictures().keys()
    for name, (original, others) in pictures.items():
        for each, other in others.items():
            assert other.shape == original.shape
            assert other.dtype == original.dtype == np.uint8
            assert np.array_equal(other, original) == (each == "the original"), (name, each)
            if each == "one sample off":
                assert np.abs(other.astype(int) - original).sum() == 1


class Similar(toys.Difference):
    """1 less the difference, over 255."""

    def value(self, original, other):
        return 1 - np.abs(original.astype(float) - other).mean() / 255

    def score(self, candidates, prepared):
        original = candidates.reference.pixels
        return [{"difference": self.value(original, pixels)} for pixels in candidates.pixels]


class Falling(toys.Difference):
    def score(self, candidates, prepared):
        return [{"difference": 255 - found["difference"]} for found in super().score(candidates, prepared)]


class Inexact(toys.Difference):
    def score(self, candidates, prepared):
        return [{"difference": found["difference"] + 1e-9} for found in super().score(candidates, prepared)]


class Ordered(toys.Difference):
    def score(self, candidates, prepared):
        return [{"difference": index} for index in range(len(candidates))]


class Threaded(toys.Difference):
    def score(self, candidates, prepared):
        more = 0.01 * (torch.get_num_threads() == 8)
        return [
            {"difference": found["difference"] + more * (found["difference"] > 0)}
            for found in super().score(candidates, prepared)
        ]


class Infinite(toys.Difference):
    def score(self, candidates, prepared):
        found = super().score(candidates, prepared)
        return [{"difference": math.inf if each["difference"] == 1 else each["difference"]} for each in found]


class Tiny(toys.Difference):
    def prepare(self, reference):
        return reference.pixels[10]


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (Falling, "the original itself is 255.0, not 0"),
        (Inexact, "the original itself is 1e-09, not 0"),
        (Ordered, "in a batch"),
        (Threaded, "with 8 threads"),
        (Infinite, "difference is inf"),
    ],
)
def test_what_is_wrong_is_found(cls, message):
    with pytest.raises(AssertionError, match=message):
        check_metric_at_edges(cls)


def test_a_picture_that_is_too_small_is_found():
    with pytest.raises(Exception, match="out of bounds"):
        check_metric_at_edges(Tiny)


def test_a_formula_that_says_something_else_is_told():
    with pytest.raises(AssertionError, match="is right"):
        check_metric_at_edges(METRICS["psnr"], formula=lambda x, y: psnr(x, y) + 0.001)
    with pytest.raises(AssertionError, match="nothing to compare"):
        check_metric_at_edges(METRICS["psnr"], formula=lambda x, y: math.nan)
