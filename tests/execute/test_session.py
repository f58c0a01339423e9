"""The whole loop in this process: resuming, caching, failing, stopping, scoring anew."""

from __future__ import annotations

import math
import threading
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import numpy as np
import pytest
import torch
import toys
from conftest import sample_pixels
from PIL import Image

import qbench
from qbench.errors import ImageError, RunLockedError, StoreError
from qbench.execute.work import CellStarted, Notice, Progress, Recorded, ScoringStarted, Stop
from qbench.images.image import Image as ImageValue
from qbench.registry.catalogue import PluginInfo
from qbench.registry.hookspecs import hookimpl
from qbench.results.run import Status
from qbench.store.folder import RunFolder


def run(suite, registry, **options):
    return qbench.run(suite, registry=registry, **{"output": "run", "cache": False, **options})


def values(run):
    """Everything that was measured, without times and sessions."""
    return [
        (
            row.image,
            row.point,
            row.status,
            row.cell and row.cell.bitstream_sha256,
            row.cell and row.cell.reconstruction_sha256,
            row.entries,
        )
        for row in run.rows
    ]


def lines(path):
    return path.read_text().splitlines() if path.exists() else []


def test_a_run_measures_every_cell(suite, registry):
    done = run(suite, registry)
    assert done.complete
    assert not done.failures
    assert len(done.rows) == 9
    assert list(done.columns) == ["bpp", "difference", "psnr"]
    for row in done.rows:
        size = RunFolder(done.path).bitstream_path(done.plan.point(row.point), row.image).stat().st_size
        image = done.plan.image(row.image)
        assert row.cell.bitstream_size == size
        assert row.entries["bpp"].value == 8 * size / image.pixels
        assert row.cell.timing.encode.seconds > 0


def test_a_second_run_of_the_same_suite_does_nothing(suite, registry, tmp_path):
    log = tmp_path / "log"
    suite["codecs"]["shift"]["log"] = str(log)
    first = run(suite, registry)
    coded = len(lines(log))
    assert coded >= 9
    again = run(suite, registry)
    assert len(lines(log)) == coded
    assert values(again) == values(first)


def test_an_interrupted_run_goes_on_where_it_stopped(suite, registry, tmp_path):
    whole = run(suite, registry, output="whole")
    log = tmp_path / "log"
    suite["timing"] = {"repeats": 1, "budget": 0.0}  # every encoding in the log is a cell
    suite["codecs"]["shift"]["log"] = str(log)
    stop = Stop()
    seen = []

    def on_event(event):
        if isinstance(event, Recorded):
            seen.append(event)
            if len(seen) == 4:
                stop.set()

    part = run(suite, registry, stop=stop, on_event=on_event)
    assert not part.complete
    assert part.rows[0].status is Status.OK
    finished = run(suite, registry)
    assert finished.complete
    assert len(lines(log)) == 9  # nothing was coded twice
    assert [row[2:] for row in values(finished)] == [row[2:] for row in values(whole)]


def test_references_are_prepared_once_an_image(suite, registry, tmp_path):
    log = tmp_path / "log"
    suite["metrics"] = [{"difference": {"log": str(log)}}]
    run(suite, registry)
    assert sorted(lines(log)) == sorted(
        line for image in ("p0", "p1", "p2") for line in (f"prepare {image}", f"score {image} 3")
    )


def test_the_cache_serves_other_runs(suite, registry, tmp_path):
    log, scored = tmp_path / "log", tmp_path / "scored"
    suite["codecs"]["shift"]["log"] = str(log)
    suite["metrics"] = [{"difference": {"log": str(scored)}}]
    first = run(suite, registry, cache=True)
    coded, prepared = lines(log), lines(scored)
    suite["codecs"]["shift"]["bits"] = [1, 3, 4]
    second = run(suite, registry, output="second", cache=True)
    assert len(lines(log)) > len(coded)
    assert all(line.endswith(" 4") for line in lines(log)[len(coded) :])
    assert len(lines(scored)) == len(prepared) + 6  # three images, one new point each
    cached = [row.cell.cached for row in second.rows]
    assert cached == [True, True, False] * 3
    assert {row.cell.session for row in second.rows if row.cell.cached} == {first.rows[0].cell.session}
    assert {session.id for session in second.sessions} >= {row.cell.session for row in second.rows}
    assert [row.entries for row in second.rows if row.cell.cached] == [
        row.entries for row in first.rows if row.swept["bits"] != 5
    ]


