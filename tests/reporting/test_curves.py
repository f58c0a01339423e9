"""Rate–distortion curves and Bjøntegaard deltas."""

from __future__ import annotations

import bjontegaard
import numpy as np
import pytest
from conftest import sample_pixels
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from rate_curves import RATES, curve, of, quality

import qbench
from qbench.contracts.metric import Direction
from qbench.errors import QbenchError
from qbench.reporting.bd import bd_rates, unusable
from qbench.reporting.curves import curve_metrics, curves


@pytest.mark.parametrize("method", ["akima", "pchip", "cubic"])
def test_a_codec_that_needs_a_fifth_less_everywhere(method):
    made = of(anchor=curve("anchor", RATES, quality(RATES)), better=curve("better", 0.8 * RATES, quality(RATES)))
    (found,) = bd_rates(made, "anchor", method)
    assert found.percent == pytest.approx(-20)
    assert (found.lower, found.upper) == pytest.approx((quality(0.1), quality(1.6)))
    assert found.overlap == pytest.approx(1)
    # Lower is better: the same curves, upside down.
    made = of(
        Direction.LOWER, anchor=curve("anchor", RATES, -quality(RATES)), better=curve("b", 0.8 * RATES, -quality(RATES))
    )
    assert bd_rates(made, "anchor", method)[0].percent == pytest.approx(-20)
    assert bd_rates(made, "better", method)[0].percent == pytest.approx(25)


def test_the_librarys_own_numbers():
    """Its README's example."""
    rates = [9487.76, 4593.60, 2486.44, 1358.24], [9787.80, 4469.00, 2451.52, 1356.24]
    values = [40.037, 38.615, 36.845, 34.851], [40.121, 38.651, 36.970, 34.987]
    made = of(
        anchor=curve("anchor", rates[0][::-1], values[0][::-1]), test=curve("test", rates[1][::-1], values[1][::-1])
    )
    expected = bjontegaard.bd_rate(rates[0][::-1], values[0][::-1], rates[1][::-1], values[1][::-1], method="akima")
    found = bd_rates(made, "anchor", "akima")[0]
    assert found.percent == pytest.approx(expected)


def test_intervals_over_images():
    made = of(
        anchor=curve("anchor", RATES, quality(RATES), 0.2),
        same=curve("same", 0.9 * RATES, quality(RATES), 0.2),
        other=curve("other", 0.9 * RATES, quality(RATES), 0.2, seed=5),
    )
    same, other = bd_rates(made, "anchor")
    # Images that scatter alike for both codecs say nothing against the difference; others do.
    assert same.high - same.low < 1e-6
    assert other.low < other.percent < other.high
    assert other.high - other.low > 5
    assert bd_rates(made, "anchor", intervals=False)[0].low is None


def test_refusals_say_why():
    made = of(
        anchor=curve("anchor", RATES, quality(RATES)),
        short=curve("short", RATES[:3], quality(RATES[:3])),
        one=curve("one", RATES[:1], quality(RATES[:1])),
        bent=curve("bent", RATES, [30, 31, 30.5, 32, 33]),
        apart=curve("apart", RATES, quality(RATES) + 100),
    )
    reasons = {each.codec: each.reason for each in bd_rates(made, "anchor")}
    assert reasons["short"] == "3 operating points, fewer than 4"
    assert reasons["one"] == "1 operating point, fewer than 4"
    assert reasons["bent"] == "not monotone: bent:rate=0.4 costs more than bent:rate=0.2 and is no better"
    assert reasons["apart"].startswith("no overlap: anchor reaches 20.07 to 44.07, apart 120.1 to 144.1")
    assert all(each.percent is None for each in bd_rates(made, "anchor"))
    with pytest.raises(QbenchError, match="`bent` can't be the anchor: not monotone"):
        bd_rates(made, "bent")
    with pytest.raises(QbenchError, match=r"no curve of `ancor` to compare with; did you mean `anchor`\? \(codecs"):
        bd_rates(made, "ancor")
    twice = curve("twice", [0.1, 0.1, 0.2, 0.4], [1, 2, 3, 4])
    assert unusable(twice, 1.0) == "twice:rate=0.1 and twice:rate=0.1 have the same rate"


def test_curves_of_a_run(suite, registry, tmp_path):
    suite["metrics"] = ["psnr", "bpp", "mean-colour" if "mean-colour" in registry.metrics else "difference"]
    run = qbench.run(suite, output=tmp_path / "run", registry=registry)
    found = curves(run, "psnr")
    points = found.by_codec["shift"]
    assert [point.point for point in points] == ["shift:bits=5", "shift:bits=3", "shift:bits=1"] or len(points) == 3
    assert [point.rate for point in points] == sorted(point.rate for point in points)
    for point in points:
        rows = [row for row in run.rows if row.point == point.point]
        assert point.value == pytest.approx(np.mean([row.entries["psnr"].value for row in rows]))
        assert point.rate == pytest.approx(np.mean([row.entries["bpp"].value for row in rows]))
    assert "bpp" not in curve_metrics(run)
    with pytest.raises(QbenchError, match="no curve of `pnsr`; did you mean `psnr`"):
        curves(run, "pnsr")


