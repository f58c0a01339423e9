"""What a report says, how it holds its images, and that nothing in it can break out of its place."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image
from reporting.page.conftest import content_of, written

from qbench.api.explaining import original
from qbench.contracts.metric import Explanation, ExplanationTable
from qbench.errors import QbenchError
from qbench.reporting.aggregate import group_rows
from qbench.reporting.bd import bd_rates
from qbench.reporting.curves import curves
from qbench.reporting.page import page_images
from qbench.reporting.page.series import read_series
from qbench.reporting.page.writing import page_text
from qbench.results.run import Run, Status
from qbench.store.folder import RunFolder

EVIL = """</script><script>document.title="broken out"</script><img src=x onerror=alert(1)>{{script}}\u2028'"&"""


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found: list[tuple[str, dict]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def test_says_what_tables_and_curves_say(small_run):
    [content] = content_of(written(small_run))
    assert (content["suite"], content["complete"], content["failures"]) == ("small", True, [])
    for by, groups in content["groups"].items():
        expected = group_rows(small_run, by)
        assert [group["key"] for group in groups] == [group.key for group in expected]
        for group, other in zip(groups, expected, strict=True):
            assert group["means"] == [summary.mean for summary in other.summaries.values()]
    found = curves(small_run, "psnr")
    drawn = content["curves"]["psnr"]["by_codec"]
    assert {codec: [point[:2] for point in points] for codec, points in drawn.items()} == {
        codec: [[point.rate, point.value] for point in points] for codec, points in found.by_codec.items()
    }
    [rate] = content["anchors"]["psnr"]["tables"]["jpeg"]
    assert rate["percent"] == bd_rates(found, "jpeg", intervals=False)[0].percent
    assert rate["low"] < rate["percent"] < rate["high"]
    assert set(content["anchors"]["psnr"]["tables"]) == {"jpeg", "webp"}
    for row, content_row in zip(small_run.rows, content["rows"], strict=True):
        assert content_row["rate"] == row.rate
        assert content_row["values"] == [entry.value for entry in row.entries.values()]


def test_images_are_in_the_file_while_it_is_small(small_run):
    [content] = content_of(written(small_run, path="elsewhere/report.html"))
    assert list(Path("elsewhere").iterdir()) == [Path("elsewhere/report.html")]
    for index, image in enumerate(content["images"]):
        data = base64.b64decode(image["original"].removeprefix("data:image/png;base64,"))
        expected = original(small_run, image["name"])
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), expected.pixels)
        row = content["rows"][index * len(content["points"])]
        kept = RunFolder(small_run.path).reconstruction_path(small_run.plan.points[0], image["name"])
        assert base64.b64decode(row["reconstruction"].partition(",")[2]) == kept.read_bytes()


@pytest.mark.parametrize("place", ["run/report.html", "elsewhere/report.html"])
def test_images_are_beside_the_file_when_it_would_be_large(small_run, monkeypatch, place):
    monkeypatch.setattr(page_images, "LARGEST_FILE", 1000)
    path = written(small_run, path=place)
    [content] = content_of(path)
    assert path.stat().st_size < 200_000
    addresses = [image["original"] for image in content["images"]] + [row["reconstruction"] for row in content["rows"]]
    assert all((path.parent / unquote(address)).is_file() for address in addresses)
    inside = [address.startswith("reconstructions/") for address in addresses]
    assert sum(inside) == (len(content["rows"]) if place.startswith("run/") else 0)


def test_originals_that_are_gone_are_told(small_run, photos):
    (photos / "p1.png").unlink()
    Image.new("RGB", (40, 40)).save(photos / "p2.png")
    images = {image["name"]: image for image in content_of(written(small_run))[0]["images"]}
    assert "original" in images["p0"]
    assert "can't read the image" in images["p1"]["missing"]
    assert "the image has changed since the run" in images["p2"]["missing"]


