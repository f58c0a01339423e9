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
from threadpoolctl import threadpool_info

from qbench.plugin import Column, Direction, Metric, NotApplicable, PluginError
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


def gmsd(x, y):
    """Over n - 1, where piq divides by n."""
    count = -(-x.shape[0] // 2) * -(-x.shape[1] // 2)
    return by_piq("gmsd")(x, y) * math.sqrt(count / (count - 1))


def mdsi(x, y):
    return by_piq("mdsi")(x, y) if shrink_factor(x) == 1 else math.nan


FORMULAS = {
    "psnr": (psnr, 1e-9),
    "ssim": (ssim, 2e-6),
    "ssim-y": (ssim_y, 2e-6),
    "ssim-uniform": (uniform, 1e-9),
    "ciede2000": (ciede2000, 1e-5),
    "vifp": (by_piq("vif_p"), 1e-6),
    "gmsd": (gmsd, 2e-6),
    "haarpsi": (by_piq("haarpsi"), 3e-4),
    "mdsi": (mdsi, 2e-5),
}
"""Other programs in float64, and how far ours, partly in float32, may be from them."""


LONG = ("butteraugli", "fsim", "iw-ssim", "psnr-hvs", "vifp", "vit-score", "vsi")
"""What takes seconds, here or by others' programs."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in LONG else []) for name in BUNDLED]
)
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


class Wrong(toys.Difference):
    """The mean difference, but for what a class below makes of it."""

    def change(self, value, height, count):
        return value

    def score(self, candidates, prepared):
        height, count = candidates.reference.pixels.shape[0], len(candidates)
        found = super().score(candidates, prepared)
        return [{"difference": self.change(each["difference"], height, count)} for each in found]


def wrong(change, **attributes):
    return type("Changed", (Wrong,), {"change": lambda self, *given: change(*given), **attributes})


UNBOUNDED = (Column("difference", Direction.LOWER, None, None),)
EXPECTED = NotApplicable("too small")


def blas_threads():
    return max(each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas")


@pytest.mark.parametrize(
    ("change", "attributes", "message"),
    [
        (lambda value, height, count: 255 - value, {}, "the original itself is 255.0, not 0"),
        (lambda value, height, count: value + 1e-9, {}, "the original itself is 1e-09, not 0"),
        (lambda value, height, count: value + height * 1e-9, {"columns": UNBOUNDED}, "of originals themselves differs"),
        (lambda value, height, count: value + (value > 0) * count, {}, "alone"),
        (lambda value, height, count: value * (1.1 if count == 1 and height < 200 else 1), {}, "1×1 pixels.*alone"),
        (lambda value, height, count: value + 0.3 * (height < 200), {}, "1×1 pixels.*the original itself is 0.3"),
        (
            lambda value, height, count: 1 / (value + 1) if value > 0 and height == 3000 else value,
            {},
            "20×3000.*little",
        ),
        (lambda value, height, count: value + 0.01 * (value > 0) * (torch.get_num_threads() == 8), {}, "8 threads"),
        (lambda value, height, count: value * (0.99 if blas_threads() == 1 else 1), {}, "2 threads"),
        (lambda value, height, count: math.inf if value == 1 else value, {}, "difference is inf"),
        (lambda value, height, count: math.inf if value > 0 and height < 9 else value, {}, "difference is inf"),
        (lambda value, height, count: value or -0.0, {}, "-0.0"),
        (lambda value, height, count: value - 1e-5 * (0 < value < 1e-4), {}, "below 0"),
    ],
)
def test_what_is_wrong_is_found(change, attributes, message):
    with pytest.raises(AssertionError, match=message):
        check_metric_at_edges(wrong(change, **attributes))


def test_a_metric_that_differs_in_what_it_applies_to_is_found():
    class Small(Wrong):
        def score(self, candidates, prepared):
            if candidates.reference.pixels.shape[0] == 11 and len(candidates) == 1:
                return [EXPECTED]
            return super().score(candidates, prepared)

    with pytest.raises(AssertionError, match=r"11×11 pixels.*applicable in a batch but not alone"):
        check_metric_at_edges(Small)

    class Never(Wrong):
        def prepare(self, reference):
            raise EXPECTED

    with pytest.raises(AssertionError, match="not applicable to any picture"):
        check_metric_at_edges(Never)


def test_what_raises_is_told_with_the_picture():
    class Tiny(Wrong):
        def prepare(self, reference):
            return reference.pixels[10]

    with pytest.raises(AssertionError, match="1×1 pixels: prepare raised IndexError: index 10"):
        check_metric_at_edges(Tiny)

    class Large(Wrong):
        def score(self, candidates, prepared):
            if candidates.reference.pixels.shape[0] > 2000:
                raise ValueError("too large")
            return super().score(candidates, prepared)

    with pytest.raises(AssertionError, match="20×3000 pixels: score raised ValueError: too large"):
        check_metric_at_edges(Large)


def test_a_formula_that_says_something_else_is_told():
    with pytest.raises(AssertionError, match="is right"):
        check_metric_at_edges(METRICS["psnr"], formula=lambda x, y: psnr(x, y) + 0.001)
    with pytest.raises(AssertionError, match="nothing to compare"):
        check_metric_at_edges(METRICS["psnr"], formula=lambda x, y: math.nan)
