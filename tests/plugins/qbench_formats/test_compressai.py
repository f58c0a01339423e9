"""CompressAI's result files: published ones are read for what they mean, and ours come back as they were."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean

import pytest

import qbench
from qbench.plugin import QbenchError

PUBLISHED = {
    "name": "JPEG",
    "description": "JPEG. Pillow version 7.1.2",
    "results": {
        "psnr": [24.8, 28.1, 29.8],
        "ms-ssim": [0.83, 0.9, 0.93],
        "bpp": [0.19, 0.27, 0.34],
        "encoding_time": [0.08, 0.082, 0.084],
        "decoding_time": [0.04, 0.041, 0.044],
    },
}


def imported(document, **options):
    path = Path("file.json")
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return qbench.import_results([path], "imported", **options)


def changed(**results):
    return {**PUBLISHED, "results": {**PUBLISHED["results"], **results}}


def test_reads_published_results():
    run = imported(PUBLISHED)
    assert run.complete
    assert run.imported
    assert [row.point for row in run.rows] == ["JPEG:point=1", "JPEG:point=2", "JPEG:point=3"]
    assert [row.entries["psnr"].value for row in run.rows] == PUBLISHED["results"]["psnr"]
    assert [row.rate for row in run.rows] == PUBLISHED["results"]["bpp"]
    assert run.rows[1].cell.timing.encode.seconds == 0.082
    origin = run.sessions[0].provenance["imported"]["files"][0]
    assert (origin["format"], origin["file"], len(origin["sha256"])) == ("compressai", "file.json", 64)


@pytest.mark.parametrize(
    ("key", "values", "column"),
    [
        ("psnr-rgb", [30.0, 31.0, 32.0], "psnr"),
        ("ms-ssim-rgb", [0.8, 0.9, 0.95], "ms-ssim"),
        ("ms-ssim-db-rgb", [10.0, 11.0, 12.0], "ms-ssim.db"),
        ("ms-ssim", [7.0, 10.0, 13.0], "ms-ssim.db"),
        ("ms-ssim-rgb", [0.8, 0.95, 1.0000001], "ms-ssim"),
        ("psnr-yuv", [30.0, 31.0, 32.0], "psnr-yuv"),
    ],
)
def test_names_and_decibels(key, values, column):
    run = imported({"name": "x", "results": {"bpp": [1, 2, 3], key: values}})
    assert [row.entries[column].value for row in run.rows] == values
    notes = run.sessions[0].provenance["notes"]
    assert bool(notes) == (key == "ms-ssim")


def test_infinity_is_a_value_and_nan_is_none():
    run = imported(json.dumps(changed(psnr=[30.0, float("inf"), float("nan")])))
    entries = [row.entries["psnr"] for row in run.rows]
    assert [entry.value for entry in entries] == [30.0, float("inf"), None]
    assert entries[2].reason == "no value in the imported results"


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("{", "file.json: not JSON"),
        ("[]", "no known format recognises it (known: "),
        ('{"results": []}', "no known format"),
        ({"results": {}}, "no `bpp`"),
        ({"results": {"bpp": []}}, "no operating point"),
        (changed(psnr=[1.0]), "lists are of different lengths: psnr 1, ms-ssim 3"),
        (changed(psnr=["a", 1, 2]), "results.psnr[0]: a number is expected, not 'a'"),
        (changed(psnr=[True, 1, 2]), "a number is expected, not True"),
        (changed(psnr={"a": 1}), "results.psnr: a list is expected"),
        ({**PUBLISHED, "name": 5}, "`name`: text is expected"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_malformed_files_are_refused_with_what_is_wrong(document, message):
    with pytest.raises(QbenchError) as refused:
        imported(document)
    assert message in str(refused.value)
    assert not Path("runs/imported").exists()


def test_a_run_of_that_name_is_not_touched():
    imported(PUBLISHED)
    with pytest.raises(QbenchError, match="holds a run already; choose another name with --as"):
        imported(PUBLISHED)


def test_ours_come_back_as_they_were(small_run):
    paths = qbench.export(small_run, "compressai", "out")
    assert [path.name for path in paths] == ["jpeg.json", "webp.json"]
    document = json.loads(paths[0].read_text())
    assert set(document["results"]) == {"bpp", "psnr-rgb", "mse", "encoding_time", "decoding_time"}
    rows = [row for row in small_run.rows if row.point == "jpeg:quality=50"]
    assert document["results"]["psnr-rgb"][1] == pytest.approx(fmean(row.entries["psnr"].value for row in rows))
    assert document["results"]["bpp"][1] == pytest.approx(fmean(row.entries["bpp"].value for row in rows))
    back = qbench.import_results(paths, "back")
    assert [row.point for row in back.rows] == [f"jpeg:point={n}" for n in (1, 2, 3)] + ["webp:point=1", "webp:point=2"]
    assert [row.entries["psnr"].value for row in back.rows][:3] == document["results"]["psnr-rgb"]
    again = qbench.export(back, "compressai", "again")
    results = json.loads(again[0].read_text())["results"]
    assert set(results) == set(document["results"])
    for key, values in results.items():
        assert values == pytest.approx(document["results"][key])


def test_codecs_of_one_name_are_told_apart():
    Path("a.json").write_text(json.dumps(PUBLISHED))
    Path("b.json").write_text(json.dumps(PUBLISHED))
    run = qbench.import_results(["a.json", "b.json"], "both")
    assert list(dict.fromkeys(row.codec for row in run.rows)) == ["JPEG", "JPEG (2)"]


@pytest.mark.parametrize("rate", [0.0, -0.5])
def test_rates_that_no_codec_has_are_refused(rate):
    with pytest.raises(QbenchError, match=r"has a rate of -?0(\.5)? \(bpp\)"):
        imported({"name": "x", "results": {"bpp": [rate, 2, 3], "psnr": [30.0, 31.0, 32.0]}})


def test_how_means_were_formed_is_said():
    run = imported(PUBLISHED)
    assert run.averaging == "means over a data set, as the file gives them (CompressAI's own are of each image's value)"
    assert f"values are {run.averaging}" in run.remarks