def test_without_the_cache_everything_is_done_again(suite, registry, tmp_path):
    log = tmp_path / "log"
    suite["codecs"]["shift"]["log"] = str(log)
    run(suite, registry, cache=True)
    coded = len(lines(log))
    run(suite, registry, output="second", cache=False)
    assert len(lines(log)) == 2 * coded


def test_a_cached_reconstruction_can_be_scored_by_a_new_metric(suite, registry):
    run(suite, registry, cache=True)
    suite["metrics"] = ["psnr", "mse"]
    second = run(suite, registry, output="second", cache=True)
    assert second.complete
    assert not second.failures
    assert all(row.cell.cached for row in second.rows)


def test_a_run_from_the_cache_has_its_images_too(suite, registry):
    first = run(suite, registry, cache=True)
    second = run(suite, registry, output="second", cache=True)
    assert all(row.cell.cached for row in second.rows)
    files = sorted(path.relative_to(first.path) for path in first.path.rglob("*.png"))
    assert len(files) == 9
    assert sorted(path.relative_to(second.path) for path in second.path.rglob("*.png")) == files
    for path in files:
        assert (first.path / path).read_bytes() == (second.path / path).read_bytes()


def test_a_codec_that_raises_fails_only_its_own_cells(suite, registry):
    suite["codecs"]["shift"]["fail_on"] = 51
    done = run(suite, registry)
    assert [row.status for row in done.rows] == [Status.OK] * 3 + [Status.FAILED] * 3 + [Status.OK] * 3
    assert done.rows[3].entries["psnr"].status is Status.SKIPPED
    assert "told to fail on width 51" in done.rows[3].entries["psnr"].reason
    failure = done.failures[0]
    assert failure.what == "codec shift, plugin toys (toys 1.0)"
    assert "RuntimeError: told to fail on width 51" in failure.traceback
    assert "toys.py" in failure.traceback
    assert done.complete


def test_a_codec_that_can_not_be_made_fails_its_cells(suite, registry):
    suite["codecs"]["misbehave"] = {"how": "init"}
    done = run(suite, registry)
    assert len(done.failures) == 3
    assert done.failures[0].message == "no instance for you"


def test_what_a_codec_leaves_to_look_at_is_kept(suite, registry):
    suite["codecs"] = {"chatty": None}
    done = run(suite, registry, cache=True)
    cell = done.rows[0].cell
    assert [(note.name, note.summary) for note in cell.artifacts] == [("../../shape.txt", "the shape of the image")]
    path = RunFolder(done.path).artifact_path(done.plan.points[0], "p0", cell.artifacts[0].name)
    assert path.read_text() == "(48, 64, 3)"
    assert done.path.resolve() / "artifacts" in path.resolve().parents
    cached = run(suite, registry, output="second", cache=True)
    assert cached.rows[0].cell.artifacts == ()  # the cache does not keep them, and says so
    suite["codecs"] = {"chatty": {"fail_on": -2}}
    assert "not a qbench.plugin.Artifact" in run(suite, registry, output="bad").failures[0].message


def test_a_codec_may_be_not_applicable(suite, registry):
    suite["codecs"]["misbehave"] = {"how": "not-applicable"}
    row = run(suite, registry).rows[3]
    assert (row.status, row.reason) == (Status.NOT_APPLICABLE, "too green")
    assert row.entries["psnr"].status is Status.SKIPPED


@pytest.mark.parametrize("how", ["raise", "prepare", "nan"])
def test_a_metric_that_raises_fails_only_its_own_scores(suite, registry, how):
    suite["metrics"] = ["bpp", {"oddity": {"how": how}}]
    done = run(suite, registry)
    for row in done.rows:
        assert row.entries["bpp"].status is Status.OK
        assert row.entries["oddity"].status is row.entries["oddity.second"].status is Status.FAILED
    assert done.failures[0].what == "metric oddity, plugin toys (toys 1.0)"


