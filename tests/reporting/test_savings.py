"""What codecs save against an anchor, as numbers, as a table and in words."""

from __future__ import annotations

import io
import json
import math

import bjontegaard
import numpy as np
import pytest
from rich.console import Console

import qbench
from qbench.errors import QbenchError
from qbench.reporting.bd import BdRate, _percent, bd_rates
from qbench.reporting.curves import curves
from qbench.reporting.savings import LITTLE, Savings, rate_text, savings_sheet, sentences
from qbench.reporting.savings_of_runs import usual_anchor
from qbench.reporting.tables import print_sheet


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    suite = {
        "name": "savings",
        "images": [{"dataset": "samples", "limit": 3}],
        "codecs": {
            "mine": {"codec": "webp", "quality": [5, 20, 50, 80, 95]},
            "jpeg": {"quality": [5, 20, 50, 80, 95]},
            "one": {"codec": "webp", "quality": 60},
        },
        "metrics": ["bpp", "psnr", "ssim"],
        "timing": {"repeats": 1, "budget": 0.0},
    }
    return qbench.run(suite, output=tmp_path_factory.mktemp("savings") / "run", cache=False, jobs=1)


def shown(found, width=100):
    output = io.StringIO()
    print_sheet(Console(file=output, width=width), savings_sheet(found), sentences(found))
    return output.getvalue()


def test_it_is_the_packages_bd_rate(run):
    found = qbench.savings(run)
    assert found.anchor == "jpeg"
    assert list(found.rates) == ["mine", "one"]
    for metric in ("psnr", "ssim"):
        drawn = curves(run, metric).by_codec
        (rates, values), (others, other_values) = (
            ([point.rate for point in drawn[name]], [point.value for point in drawn[name]]) for name in ("jpeg", "mine")
        )
        theirs = bjontegaard.bd_rate(
            rates, values, others, other_values, method="pchip", require_matching_points=False, min_overlap=0
        )
        assert found.rates["mine"][metric].percent == pytest.approx(theirs, abs=1e-9)
        assert found.rates["one"][metric].percent is None
    assert found.rates["mine"]["psnr"].low < found.rates["mine"]["psnr"].percent < found.rates["mine"]["psnr"].high


def test_without_scipy_pchip_is_the_packages_on_any_curves():
    rng = np.random.default_rng(5)
    for sign in (1, -1):
        for _ in range(50):
            curve = [np.sort(rng.uniform(0.05, 5, rng.integers(4, 9))) for _ in range(2)]
            value = [
                np.sort([rng.uniform(20, 25), 45, *rng.uniform(26, 44, len(rates) - 2)])[::sign] for rates in curve
            ]
            theirs = bjontegaard.bd_rate(
                curve[0], sign * value[0], curve[1], sign * value[1], method="pchip",
                require_matching_points=False, min_overlap=0,
            )  # fmt: skip
            ours = _percent((curve[0], value[0]), (curve[1], value[1]), sign, "pchip")
            assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-9)


def test_the_anchor_is_the_customary_one_and_not_the_first(run):
    assert usual_anchor([run], {"jpeg"}) == "jpeg"
    assert usual_anchor([run], {"webp"}) == "mine"  # by its codec
    assert usual_anchor([run], set()) == "mine"  # the first without a network
    with pytest.raises(QbenchError, match="no codec `jpg`; did you mean `jpeg`"):
        qbench.savings(run, "jpg")
    with pytest.raises(QbenchError, match=r"no curve of `psn`.*did you mean `psnr`"):
        qbench.savings(run, metrics="psn")