def test_images_without_a_value_are_left_out_of_all(photos, tmp_path):
    Image.fromarray(sample_pixels(200, 170)).save(photos / "large.png")
    suite = {
        "name": "mixed",
        "images": [{"folder": str(photos)}],
        "codecs": {"jpeg": {"quality": [20, 80]}, "png": None},
        "metrics": ["ms-ssim", "psnr"],
    }
    run = qbench.run(suite, output=tmp_path / "run")
    found = curves(run, "ms-ssim")
    assert found.images == ("large",)
    assert found.left_out == ("p0", "p1", "p2")
    assert [len(point.values) for point in found.by_codec["jpeg"]] == [1, 1]
    # Lossless: infinite, and on no curve.
    assert list(curves(run, "psnr").by_codec) == ["jpeg"]
    assert len(curves(run, "psnr").images) == 4


def test_a_run_that_was_stopped(hand_made):
    for points in curves(hand_made, "psnr").by_codec.values():
        for point in points:
            assert np.isfinite([*point.rates, *point.values]).all()


def test_a_curve_that_saturates_sends_no_default_astray():
    """Almost the same value for twice the rate: Akima's interpolation goes far outside of the points."""
    rates = np.array([0.1, 0.2, 0.4, 0.8])
    made = of(
        anchor=curve("anchor", rates, [27.0, 30.0, 33.0, 36.0]), flat=curve("flat", rates, [28.0, 31.0, 33.0, 33.05])
    )
    (found,) = bd_rates(made, "anchor")
    assert -30 < found.percent < 60
    assert found.by_method["pchip"] == found.percent
    assert abs(found.by_method["akima"] - found.percent) > 1
    assert found.note.startswith("interpolations disagree: pchip ")


@pytest.mark.parametrize(
    ("rates", "values", "reason"),
    [
        ([0.0, 0.2, 0.4, 0.8], [28, 30, 33, 36], "the rate of test:rate=0 is 0 bit/pixel, which has no logarithm"),
        ([0.2, 0.2, 0.4, 0.8], [28, 30, 33, 36], "have the same rate"),
        ([0.3] * 5, [28, 29, 30, 33, 36], "have the same rate"),
        ([0.1, 0.2, 0.4, 0.8], [28, 27, 33, 36], "not monotone"),
        ([0.1, 0.2, 0.4, 0.8], [35.999999999, 40, 42, 44], "both cover less than 1 % of their range"),
        ([0.1, 0.2, 0.4, 0.8], [34.9, 40, 42, 44], "both cover only 6 % of their range"),
        ([0.1, 0.2, 0.4, 0.8], [37, 40, 42, 44], "no overlap"),
        ([-0.1, 0.2, 0.4, 0.8], [28, 30, 33, 36], "which has no logarithm"),
    ],
)
def test_every_edge_has_a_number_or_a_reason(rates, values, reason):
    made = of(
        anchor=curve("anchor", [0.1, 0.2, 0.4, 0.8], [27.0, 30.0, 33.0, 36.0]),
        test=curve("test", np.array(rates, float), np.array(values, float)),
    )
    (found,) = bd_rates(made, "anchor")
    assert found.percent is None
    assert reason in found.reason


def test_little_overlap_is_said():
    made = of(
        anchor=curve("anchor", [0.1, 0.2, 0.4, 0.8], [27.0, 30.0, 33.0, 36.0]),
        test=curve("test", np.array([0.1, 0.2, 0.4, 0.8]), np.array([32.0, 35.0, 37.0, 39.0])),
    )
    (found,) = bd_rates(made, "anchor")
    assert found.percent < 0
    assert "both curves cover only 33 % of their range" in found.note


@given(st.integers(0, 10**9))
@settings(max_examples=100)
def test_random_monotone_curves_have_a_number_or_a_reason(seed):
    rng = np.random.default_rng(seed)

    def random_curve(label):
        rates = np.sort(rng.uniform(0.05, 3, 5))
        values = 25 + np.cumsum(rng.exponential(3, 5) ** rng.choice([1, 3]))
        return curve(label, rates, values)

    made = of(anchor=random_curve("anchor"), test=random_curve("test"))
    if unusable(made.by_codec["anchor"], 1.0):
        return
    (found,) = bd_rates(made, "anchor")
    assert (found.percent is None) == bool(found.reason)
    if found.percent is not None:
        others = [value for value in found.by_method.values() if value is not None]
        disagree = len(others) < 3 or max(others) - min(others) > 1
        assert disagree == ("interpolations disagree" in found.note)
        # PCHIP stays between the rates of both curves' ends.
        extremes = [np.log([point.rate for point in each]) for each in made.by_codec.values()]
        widest = max(extremes[1].max() - extremes[0].min(), extremes[0].max() - extremes[1].min())
        assert abs(np.log1p(found.percent / 100)) <= widest + 1e-9