def test_failures_are_kept_until_they_are_retried(suite, registry, tmp_path, monkeypatch):
    suite["codecs"] = {"misbehave": {"how": "raise"}}
    suite["metrics"] = ["bpp", {"oddity": {"how": "raise"}}]
    run(suite, registry)
    calls = []
    monkeypatch.setattr(
        toys.Misbehave, "encode", lambda self, image: calls.append(1) or b"x%d,%d" % (image.height, image.width)
    )
    assert len(run(suite, registry).failures) == 3  # not tried again
    assert not calls
    mended = run(suite, registry, retry_failed=True)
    assert len(calls) >= 3
    assert {row.status for row in mended.rows} == {Status.OK}
    assert len(mended.failures) == 3  # the metric's
    monkeypatch.setattr(
        toys.Oddity, "score", lambda self, candidates, prepared: [{"oddity": 1, "second": 2}] * len(candidates)
    )
    assert not run(suite, registry, retry_failed=True).failures


def test_fail_fast_stops_and_a_later_run_goes_on(suite, registry):
    suite["codecs"]["shift"]["fail_on"] = 64  # the first image
    part = run(suite, registry, fail_fast=True)
    assert part.failures
    assert not part.complete
    assert run(suite, registry).complete


def test_randomness_depends_on_seed_and_image_only(suite, registry):
    suite["codecs"] = {"noisy": None}
    one = run(suite, registry, output="one")
    suite["images"].reverse()
    other = run(suite, registry, output="other")
    digest = {row.image: row.cell.bitstream_sha256 for row in one.rows}
    assert digest == {row.image: row.cell.bitstream_sha256 for row in other.rows}
    seeded = run(suite, registry, output="seeded", seed=1)
    assert not set(digest.values()) & {row.cell.bitstream_sha256 for row in seeded.rows}


def test_what_is_not_kept_is_gone_after_the_run(suite, registry):
    suite["keep"] = {"bitstreams": False, "reconstructions": False}
    done = run(suite, registry)
    assert done.complete
    files = [path for path in done.path.rglob("*") if path.is_file() and path.parent != done.path]
    assert files == []
    with pytest.raises(StoreError, match="of 9 cells neither bitstream nor reconstruction is kept"):
        qbench.score("run", ["mse"], registry=registry, cache=False)
    assert run(suite, registry).complete  # nothing to do


def test_scoring_anew_codes_nothing(suite, registry, tmp_path):
    log = tmp_path / "log"
    suite["codecs"]["shift"]["log"] = str(log)
    done = run(suite, registry)
    coded = len(lines(log))
    scored = qbench.score("run", ["mse", "psnr"], registry=registry)
    assert len(lines(log)) == coded
    assert list(scored.columns) == ["bpp", "difference", "psnr", "mse"]
    for row in scored.rows:
        assert math.isclose(row.entries["psnr"].value, 10 * math.log10(255**2 / row.entries["mse"].value))
    assert [row.entries["difference"] for row in scored.rows] == [row.entries["difference"] for row in done.rows]
    assert run(suite, registry).columns.keys() == scored.columns.keys()  # the suite's own command goes on here, too


def test_scoring_anew_from_bitstreams_alone(suite, registry):
    suite["keep"] = {"reconstructions": False}
    run(suite, registry)
    assert not (qbench.load_run("run").path / "reconstructions").exists()
    scored = qbench.score("run", ["mse"], registry=registry, cache=False)
    assert scored.complete
    assert not scored.failures


def test_scoring_anew_a_dataset(registry):
    suite = {"images": [{"dataset": "samples", "limit": 1}], "codecs": {"jpeg": None}, "metrics": ["bpp"]}
    run(suite, registry)
    assert qbench.score("run", ["psnr"], registry=registry).complete


