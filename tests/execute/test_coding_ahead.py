"""Codecs that take several images at once."""

from __future__ import annotations

import io

import numpy as np
import pytest
import toys
from PIL import Image
from rich.console import Console

import qbench
from qbench.execute.work import Notice
from qbench.images.image import Image as Pixels
from qbench.reporting.costs import timings_sheet
from qbench.reporting.tables import sheet_table


def run(suite, registry, **options):
    return qbench.run(suite, registry=registry, **{"output": "run", "cache": False, **options})


def made(run):
    return {(row.image, row.point.rpartition(":")[2]): row.cell.bitstream_sha256 for row in run.rows if row.cell}


@pytest.fixture
def suite(suite, photos, tmp_path):
    for index in (3, 4):
        Image.fromarray(np.full((9 + index, 12, 3), 20 * index, np.uint8)).save(photos / f"p{index}.png")
    suite["codecs"] = {"together": {"bits": [1, 4], "log": str(tmp_path / "log")}}
    suite["timing"] = {"repeats": 1, "budget": 0.0}
    return suite


def logged(tmp_path):
    path = tmp_path / "log"
    return path.read_text().splitlines() if path.exists() else []


def test_images_are_encoded_together_and_the_result_is_the_same(suite, registry, tmp_path):
    done = run(suite, registry)
    assert sorted(logged(tmp_path)) == ["2 together", "2 together", "3 together", "3 together"]
    assert {row.cell.timing.encode.batch for row in done.rows} == {2, 3}
    suite["codecs"] = {"shift": {"bits": [1, 4], "log": str(tmp_path / "log")}}
    alone = run(suite, registry, output="alone")
    assert made(done) == made(alone)
    assert {row.cell.timing.encode.batch for row in alone.rows} == {1}


def test_one_that_fails_does_not_take_the_others_along(suite, registry):
    suite["codecs"]["together"]["fail_on"] = 51
    done = run(suite, registry)
    assert {row.image for row in done.failures} == {"p1"}
    assert all("told to fail on width 51" in note.message for note in done.failures)
    assert len([row for row in done.rows if row.cell.outcome == "coded"]) == 8


def test_too_few_bitstreams_are_refused(suite, registry, tmp_path):
    suite["codecs"]["together"]["log"] = str(tmp_path / "short")
    done = run(suite, registry)  # one by one then, by the codec's own encode
    assert done.complete
    assert {row.cell.timing.encode.batch for row in done.rows} == {1}


def test_only_what_is_left_is_encoded(suite, registry, tmp_path):
    suite["images"][0]["limit"] = 4
    run(suite, registry, output="run", cache=True)
    before = len(logged(tmp_path))
    del suite["images"][0]["limit"]
    done = run(suite, registry, output="more", cache=True)
    assert done.complete
    assert logged(tmp_path)[before:] == ["12x13 1", "12x13 4"]


def test_the_timings_say_so(suite, registry):
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(sheet_table(timings_sheet(run(suite, registry)), 120))
    assert "up to 3 images encoded together" in " ".join(console.export_text().split())


def test_a_batch_that_decodes_differently_is_told_and_coded_one_by_one(suite, registry, monkeypatch):
    def decode_batch(self, bitstreams):
        return [Pixels(255 - self.decode(bitstream).pixels) for bitstream in bitstreams]

    monkeypatch.setattr(toys.Together, "decode_batch", decode_batch)
    told = []
    done = run(suite, registry, on_event=lambda event: told.append(event.text) if isinstance(event, Notice) else None)
    assert {row.cell.timing.decode.batch for row in done.rows} == {1}
    assert done.failures == []
    assert (
        "codec together, plugin toys (toys 1.0): decode_batch and decode return different pixels; "
        "its images are coded one by one" in told
    )
