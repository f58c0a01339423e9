"""Folders are sent around: what they keep is checked, what they name is not run, and nothing is written unasked."""

from __future__ import annotations

import json
import os
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
import toys
from conftest import sample_pixels
from PIL import Image as PillowImage

import qbench
from qbench.errors import ImageError, PluginError, QbenchError, StoreError
from qbench.images.image import Image, encode_png
from qbench.store.folder import RunFolder


@pytest.fixture
def done(suite, registry):
    return qbench.run(suite, registry=registry, output="run", cache=False)


def contents(folder):
    return {path: path.read_bytes() for path in sorted(Path(folder).rglob("*")) if path.is_file()}


def verdicts(found):
    return {(finding.image, finding.point): (str(finding.bitstream), str(finding.reconstruction)) for finding in found}


def paths(run, image, point):
    folder = RunFolder(run.path)
    return folder.bitstream_path(run.plan.point(point), image), folder.reconstruction_path(run.plan.point(point), image)


def test_all_is_as_it_was_measured(done, registry):
    before, heard = contents("run"), []
    found = qbench.verify("run", registry=registry, on_finding=lambda finding, total: heard.append((finding, total)))
    assert found.good
    assert set(verdicts(found.findings).values()) == {("same", "same")}
    assert [each for each, _ in heard] == list(found.findings)
    assert {total for _, total in heard} == {9}
    assert contents("run") == before


def test_a_decoder_that_makes_other_pixels_here(done, registry, monkeypatch):
    plain = toys.Shift.decode

    def decode(self, bitstream):
        pixels = plain(self, bitstream).pixels.copy()
        if pixels.shape[1] == 51:
            pixels[0, :4, 0] ^= 2
        return Image(pixels)

    monkeypatch.setattr(toys.Shift, "decode", decode)
    found = qbench.verify(done, registry=registry)
    assert not found.good
    assert {cell for cell, verdict in verdicts(found.findings).items() if verdict != ("same", "same")} == {
        ("p1", f"shift:bits={bits}") for bits in (1, 3, 5)
    }
    different = next(finding for finding in found.findings if finding.bitstream == "differs")
    assert (different.reconstruction, different.differing, different.largest) == ("same", 4, 2)
    assert different.rms == pytest.approx((4 * 2**2 / (51 * 37 * 3)) ** 0.5)
    paths(done, "p1", different.point)[1].unlink()
    found = qbench.verify(done, registry=registry)
    unknown = next(finding for finding in found.findings if (finding.image, finding.point) == ("p1", different.point))
    assert (unknown.bitstream, unknown.reconstruction, unknown.rms) == ("differs", "not kept", None)
    # Beside the values that stand: scoring tells the finding, and leaves the cell as it was measured.
    scored = qbench.score(done, "mse", registry=registry, cache=False)
    row = next(row for row in scored.rows if (row.image, row.point) == ("p1", different.point))
    assert row.status == "ok"
    assert row.entries["psnr"].status == "ok"
    assert "decodes to other pixels here" in row.entries["mse"].reason


def test_files_that_were_exchanged(done, registry, photos):
    bitstream, _ = paths(done, "p0", "shift:bits=5")
    bitstream.write_bytes(bitstream.read_bytes()[:-1])
    _, picture = paths(done, "p1", "shift:bits=5")
    picture.write_bytes((photos / "p1.png").read_bytes())
    paths(done, "p2", "shift:bits=5")[0].unlink()
    found = verdicts(qbench.verify(done, registry=registry).findings)
    assert found["p0", "shift:bits=5"] == ("altered", "same")
    assert found["p1", "shift:bits=5"] == ("same", "altered")
    assert found["p2", "shift:bits=5"] == ("not kept", "same")
    (page,) = qbench.report(done, "report.html", explain=False)
    rows = json.loads(page.read_text().split('<script type="application/json" id="content">')[1].split("</script>")[0])
    shown = [(index, "reconstruction" in row, row.get("altered")) for index, row in enumerate(rows[0]["rows"])]
    assert [(index, altered) for index, there, altered in shown if not there] == [(5, True)]


def test_a_codec_that_is_not_here(done, registry):
    bare = type(registry)()
    assert {finding.bitstream for finding in qbench.verify(done, registry=bare).findings} == {"undecodable"}


def test_versions_that_differ_are_told(suite, registry, monkeypatch):
    done = qbench.run({**suite, "codecs": {"shift": None}}, registry=registry, output="run", cache=False)
    monkeypatch.setattr(toys.Shift, "version", "7")
    assert qbench.verify(done, registry=registry).other_versions == ("shift: shift 1 then, 7 now",)