def test_an_original_that_changed_is_not_scored_against(suite, registry, photos):
    run(suite, registry)
    Image.new("RGB", (64, 48), "red").save(photos / "p0.png")
    with pytest.raises(ImageError, match=r"p0\.png: the image has changed since the run"):
        qbench.score("run", ["mse"], registry=registry, cache=False)
    assert "mse" not in qbench.load_run("run").columns


def test_an_image_that_disappears_fails_its_cells(suite, registry, photos):
    plan = qbench.plan(suite, registry=registry)
    (photos / "p1.png").unlink()
    done = run(plan, registry)
    assert {note.image for note in done.failures} == {"p1"}
    assert "can't read the image" in done.failures[0].message
    assert done.rows[0].status is Status.OK


def test_a_tampered_bitstream_is_not_scored(suite, registry):
    suite["keep"] = {"reconstructions": False}
    done = run(suite, registry)
    RunFolder(done.path).bitstream_path(done.plan.points[0], "p0").write_bytes(b"other")
    scored = qbench.score("run", ["mse"], registry=registry, cache=False)
    (note,) = scored.failures
    assert (note.image, note.what) == ("p0", "run folder")
    assert "the bitstream is not the one that was recorded" in note.message
    for row, before in zip(scored.rows, done.rows, strict=True):  # what was measured stands
        assert row.cell == before.cell
        assert all(row.entries[name] == entry for name, entry in before.entries.items())


def test_scoring_codes_nothing_anew_where_bitstreams_were_deleted(suite, registry):
    done = run(suite, registry)
    for folder in ("bitstreams", "reconstructions"):
        for path in (done.path / folder).rglob("p0.*"):
            path.unlink()
    journal = (done.path / "journal.jsonl").read_bytes()
    with pytest.raises(StoreError, match="of 3 cells neither bitstream nor reconstruction is kept"):
        qbench.score("run", ["mse"], registry=registry, cache=False)
    assert (done.path / "journal.jsonl").read_bytes() == journal


def test_a_decoder_that_decodes_differently_now_leaves_what_was_measured(suite, registry, monkeypatch):
    suite["keep"] = {"reconstructions": False}
    done = run(suite, registry)
    decode = toys.Shift.decode
    monkeypatch.setattr(toys.Shift, "decode", lambda self, bits: ImageValue(decode(self, bits).pixels ^ 1))
    scored = qbench.score("run", ["mse"], registry=registry, cache=False)
    assert {note.what for note in scored.failures} == {"run folder"}
    assert "decodes to other pixels here than where it was coded" in scored.failures[0].message
    for row, before in zip(scored.rows, done.rows, strict=True):
        assert row.cell == before.cell
        assert all(row.entries[name] == entry for name, entry in before.entries.items())


def test_a_failed_metric_is_retried_although_nothing_was_kept(suite, registry, monkeypatch):
    suite["keep"] = {"bitstreams": False, "reconstructions": False}
    with monkeypatch.context() as broken:
        broken.setattr(toys.Difference, "score", lambda self, candidates, prepared: 1 / 0)
        done = run(suite, registry)
        assert len(done.failures) == 9
    again = run(suite, registry, retry_failed=True)
    assert again.complete
    assert again.failures == []


def test_a_run_that_was_scored_since_is_finished_with_all_its_metrics(suite, registry, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(toys.Shift, "encode", lambda self, image: 1 / 0)
        run(suite, registry)
    qbench.score("run", ["mse"], registry=registry, cache=False)
    again = run(suite, registry, retry_failed=True)
    assert again.complete
    assert again.failures == []
    assert all(row.entries["mse"].status is Status.OK for row in again.rows)
    assert run(suite, registry).complete


def test_a_run_goes_by_the_places_of_its_originals_now(suite, registry, photos):
    run(suite, registry)
    moved = photos.rename(photos.parent / "moved")
    suite["images"] = [{"folder": str(moved)}]
    assert run(suite, registry).complete
    assert {Path(image.location).parent for image in qbench.load_run("run").plan.images} == {moved}
    assert qbench.score("run", ["mse"], registry=registry, cache=False).failures == []


def test_when_a_listener_raises_nobody_goes_on_working(suite, registry):
    suite["codecs"]["shift"]["seconds"] = 0.05

    def listen(event):
        if isinstance(event, Recorded):
            raise KeyError("listener")

    with pytest.raises(KeyError, match="listener"):
        run(suite, registry, on_event=listen)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("qbench-")]


