"""Comparing two runs."""

from __future__ import annotations

import io
import json
from xml.etree import ElementTree

import numpy as np
import pytest
from conftest import sample_pixels
from PIL import Image
from rich.console import Console

import qbench
from qbench.errors import QbenchError
from qbench.reporting.comparison import compare
from qbench.reporting.comparison_table import print_comparison

QUALITIES = [10, 30, 60, 90]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The same JPEGs, with Huffman tables of their own in the second run, and worse ones in the third."""
    folder = tmp_path_factory.mktemp("comparison")
    (folder / "photos").mkdir()
    for index in range(4):
        Image.fromarray(sample_pixels(180 + 10 * index, 170, index)).save(folder / "photos" / f"p{index}.png")
    made = []
    for name, settings in (
        ("plain", {}),
        ("optimised", {"optimize": True}),
        ("worse", {"subsampling": "4:2:0", "progressive": False}),
    ):
        codec = {"quality": QUALITIES, "subsampling": "4:4:4", **settings}
        suite = {
            "name": name,
            "images": [{"folder": str(folder / "photos")}],
            "codecs": {"jpeg": codec, **({"png": None} if name == "plain" else {})},
            "metrics": ["bpp", "psnr", "ssim"],
        }
        made.append(qbench.run(suite, output=folder / name))
    return made


def test_fewer_bytes_for_the_same_pixels(runs):
    plain, optimised, _ = runs
    found = compare(plain, optimised)
    assert [(each.point, each.reason) for each in found.unjudged] == [("png", "not in optimised")]
    assert found.changed == ("jpeg: optimize False → True",)
    assert len(found.images) == 4
    psnr = [each for each in found.differences if each.name == "psnr"]
    assert all(each.change == 0 and not each.certain for each in psnr)
    sizes = [each for each in found.differences if each.name == "bpp"]
    assert all(each.worse < 0 and each.certain and each.low <= each.change <= each.high for each in sizes)
    rows = {(row.image, row.point): row.entries["bpp"].value for run in (plain,) for row in run.rows}
    expected = np.mean([rows[image, sizes[0].point] for image in found.images])
    assert sizes[0].first == pytest.approx(expected)
    ((metric, rate),) = found.rates
    assert (metric, rate.codec) == ("psnr", "jpeg")
    assert rate.low <= rate.percent <= rate.high < 0
    assert rate.overlap == pytest.approx(1)
    same = [rate for _, rate in compare(plain, plain, ["psnr", "ssim"]).rates if rate.codec == "jpeg"]
    assert [rate.percent for rate in same] == pytest.approx([0, 0])


def test_regressions_come_first(runs):
    found = compare(runs[1], runs[2]).differences
    certain = [each.certain and each.worse > 0 for each in found]
    assert any(certain)
    assert certain == sorted(certain, reverse=True)


def test_refusals(runs, suite, registry, tmp_path):
    toys = qbench.run(suite, output=tmp_path / "toys", registry=registry)
    with pytest.raises(QbenchError, match="nothing in common: 0 images with the same pixels, 0 operating points"):
        compare(runs[0], toys)
    with pytest.raises(QbenchError, match="no curve of `vifp` in both runs"):
        compare(runs[0], runs[1], ["vifp"])
    suite["metrics"] = [{"psnr": {"metric": "ssim"}}]
    other = qbench.run(suite, output=tmp_path / "other", registry=registry)
    with pytest.raises(QbenchError, match="column `psnr` differs between toys and other: it is of metric `psnr`"):
        compare(toys, other)
    assert compare(toys, other, mixed=True).differences


def test_shown(runs):
    console = Console(file=io.StringIO(), width=110, color_system=None)
    print_comparison(console, runs[0], runs[1], compare(runs[0], runs[1]))
    text = console.file.getvalue()
    assert "plain → optimised: 4 operating points, 4 images in both runs" in text
    assert "not compared: png: not in optimised" in text
    assert "changed: jpeg: optimize False → True" in text
    assert "bpp ↓" in text
    assert "8 of 12 means are equal" in text


def test_the_command(runs, qbench_command):
    plain, optimised = (run.path for run in runs[:2])
    done = qbench_command("compare", plain, optimised, "--fail-if", "jpeg: bd-rate > 1%")
    assert done.returncode == 0
    done = qbench_command("compare", plain, optimised, "--fail-if", "bd-rate > 1%")
    assert done.returncode == 1  # where is png?
    assert "failed: bd-rate > 1%: can't be judged: png: not in optimised" in done.stderr
    assert qbench_command("compare", plain, optimised, "--fail-if", "bd-rate > 1%", "--allow-missing").returncode == 0
    done = qbench_command("compare", optimised, plain, "--fail-if", "bd-rate > 0.1%", "--fail-if", "psnr < 0")
    assert done.returncode == 1
    assert "failed: bd-rate > 0.1%: jpeg: BD-rate (psnr) +" in done.stderr
    assert "psnr < 0" not in done.stderr
    assert qbench_command("compare", plain, optimised, "--method", "cubic").returncode == 0
    assert qbench_command("compare", plain, optimised, "--format", "xml").returncode == 2
    for form in ("json", "markdown", "junit"):
        arguments = ["--fail-if", "jpeg: bpp > 1%", "--format", form, "-o", plain / "found"]
        done = qbench_command("compare", plain, optimised, *arguments)
        assert (done.returncode, done.stdout) == (0, "")
        text = (plain / "found").read_text()
        if form == "json":
            assert json.loads(text)["conditions"][0] == {
                "condition": "jpeg: bpp > 1%",
                "failed": False,
                "notes": [],
                "violations": [],
                "unjudged": [],
            }
        elif form == "junit":
            suite = ElementTree.fromstring(text)
            assert (suite.get("tests"), suite.get("failures")) == ("1", "0")
        else:
            assert "- **passed**: jpeg: bpp &gt; 1%" in text or "- **passed**: jpeg: bpp \\> 1%" in text
    assert qbench_command("plot", plain, "--metric", "ssim", "-o", plain / "a.svg").returncode == 0


def test_a_baseline_is_all_that_comparing_needs(runs, qbench_command, tmp_path):
    plain, optimised, _ = runs
    slim = qbench.export_baseline(plain, tmp_path / "slim")
    assert {path.name for path in slim.iterdir()} == {"journal.jsonl", "provenance.json", "suite.yaml"}
    assert compare(qbench.load_run(slim), optimised).differences == compare(plain, optimised).differences
    done = qbench_command("export", plain.path, "--baseline", "-o", tmp_path / "other")
    assert done.returncode == 0
    assert qbench_command("compare", tmp_path / "other", optimised.path).returncode == 0
    for arguments in (["--baseline", "-f", "compressai"], []):
        assert qbench_command("export", plain.path, "-o", tmp_path / "no", *arguments).returncode == 2
    assert qbench_command("export", plain.path, "--baseline", "-o", tmp_path / "other").returncode == 2