def test_code_that_a_folder_names_is_not_run(suite, registry, tmp_path, monkeypatch):
    (tmp_path / "stranger.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    suite = {**suite, "codecs": {"importing": {"module": "stranger"}}}
    done = qbench.run(suite, registry=registry, output="run", cache=False)
    (tmp_path / "ran").unlink()
    monkeypatch.delitem(__import__("sys").modules, "stranger")
    (one,) = [point.id for point in done.plan.points]
    # As long as all reconstructions are here, nothing has to decode.
    assert qbench.score(done, "mse", registry=registry, cache=False).complete
    for image in ("p0", "p1", "p2"):
        paths(done, image, one)[1].write_bytes(b"damaged")
    before = contents("run")
    assert {finding.bitstream for finding in qbench.verify(done, registry=registry).findings} == {"undecodable"}
    assert "use --trust" in qbench.verify(done, registry=registry).findings[0].reason
    with pytest.raises(PluginError, match=r"runs code that this run's settings name \(stranger\)"):
        qbench.score(done, "ssim", registry=registry, cache=False)
    with pytest.raises(PluginError, match="use --trust"):
        qbench.score(done, "ssim", registry=registry, cache=False, output="copy")
    with pytest.raises(PluginError, match="use --trust"):
        qbench.explain(done, "p0", one, "difference", registry=registry)
    qbench.report(done, "elsewhere.html")
    assert not (tmp_path / "ran").exists()
    assert contents("run") == before
    assert not Path("copy").exists()
    assert {f.bitstream for f in qbench.verify(done, registry=registry, trust=True).findings} == {"same"}
    assert (tmp_path / "ran").exists()
    assert qbench.score(done, "ssim", registry=registry, cache=False, trust=True).complete


def test_originals_that_are_elsewhere(done, registry, photos, tmp_path):
    (page,) = qbench.report(done)
    moved = tmp_path / "moved" / "deeper"
    moved.parent.mkdir()
    photos.rename(moved)
    (moved / "p2.png").rename(moved / "renamed.png")
    PillowImage.fromarray(sample_pixels(80, 60, 9)).save(moved / "p2.png")
    before = contents("run")
    with pytest.raises(ImageError, match=r"(?s)p0.png: can't read.*p2.png.*name it with --originals FOLDER"):
        qbench.score(done, "mse", registry=registry, cache=False)
    with pytest.raises(StoreError, match=r"report.html: stays as it is, as a new one would lack .*p0.png.*--originals"):
        qbench.report(done)
    with pytest.raises(ImageError, match="no such folder"):
        qbench.report(done, originals="nowhere")
    shutil.move("run/reconstructions", "aside")
    with pytest.raises(StoreError, match="would lack pictures"):
        qbench.report(done, originals=moved.parent)
    shutil.move("aside", "run/reconstructions")
    with pytest.raises(ImageError, match="has no image with the pixels of p0, p1, p2"):
        qbench.score(done, "mse", registry=registry, cache=False, originals="run/bitstreams")
    assert contents("run") == before
    assert qbench.report(done, originals=moved.parent) == [page]
    assert page.read_bytes() == before[page]
    assert qbench.report(done, "poorer.html") == [Path("poorer.html")]  # who names a file means it
    with pytest.raises(QbenchError, match="difference has nothing to explain"):  # it got that far
        qbench.explain(done, "p0", "shift:bits=1", "difference", originals=moved, registry=registry)
    scored = qbench.score(done, "mse", registry=registry, cache=False, originals=moved.parent)
    assert scored.complete
    assert [Path(image.location).name for image in scored.plan.images] == ["p0.png", "p1.png", "renamed.png"]
    assert qbench.score(done, "ssim", registry=registry, cache=False).complete  # the places are remembered


def test_an_original_that_changed_is_found_before_anything_is_written(done, registry, photos):
    PillowImage.fromarray(sample_pixels(64, 48, 9)).save(photos / "p0.png")
    before = contents("run")
    with pytest.raises(ImageError, match=r"p0.png: the image has changed since the run"):
        qbench.score(done, "mse", registry=registry, cache=False)
    assert contents("run") == before


def test_a_copy_is_scored_and_the_run_stays_as_it_is(done, registry):
    before = contents("run")
    scored = qbench.score(done, "mse", registry=registry, cache=False, output="copy")
    assert scored.path == Path("copy")
    assert scored.complete
    assert list(scored.columns)[-1] == "mse"
    assert contents("run") == before
    with pytest.raises(StoreError, match="copy: exists already"):
        qbench.score(done, "ssim", registry=registry, cache=False, output="copy")


def test_no_link_leads_out_of_a_folder(done, registry, tmp_path):
    secret = tmp_path / "secret.png"
    bitstream, picture = paths(done, "p0", "shift:bits=5")
    shutil.copy(picture, secret)
    picture.unlink()
    picture.symlink_to(secret)
    bitstream.rename(tmp_path / "bits")
    bitstream.symlink_to(tmp_path / "bits")
    found = verdicts(qbench.verify(done, registry=registry).findings)
    assert found["p0", "shift:bits=5"] == ("altered", "altered")
    with pytest.raises(StoreError, match="leads out of the run folder"):
        RunFolder(done.path).write_file(done.path / ".." / "x", b"")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (done.path / "features").symlink_to(elsewhere)
    with pytest.raises(StoreError, match="leads out of the run folder"):
        RunFolder(done.path).write_features(done.path / "features" / "x.npy", np.zeros((1, 1), np.float32))
    assert not list(elsewhere.iterdir())


def test_the_command(qbench_command, suite, photos):
    done = qbench.run(suite, output="run", cache=False)
    ended = qbench_command("verify", "run")
    assert ended.returncode == 0
    assert "9 bitstreams decode to the pixels that were measured" in ended.stdout
    bitstream, picture = paths(done, "p0", "shift:bits=5")
    bitstream.write_bytes(b"x")
    picture.write_bytes(encode_png(np.zeros((48, 64, 3), np.uint8)))
    assert "note: 1 bitstreams have other sizes than were measured" in qbench_command("show", "run").stderr
    ended = qbench_command("verify", "run")
    assert ended.returncode == 1
    assert "1 bitstreams are not those that were measured" in ended.stdout
    assert "1 kept reconstructions are not those that were measured" in ended.stdout
    ended = qbench_command("verify", "run", "--format", "json", "-o", "found.json")
    assert (ended.returncode, ended.stdout) == (1, "")
    found = json.loads(Path("found.json").read_text())
    assert found["counts"] == {"same": 8, "differs": 0, "altered": 1, "not kept": 0, "undecodable": 0}
    assert qbench_command("verify", "run", "--format", "csv").returncode == 2
    photos.rename(photos.parent / "moved")
    ended = qbench_command("score", "run", "-m", "mse")
    assert ended.returncode == 2
    assert "--originals FOLDER" in ended.stderr


def test_runs_of_one_name_are_told_apart(suite, registry):
    runs = [
        qbench.run({**suite, "seed": seed}, registry=registry, output=f"{folder}/run", cache=False)
        for seed, folder in enumerate(("one", "other"))
    ]
    (page,) = qbench.report(runs, "both.html", explain=False)
    assert '"name":"one/run"' in page.read_text()
    assert '"name":"other/run"' in page.read_text()
    (page,) = qbench.report([runs[0], runs[0]], "twice.html", explain=False)
    assert '(2)"' in page.read_text()


def test_nothing_outside_of_a_folder_is_removed_or_written(suite, registry, tmp_path):
    suite["keep"] = {"bitstreams": False}
    done = qbench.run(suite, registry=registry, output="run", cache=False)
    point = done.plan.points[0]
    bits = RunFolder(done.path).bitstream_path(point, "p0")
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / bits.name).write_text("precious")
    bits.parent.parent.mkdir(parents=True)
    bits.parent.symlink_to(victim)
    qbench.score(done, "mse", registry=registry, cache=False)  # removes the link
    assert (victim / bits.name).read_text() == "precious"
    (done.path / "bitstreams").symlink_to(victim)
    with pytest.raises(StoreError, match="leads out of the run folder"):
        qbench.score(done, "ssim", registry=registry, cache=False)
    assert (victim / bits.name).read_text() == "precious"
    (done.path / "bitstreams").unlink()
    for name in ("lock.owner", "journal.jsonl"):
        (tmp_path / name).write_bytes((done.path / "journal.jsonl").read_bytes())
        (done.path / name).unlink(missing_ok=True)
        (done.path / name).symlink_to(tmp_path / name)
        before = (tmp_path / name).read_bytes()
        with pytest.raises(StoreError, match="leads out of the run folder"):
            qbench.score(done, "mse", registry=registry, cache=False)
        assert (tmp_path / name).read_bytes() == before
        (done.path / name).unlink()
        shutil.copy(tmp_path / name, done.path / name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_no_path_of_a_folder_is_waited_for(done, registry, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(QbenchError, match="not a regular file"):
        qbench.import_results([tmp_path / "pipe"], "x")
    with pytest.raises(QbenchError, match="not a regular file"):
        qbench.plan(
            {
                "images": [{"folder": str(tmp_path / "photos")}],
                "codecs": {"autoencoder": {"model": str(tmp_path / "pipe")}},
                "metrics": ["bpp"],
            },
            registry=registry,
        )


def test_a_small_file_that_claims_gigabytes_is_not_decoded(done, registry):
    _, picture = paths(done, "p0", "shift:bits=5")
    data = bytearray(picture.read_bytes())
    data[16:24] = struct.pack(">II", 30_000, 30_000)
    picture.write_bytes(data)
    assert verdicts(qbench.verify(done, registry=registry).findings)["p0", "shift:bits=5"] == ("same", "altered")


def test_a_folder_that_can_not_be_written_to_is_scored_as_a_copy(done, registry, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(StoreError, match=r"run: can't be written to; --output FOLDER .* scores a copy"):
        qbench.score(done, "mse", registry=registry, cache=False)
    assert qbench.score(done, "mse", registry=registry, cache=False, output="copy").complete