def test_another_suites_folder_is_refused(suite, registry):
    run(suite, registry)
    suite["seed"] = 3
    with pytest.raises(StoreError, match="contains a run with a different plan"):
        run(suite, registry)


def test_a_run_that_is_executing_is_refused(suite, registry):
    def on_event(event):
        if isinstance(event, Progress):
            with pytest.raises(RunLockedError, match="another process is executing this run"):
                run(suite, registry)

    assert run(suite, registry, on_event=on_event).complete


def test_a_damaged_line_is_said_and_measured_again(suite, registry):
    done = run(suite, registry)
    path = RunFolder(done.path).journal_path
    whole = path.read_bytes().split(b"\n")
    index = next(index for index, line in enumerate(whole) if b'"kind":"cell"' in line)
    whole[index] = whole[index].replace(b'"image":"p0"', b'"image":"p9"')
    path.write_bytes(b"\n".join(whole))
    notices = []
    again = run(suite, registry, on_event=lambda event: notices.append(getattr(event, "text", "")))
    assert any(f"line {index + 1} is damaged" in notice for notice in notices)
    assert values(again) == values(done)


def test_a_disk_that_fills_up_loses_nothing_measured(suite, registry, monkeypatch):
    real = RunFolder.write_file
    written = []

    def write(self, path, data):
        written.append(path)
        if len(written) > 8:
            raise StoreError(
                f"{path}: can't write: No space left on device; make room and rerun the same command to resume"
            )
        real(self, path, data)

    with monkeypatch.context() as patched:
        patched.setattr(RunFolder, "write_file", write)
        with pytest.raises(StoreError, match="make room"):
            run(suite, registry)
    part = qbench.load_run("run")
    kept = [row.cell for row in part.rows if row.cell]
    assert kept
    finished = run(suite, registry)
    assert finished.complete
    assert [row.cell for row in finished.rows[: len(kept)]] == kept


def test_exclusive_timing_does_nothing_beside(suite, registry):
    suite["timing"] = {"exclusive": True}
    order = []
    done = run(suite, registry, on_event=order.append)
    assert {row.cell.timing.concurrent_load for row in done.rows} == {"exclusive"}
    images = [event.image for event in order if isinstance(event, (CellStarted, ScoringStarted))]
    assert images == sorted(images)  # each image is done before the next begins


def test_listeners_of_other_plugins_hear_and_can_not_harm(suite, photos):
    import types

    from qbench.registry.catalogue import PluginInfo
    from qbench.registry.hookspecs import hookimpl

    heard = []
    listener = types.ModuleType("listener")
    listener.qbench_run_started = hookimpl(lambda plan: heard.append(plan.suite))
    listener.qbench_run_finished = hookimpl(lambda run: heard.append(run.complete))

    @hookimpl
    def qbench_cell_coded(record):
        heard.append(record.point)
        raise OSError("log is full")

    listener.qbench_cell_coded = qbench_cell_coded
    registry = toys.registry()
    registry.register(listener, PluginInfo("listener", "listener", "3"))
    notices = []
    done = run(suite, registry, on_event=lambda event: notices.append(getattr(event, "text", "")))
    assert done.complete
    assert heard[0] == "small"
    assert heard[-1] is True
    assert len(heard) == 11
    assert any("plugin listener (listener 3) failed in qbench_cell_coded" in notice for notice in notices)


def test_bad_images_stop_a_run_before_it_begins(suite, registry, photos):
    (photos / "p1.png").write_bytes(b"nothing")
    with pytest.raises(ImageError, match=r"p1\.png: not an image"):
        run(suite, registry)


