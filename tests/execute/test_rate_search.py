"""Coding to a target: bits a pixel, or any column of a metric."""

from __future__ import annotations

import re

import pytest
from PIL import Image

import qbench
from qbench.errors import SuiteError
from qbench.results.run import Status


@pytest.fixture
def suite(photos):
    return {
        "name": "targets",
        "images": [{"folder": str(photos)}],
        "codecs": {"jpeg": {"target": {"bpp": [3.0, 4.5]}}},
        "metrics": ["bpp", "psnr", "compression-ratio", "mse"],
        "timing": {"repeats": 1, "budget": 0.0},
    }


def run(suite, **options):
    return qbench.run(suite, **{"output": "run", "cache": False, "in_process": "jobs" not in options, **options})


def brute_force(suite, column, wanted):
    """The quality, of all of them, that comes nearest."""
    every = {**suite, "codecs": {"jpeg": {"quality": list(range(1, 101))}}}
    nearest = {}
    for row in run(every, output="every").rows:
        distance = abs(row.entries[column].value - wanted)
        if distance < nearest.get(row.image, (float("inf"), 0))[0]:
            nearest[row.image] = (distance, row.parameters["quality"])
    return {image: quality for image, (_, quality) in nearest.items()}


@pytest.mark.parametrize(
    ("column", "wanted"),
    [
        pytest.param("bpp", 3.0, marks=pytest.mark.slow),
        ("psnr", 24),
        pytest.param("compression-ratio", 8, marks=pytest.mark.slow),
        pytest.param("mse", 250.0, marks=pytest.mark.slow),
    ],
)
def test_finds_the_setting_that_comes_nearest(suite, column, wanted):
    suite["codecs"] = {"jpeg": {"target": {column: wanted}}}
    done = run(suite)
    assert not done.failures
    expected = brute_force(suite, column, wanted)
    for row in done.rows:
        assert row.point == f"jpeg:target.{column}={wanted}"
        found = row.cell.found
        assert found.parameter == "quality"
        assert abs(found.value - expected[row.image]) <= 1  # neighbours may be equally near, and JPEG is not quite even
        assert found.reached == row.entries[column].value
        assert found.tries <= 9


def test_each_target_is_an_operating_point(suite):
    done = run(suite)
    assert {row.point for row in done.rows} == {"jpeg:target.bpp=3.0", "jpeg:target.bpp=4.5"}
    for row in done.rows:
        wanted = float(row.point.rpartition("=")[2])
        assert row.entries["bpp"].value == pytest.approx(wanted, rel=0.1)
    record = done.records()[0]
    assert record["found.quality"] == done.rows[0].cell.found.value
    assert record["wanted"] == 3.0
    assert record["reached"] == pytest.approx(3.0, rel=0.1)


def test_a_flat_image_that_no_setting_changes_reaches_no_psnr(suite, tmp_path):
    folder = tmp_path / "flat"
    folder.mkdir()
    Image.new("RGB", (32, 32), (128, 128, 128)).save(folder / "flat.png")
    suite["images"] = [{"folder": str(folder)}]
    suite["codecs"] = {"jpeg": {"target": {"psnr": 40}}}
    (row,) = run(suite).rows
    assert row.status is Status.NOT_APPLICABLE
    assert row.reason == "psnr 40 is out of reach: every setting tried gives inf"


def test_a_target_out_of_reach_is_not_applicable(suite):
    suite["codecs"] = {"jpeg": {"target": {"bpp": [0.01, 90]}}}
    done = run(suite)
    assert not done.failures
    assert {row.status for row in done.rows} == {Status.NOT_APPLICABLE}
    assert re.match(r"bpp 0.01 is out of reach; the closest value is [\d.]+, at quality \d$", done.rows[0].reason)
    assert re.match(r"bpp 90 is out of reach; the closest value is [\d.]+, at quality 100$", done.rows[1].reason)


def test_it_resumes_caches_and_works_in_workers(suite):
    suite["metrics"] = ["bpp", "compression-ratio"]  # others load torch in every worker
    first = run(suite, output="first", cache=True)
    again = run(suite, output="again", cache=True)
    assert all(row.cell.cached for row in again.rows)
    beside = run(suite, output="beside", jobs=2)
    for one, other, third in zip(first.rows, again.rows, beside.rows, strict=True):
        assert one.cell.found == other.cell.found == third.cell.found
        assert one.cell.bitstream_sha256 == third.cell.bitstream_sha256
    assert qbench.load_run("first").rows[0].cell.found == first.rows[0].cell.found


def test_other_settings_sweep_beside_it(suite):
    suite["codecs"] = {"jpeg": {"subsampling": ["4:4:4", "4:2:0"], "target": {"bpp": 4.0}}}
    done = run(suite)
    assert {row.point for row in done.rows} == {
        "jpeg:subsampling=4:4:4,target.bpp=4.0",
        "jpeg:subsampling=4:2:0,target.bpp=4.0",
    }


@pytest.mark.parametrize(
    ("codecs", "message"),
    [
        ({"jpeg": {"target": 3}}, r"codecs\.jpeg\.target: 3 is not accepted; write one column and its value"),
        ({"jpeg": {"target": {"bpp": 1, "psnr": 3}}}, "write one column and its value"),
        ({"jpeg": {"target": {"bp": 1}}}, r"no metric of this suite gives `bp`; did you mean `bpp`\?"),
        ({"jpeg": {"target": {"bpp": "x"}}}, "'x' is not accepted; accepted: a finite number"),
        ({"jpeg": {"target": {"bpp": 1}, "quality": 4}}, "quality is chosen by the target; remove one of them"),
        ({"jpeg": {"target": {"bpp": 0}}}, "0 is no value of bpp, which is 0 to ∞"),
        ({"jpeg": {"target": {"bpp": [1, -2]}}}, "-2 is no value of bpp"),
        ({"png": {"target": {"bpp": 1}}}, "png doesn't support targets with these settings; codecs that do"),
        ({"jpeg": {"target": {"bpp": 1}, "subsampling": "x"}}, r"codecs\.jpeg\.subsampling: 'x' is not accepted"),
    ],
)
def test_targets_that_make_no_sense(suite, codecs, message):
    suite["codecs"] = codecs
    with pytest.raises(SuiteError, match=message):
        run(suite)
