"""Correlations between metrics, and with people."""

from __future__ import annotations

import csv
import io
import json
import math

import numpy as np
import pytest
from golden import check_golden
from rich.console import Console
from scipy import stats

import qbench
from qbench.errors import QbenchError
from qbench.reporting.correlation import Cells, collect, correlate
from qbench.reporting.correlation_table import correlation_view, write_correlations


def cells(images=10, per_image=6):
    rng = np.random.default_rng(4)
    truth = rng.normal(size=images * per_image)
    values = np.stack([truth, truth**3 + rng.normal(0, 0.3, truth.size), -truth, np.ones_like(truth)], axis=1)
    return Cells(("one", "other", "opposite", "constant"), np.repeat(np.arange(images), per_image), values, ())


def test_values_are_scipys_and_intervals_hold_them():
    made = cells()
    found = {(each.one, each.other): each for each in correlate(made)}
    x, y = made.values[:, 0], made.values[:, 1]
    estimates = found["one", "other"].estimates
    assert estimates["spearman"].value == pytest.approx(stats.spearmanr(x, y).statistic)
    assert estimates["kendall"].value == pytest.approx(stats.kendalltau(x, y).statistic)
    assert estimates["pearson"].value == pytest.approx(stats.pearsonr(x, y).statistic)
    assert all(each.low < each.value < each.high for each in estimates.values())
    assert found["one", "opposite"].estimates["spearman"].value == pytest.approx(-1)
    assert set(found["one", "constant"].estimates.values()) == {None}
    # Fisher's approximation for independent cells.
    half = np.tanh(np.arctanh(estimates["pearson"].value) + np.array([-1, 1]) * 1.96 / np.sqrt(len(x) - 3))
    assert [estimates["pearson"].low, estimates["pearson"].high] == pytest.approx(half, abs=0.12)


def test_missing_and_infinite_values():
    made = cells()
    made.values[:30, 0] = math.nan
    made.values[40, 1] = math.inf
    found = correlate(made)[0]
    assert found.cells == 30
    assert found.images == 5
    assert found.estimates["pearson"] is None
    assert found.estimates["spearman"].value > 0.5
    made.values[30:56, 0] = math.nan
    assert correlate(made)[0].estimates["spearman"] is not None  # four cells of one image
    made.values[30:57, 0] = math.nan
    assert set(correlate(made)[0].estimates.values()) == {None}


@pytest.fixture
def run(suite, registry, tmp_path):
    suite["metrics"] = ["difference", "bpp", "psnr", "ssim"]
    return qbench.run(suite, output=tmp_path / "run", registry=registry)


def human(path, run, *, name="score", sign=1):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "point", name, "remark"])
        for row in run.rows:
            writer.writerow([row.image, row.point, sign * row.entries["psnr"].value, "fine"])
        writer.writerow(["nowhere", "jpeg:quality=3", 4, ""])
    return path


def test_runs_and_people(run, tmp_path):
    found = collect([run])
    assert found.columns == ("difference", "psnr", "ssim")
    assert found.turned == ("difference",)
    assert set(collect([run], everything=True).columns) == {"difference", "bpp", "psnr", "ssim"}
    for name, sign in (("mos", 1), ("dmos", -1)):
        with_people = collect([run], human(tmp_path / "people.csv", run, name=name, sign=sign))
        assert with_people.unmatched == 1
        pairs = correlate(with_people)
        assert [(each.one, each.other) for each in pairs] == [(each, "human") for each in found.columns]
        assert pairs[1].estimates["spearman"].value == pytest.approx(1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,score\n", "columns are image, score; needed: image, point, and one of"),
        ("image,point,score,mos\n", "needed: image, point, and one of"),
        ("", "columns are none"),
        ("image,point,score\np0,shift:bits=1,good\n", r"people.csv:2: `good` is not a number"),
        ("image,point,score\np0,shift:bits=1,nan\n", r"people.csv:2: `nan` is not a number"),
        ("image,point,score\np0,shift:bits=1\n", r"people.csv:2: `None` is not a number"),
        (
            "image,point,score,observer\np0,shift:bits=1,3,ann\np0,shift:bits=1,3,ann\n",
            "csv:3: ann scores p0 at .* again",
        ),
        ("image,point,score\nq,shift:bits=1,3\n", "none of its 1 pairs .* a point is named like shift:bits=1"),
    ],
)
def test_bad_scores(run, tmp_path, text, message):
    (tmp_path / "people.csv").write_text(text)
    with pytest.raises(QbenchError, match=message):
        collect([run], tmp_path / "people.csv")
    with pytest.raises(QbenchError, match="can't be read"):
        collect([run], tmp_path / "nothing.csv")