def test_codecs_are_set_up_once_and_a_close_that_raises_harms_nobody(suite, registry, monkeypatch):
    calls = []

    def close(self):
        calls.append("close")
        raise RuntimeError("can't let go")

    monkeypatch.setattr(toys.Shift, "setup", lambda self: calls.append("setup"))
    monkeypatch.setattr(toys.Shift, "close", close)
    told = []
    suite["codecs"] = {"shift": {"bits": 2}}
    done = run(suite, registry, on_event=lambda event: told.append(event.text) if isinstance(event, Notice) else None)
    assert done.complete
    assert done.failures == []
    assert calls == ["setup", "setup", "close", "close"]  # one encodes, the other decodes, three images
    assert "codec shift, plugin toys (toys 1.0): close failed: RuntimeError: can't let go" in told


def test_what_is_another_now_does_not_go_on_under_the_keys_of_then(suite, registry):
    """Neither cells nor scores are mixed, nor does the cache learn them under keys of another version."""
    suite["codecs"] = {"fragile": {"bits": [1, 4]}}
    suite["metrics"] = ["fragile-difference", "psnr"]
    stop, told = Stop(), []

    def score(self, candidates, prepared):
        stop.set("interrupted")
        raise RuntimeError("told to fail")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(toys.FragileDifference, "score", score)
        part = qbench.run(suite, output="run", registry=registry, stop=stop)
    pending = sum(row.status is Status.PENDING for row in part.rows)
    assert pending
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(toys.Fragile, "version", 2)
        patch.setattr(toys.FragileDifference, "libraries", classmethod(lambda cls: {"numpy": "another"}))
        scored = qbench.score("run", "mse", registry=registry, retry_failed=True, on_event=told.append)
    assert sum(row.status is Status.PENDING for row in scored.rows) == pending
    assert {row.entries["mse"].status for row in scored.rows if row.status is Status.OK} == {Status.OK}
    assert not any(row.entries["fragile-difference"].status is Status.OK for row in scored.rows)
    said = [event.text for event in told if isinstance(event, Notice)]
    assert any("codec fragile, plugin toys" in text and "fragile 1 then, 2 now" in text for text in said)
    assert any("metric fragile-difference" in text and "numpy none then, another now" in text for text in said)
    done = qbench.run(suite, output="run", registry=registry, retry_failed=True)
    assert done.complete
    assert not done.failures


class Overwriting(toys.Shift):
    """Encodes a coarser original than it was given, which it leaves behind; its decoder keeps one buffer."""

    name = "overwriting"
    buffer = None

    def encode(self, image):
        torch.from_numpy(image.pixels).bitwise_and_(0xE0)
        if self.parameters.bits == 7:
            raise RuntimeError("told to fail")
        return super().encode(image)


class OneBuffer(toys.Shift):
    name = "one-buffer"
    buffers: ClassVar = {}

    def decode(self, bitstream):
        pixels = super().decode(bitstream).pixels
        buffer = self.buffers.setdefault(pixels.shape, np.empty_like(pixels))
        buffer.setflags(write=True)
        buffer[:] = pixels
        buffer.setflags(write=False)
        return ImageValue(buffer)


@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")
def test_codecs_that_write_where_others_read_harm_no_other(suite, photos):
    registry = toys.registry()
    plugin = ModuleType("writing")
    plugin.qbench_register_codecs = hookimpl(lambda register: [register(each) for each in (Overwriting, OneBuffer)])
    registry.register(plugin, PluginInfo("writing", "w", "1"))
    for index in range(3):  # of one size
        Image.fromarray(sample_pixels(40, 30, index)).save(photos / f"p{index}.png")
    suite["metrics"] = [{"difference": {"seconds": 0.02}}, "psnr"]
    suite["codecs"] = {"overwriting": {"bits": [0, 7]}, "one-buffer": {"bits": [3]}, "shift": {"bits": [3]}}
    done = run(suite, registry)
    suite["codecs"] = {"shift": {"bits": [3]}}
    right = {row.image: row.entries["psnr"].value for row in run({**suite, "name": "right"}, registry, output="r").rows}
    for row in done.rows:
        if row.codec == "overwriting":
            assert row.status is Status.FAILED
        else:
            assert row.entries["psnr"].value == right[row.image]
    assert "writes to the images that it is given" in done.failures[0].message