def test_in_words(run):
    said = sentences(qbench.savings(run))
    assert len(said) == 2
    assert said[1] == "one can't be compared with jpeg by psnr: 1 operating point, fewer than 4"
    assert said[0].startswith("at equal psnr, mine ")
    assert said[0].endswith(" times as long to encode")
    rate = BdRate("x", -3.0, low=-8.0, high=2.0, overlap=0.9)

    def words(rate, times):
        return sentences(Savings("jpeg", {}, {"x": {"psnr": rate}}, {"x": times}, {}))[0]

    assert words(rate, (22.3, None)) == (
        "at equal psnr, x needs about as many bytes as jpeg (-8 to +2 %), and 22 times as long to encode"
    )
    open_ = BdRate("x", -33.0, low=-75.0, high=82.0, overlap=0.3, images=4)
    assert words(open_, (None, None)) == (
        "at equal psnr, x may need fewer or more bytes than jpeg: these images leave open anything from 75 % fewer to "
        "82 % more (curves overlap by 30 %)"
    )
    few = BdRate("x", -29.0, overlap=0.8, images=2)
    assert words(few, (None, None)).endswith("x needs 29 % fewer bytes than jpeg (2 images, no interval)")
    assert rate_text(BdRate("x", -6.0, low=-13.0, high=-0.3)) == "-6.0 % (-13 to 0)".replace(" 0)", " +0)")
    sure = BdRate("x", 12.4, low=8.0, high=17.0)
    assert words(sure, (0.25, 1.0)).endswith("x needs 12 % more bytes than jpeg, and 25 % of the time to encode")
    assert words(sure, (1.02, 1.0)).endswith("and as long to encode")
    assert words(sure, (None, None)).endswith("more bytes than jpeg")
    assert rate_text(BdRate("x", -38.24, low=-40.2, high=-36.0, overlap=0.4)) == f"-38.2 %{LITTLE} (-40 to -36)"


def test_as_a_table_and_as_data(run, qbench_command):
    text = shown(qbench.savings(run))
    assert "Rate saved against jpeg at equal quality (BD-rate)" in text
    assert "one: 1 operating point, fewer than 4 (psnr, ssim)" in " ".join(text.split())
    made = qbench_command("bd", run.path, "-f", "json", "--metric", "psnr")
    rows = json.loads(made.stdout)["rows"]
    assert [(row["codec"], row["metric"]) for row in rows] == [("mine", "psnr"), ("one", "psnr")]
    assert rows[0]["percent"] == pytest.approx(qbench.savings(run).rates["mine"]["psnr"].percent)
    for form in ("csv", "markdown", "latex"):
        assert "mine" in qbench_command("bd", run.path, "-f", form).stdout
    assert qbench_command("bd", run.path, "-f", "nonsense").returncode == 2
    assert qbench_command("bd", run.path, "--anchor", "nonsense").returncode == 2


def test_across_runs(run, tmp_path):
    suite = {
        "name": "other",
        "images": [{"dataset": "samples", "limit": 2}],
        "codecs": {"jpeg": {"quality": [5, 20, 50, 80, 95]}, "avif": {"quality": [20, 40, 60, 80], "speed": 9}},
        "metrics": ["bpp", "psnr"],
        "timing": {"repeats": 1, "budget": 0.0},
    }
    other = qbench.run(suite, output=tmp_path / "other", cache=False, jobs=1)
    found = qbench.savings([run, other], "jpeg (run)")
    assert list(found.columns) == ["psnr"]
    assert set(found.rates) == {"mine", "one", "jpeg (other)", "avif"}
    assert found.rates["jpeg (other)"]["psnr"].percent == pytest.approx(0, abs=1e-9)
    assert found.rates["mine"]["psnr"].images == 2
    assert any("2 images in common, of 3 that run has" in note for note in found.notes)
    alone = bd_rates(curves(other, "psnr"), "jpeg")
    assert found.rates["avif"]["psnr"].percent == pytest.approx(alone[0].percent)


def test_a_run_of_one_codec_has_nothing_to_compare(run, tmp_path):
    suite = {
        "images": [{"dataset": "samples", "limit": 1}],
        "codecs": {"jpeg": {"quality": [5, 50]}},
        "metrics": ["bpp", "psnr"],
    }
    single = qbench.run(suite, output=tmp_path / "single", cache=False, jobs=1)
    with pytest.raises(QbenchError, match="has one codec, and nothing to compare it with"):
        qbench.savings(single)
    assert math.isfinite(savings_sheet(qbench.savings(run)).records[0]["percent"])