def test_columns_that_are_not_the_same(run, suite, registry, tmp_path):
    suite["metrics"] = [{"psnr": {"metric": "ssim"}}, "difference"]
    other = qbench.run(suite, output=tmp_path / "other", registry=registry)
    with pytest.raises(QbenchError, match="column `psnr` differs between run and other"):
        collect([run, other])
    assert len(collect([run, run]).values) == 2 * len(run.rows)


def shown(made, width):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    found = correlate(made)
    console.print(correlation_view(made, found, "spearman", width))
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines()) + "\n"


def test_looks_as_it_did():
    rows = np.arange(24.0)
    values = np.stack([rows, rows % 7, -rows, rows**2], axis=1)
    made = Cells(("psnr", "ssim", "vit-score", "lpips-alex"), np.repeat(np.arange(8), 3), values, ("lpips-alex",), 2)
    check_golden("correlation-100", shown(made, 100))
    assert "the heat map needs a terminal of 35 columns" in " ".join(shown(made, 30).split())


def test_files(tmp_path):
    made = cells()
    found = correlate(made)
    for name in ("a.svg", "a.html", "a.csv", "a.json"):
        write_correlations(tmp_path / name, made, found, "kendall")
    assert "Kendall" in (tmp_path / "a.svg").read_text().replace("&#x27;", "'")
    records = json.loads((tmp_path / "a.json").read_text())["correlations"]
    rows = list(csv.DictReader((tmp_path / "a.csv").open()))
    assert float(rows[0]["spearman"]) == records[0]["spearman"] == found[0].estimates["spearman"].value
    assert rows[2]["spearman"] == ""
    with pytest.raises(QbenchError, match=r"unknown ending; accepted: \.svg, \.html, \.csv, \.json"):
        write_correlations(tmp_path / "a.png", made, found, "kendall")
    with pytest.raises(QbenchError, match="can't write: No such file"):
        write_correlations(tmp_path / "no" / "a.csv", made, found, "kendall")


def test_the_command(run, qbench_command, tmp_path):
    done = qbench_command("correlate", run.path, "-o", tmp_path / "heat.svg")
    assert done.returncode == 0
    assert "Spearman's correlation" in done.stdout
    assert (tmp_path / "heat.svg").is_file()
    done = qbench_command("correlate", run.path, "--method", "spearmen")
    assert done.returncode == 2
    assert "unknown method `spearmen`; did you mean `spearman`?" in done.stderr


def test_scores_of_several_observers_are_pooled_with_their_spread(run, tmp_path):
    lines = ["image,point,score,observer"]
    means = {}
    for index, row in enumerate(run.rows):
        scores = [index % 4 + offset for offset in ((0, 0.5, 1) if index else (0,))]
        means[row.image, row.point] = np.mean(scores)
        lines += [f"{row.image},{row.point},{score},{observer}" for observer, score in enumerate(scores)]
    (tmp_path / "people.csv").write_text("\n".join(lines))
    made = collect([run], tmp_path / "people.csv")
    assert made.values[:, -1].tolist() == [means[row.image, row.point] for row in run.rows]
    assert made.observers == (1, 3)
    assert made.deviation == pytest.approx(0.5)
    assert "human: mean of 1 to 3 observers per cell, standard deviation 0.5 on average" in shown(made, 100)
    write_correlations(tmp_path / "a.json", made, correlate(made), "spearman")
    assert json.loads((tmp_path / "a.json").read_text())["observers"] == [1, 3]
    write_correlations(tmp_path / "a.csv", made, correlate(made), "kendall")
    row = next(csv.DictReader((tmp_path / "a.csv").open()))
    assert (row["observers"], row["observers_deviation"]) == ("1 to 3", "0.5")


def test_few_images_have_no_interval():
    few = cells(images=7, per_image=30)
    found = correlate(few)[0].estimates["spearman"]
    assert (found.low, found.high) == (None, None)
    assert "no interval over 7 images; an interval needs 8" in shown(few, 100)
    found = correlate(cells(images=8, per_image=20))[0].estimates["spearman"]
    assert found.low < found.value < found.high