def test_unfinished_failed_and_infinite(hand_made):
    [content] = content_of(written(hand_made))
    assert not content["complete"]
    assert [note["what"] for note in content["failures"]] == [
        "codec slow, plugin p (q 1)",
        "metric bpp, plugin m (q 1)",
    ]
    assert content["failures"][0]["traceback"] == "trace"
    statuses = [row["status"] for row in content["rows"]]
    assert statuses == ["ok", "ok", "failed", "ok", "ok", "pending"]
    assert content["rows"][1]["values"][1] == "Infinity"
    assert content["rows"][4]["reasons"]["1"] == ["not-applicable", "image too small"]


def test_no_success_at_all_and_no_images(hand_made):
    rows = [replace(row, status=Status.FAILED, cell=None, rate=None) for row in hand_made.rows]
    hand_made.__dict__["rows"] = rows
    [content] = content_of(written(hand_made))
    assert content["curves"] == {}
    assert content["timings"] == []


NAMED = ("curves", "anchors", "by_codec", "lines", "tables", "looks")
"""What is in these goes by names of metrics and codecs."""


def evil(value, key=""):
    """Return content with every text in it hostile, and every name; the page's own words excepted."""
    if key in ("status", "without"):
        return value
    if isinstance(value, dict):
        return {name + EVIL if key in NAMED else name: evil(each, name) for name, each in value.items()}
    if isinstance(value, list):
        return [evil(each, key) for each in value]
    return value + EVIL if isinstance(value, str) else value


def test_nothing_hostile_breaks_out_of_its_place(hand_made, tmp_path):
    [content] = content_of(written(hand_made))
    content["explanations"] = {}
    text = page_text([evil(content)])
    # One script that runs, the page's own by its digest; the content's block has nothing that could end it.
    scripts = re.findall(r"<script[^>]*>(.*?)</script>", text, re.DOTALL | re.IGNORECASE)
    assert len(scripts) == 2
    assert "<" not in scripts[0]
    digest = base64.b64encode(hashlib.sha256(scripts[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in text
    tags = Tags(text).found
    assert [tag for tag, _ in tags].count("script") == 2
    assert "img" not in [tag for tag, _ in tags]
    assert not [name for _, attributes in tags for name in attributes if name.startswith("on")]


def test_scripts_never_set_html():
    folder = Path(page_images.__file__).parent
    for path in folder.glob("*.js"):
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function("):
            assert word not in path.read_text(), f"{path.name} uses {word}"


def test_explanations_are_with_their_cells(small_run):
    explanation = Explanation({"K": 5}, (ExplanationTable("labels lost", ("label", "share"), (("cat", 0.5),)),))
    row = small_run.rows[3]
    told = [{(row.image, row.point): {"vit": explanation}}]
    rows = content_of(written(small_run, explanations=told))[0]["rows"]
    assert [index for index, each in enumerate(rows) if "explanations" in each] == [3]
    assert rows[3]["explanations"]["vit"]["tables"][0]["rows"] == [["cat", 0.5]]


def test_series_are_numbers_or_nothing():
    assert read_series(b"iteration,loss\n0,1.5\n1,0.5\n\n") == {
        "columns": ["iteration", "loss"],
        "rows": [[0.0, 1.5], [1.0, 0.5]],
    }
    assert len(read_series(b"a,b\n" + b"1,2\n" * 2500)["rows"]) == 834
    assert read_series(b"a,b\n1,nan\n2,3\n3,4\n")["rows"] == [[2.0, 3.0], [3.0, 4.0]]
    for other in (b"", b"a,b\n", b"a\n1\n2\n", b"a,b\n1,x\n2,3\n", b"\xff\xfe", b"a,b\n1,2\n"):
        assert read_series(other) is None


def test_several_runs_share_a_report(small_run):
    other = Run(small_run.path, RunFolder(small_run.path).load())
    assert [run["name"] for run in content_of(written(small_run, other))] == ["run", "run (2)"]


def test_a_report_that_can_not_be_written(small_run):
    Path("file").write_text("")
    with pytest.raises(QbenchError, match=r"file/report.html: can't write: File exists"):
        written(small_run, path="file/report.html")
