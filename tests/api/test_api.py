from __future__ import annotations

import os
import zlib
from pathlib import Path

import pytest

import qbench
from qbench.errors import QbenchError, StoreError
from qbench.store.folder import RunFolder


def test_a_suites_runs_are_found_by_name(suite, registry):
    one = qbench.run(suite, registry=registry)
    assert one.path == Path("runs") / one.name
    assert one.name.startswith("small-")
    os.utime(RunFolder(one.path).journal_path, (1, 1))
    suite["seed"] = 2
    two = qbench.run(suite, registry=registry)
    assert two.path != one.path
    assert qbench.load_run(one.name).path == one.path
    assert qbench.load_run(one.path).path == one.path
    assert qbench.load_run("small").path == two.path  # the latest


def test_no_run_lists_those_there_are(suite, registry):
    name = qbench.run(suite, registry=registry).name
    with pytest.raises(
        StoreError, match=rf"nothing: no run in this folder, nor a run of that name in runs/ \(available: {name}\)"
    ):
        qbench.load_run("nothing")


def test_a_hostile_suite_name_stays_inside_runs(suite, registry):
    suite["name"] = "../../escape"
    made = qbench.run(suite, registry=registry)
    assert made.path.resolve().parent == Path("runs").resolve()


def test_pandas(suite, registry):
    frame = qbench.run(suite, registry=registry).to_pandas()
    assert len(frame) == 9
    assert frame["bpp"].gt(0).all()
    assert list(frame["parameter.bits"].unique()) == [1, 3, 5]
    assert frame.groupby("point")["psnr"].mean().is_monotonic_decreasing


def test_without_pandas_the_extra_is_named(suite, registry, monkeypatch):
    done = qbench.run(suite, registry=registry)
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(QbenchError, match=r"pip install 'qbench\[pandas\]'"):
        done.to_pandas()


def test_a_suite_file(suite, registry):
    import yaml

    Path("s.yaml").write_text(yaml.safe_dump(suite, sort_keys=False))
    done = qbench.run("s.yaml", registry=registry, overrides=["codecs.shift.bits=[2]"])
    assert len(done.rows) == 3
    assert (done.path / "suite.yaml").read_text() == Path("s.yaml").read_text()
    assert "overrides" in (done.path / "provenance.json").read_text()


def test_provenance_says_what_a_reader_needs(suite, registry):
    import json

    suite["codecs"]["jpeg"] = {"quality": 50}
    done = qbench.run(suite, registry=registry, cache=False)
    provenance = json.loads((done.path / "provenance.json").read_text())
    assert provenance["qbench"] == qbench.__version__
    assert provenance["libraries"]["jpeg: libjpeg-turbo"]
    assert provenance["libraries"]["torch"]
    assert provenance["images"]["p0"]["sha256"] == done.plan.images[0].sha256
    assert provenance["device"] == "cpu"
    assert done.sessions[0].provenance == provenance
    assert {row.cell.session for row in done.rows} == {done.sessions[0].id}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda suite: qbench.run(suite, job=2), "unknown option `job`; did you mean `jobs`?"),
        (lambda suite: qbench.score("x", "mse", devise="cpu"), "unknown option `devise`; did you mean `device`?"),
        (
            lambda suite: qbench.run(suite, jobs=-1),
            "jobs: -1 is not accepted; accepted: an integer from 1 to 1024, or auto",
        ),
        (lambda suite: qbench.run(suite, jobs=True), "jobs: True is not accepted"),
        (lambda suite: qbench.run(qbench.plan(suite), seed=3), "overrides, profile and seed belong to a suite"),
        (lambda suite: qbench.plot([], "a.pdf"), "no runs are given"),
        (lambda suite: qbench.report([]), "no runs are given"),
        (lambda suite: qbench.import_results([], "name"), "no files are given"),
        (
            lambda suite: qbench.bd_rates("x", "psnr", "jpeg", method="cubical"),
            "unknown method `cubical`;",
        ),
        (lambda suite: qbench.compare("x", "y", method="pschip"), "did you mean `pchip`?"),
    ],
)
def test_what_makes_no_sense_is_refused(suite, installed, call, message):
    with pytest.raises((QbenchError, TypeError)) as caught:
        call(suite)
    assert message in str(caught.value)


def test_one_name_is_no_list_of_letters(suite, installed):
    done = qbench.run(suite, overrides="codecs.shift.bits=[2]")
    assert list(qbench.score(done, "mse").columns) == ["bpp", "difference", "psnr", "mse"]
    assert list(qbench.score("small", ["mse"]).columns) == ["bpp", "difference", "psnr", "mse"]
    assert qbench.load_run(done).columns.keys() >= {"mse"}  # read again
    assert qbench.compare(done, done, "psnr") == qbench.compare(done, done, ["psnr"])


def test_a_run_that_cannot_be_read_is_omitted_and_named(suite, registry):
    kept, broken = qbench.run(suite, registry=registry), qbench.run({**suite, "seed": 9}, registry=registry)
    lines = (broken.path / "journal.jsonl").read_bytes().split(b"\n")
    body = b'{"kind":"plan","at":"t","base":"k","plan":{"suite":3}}'
    place = next(index for index, line in enumerate(lines) if b'"kind":"plan"' in line)
    lines[place] = b'{"crc32":"%08x","record":%s}' % (zlib.crc32(body), body)
    (broken.path / "journal.jsonl").write_bytes(b"\n".join(lines))
    told = []
    assert [run.path for run in qbench.runs(notice=told.append)] == [kept.path]
    assert told[0].startswith(f"omitted: {broken.path}: this qbench can't read the plan in its journal: ")
    with pytest.raises(StoreError, match="read the plan in its journal"):
        qbench.load_run(broken.path)


def test_damage_to_the_journal_is_said_with_the_results(suite, registry):
    done = qbench.run(suite, registry=registry)
    (in_process,) = done.remarks
    journal = done.path / "journal.jsonl"
    lines = journal.read_bytes().split(b"\n")
    lines[6] = lines[6].replace(b"p", b"q")
    journal.write_bytes(b"\n".join(lines))
    assert qbench.load_run(done).remarks == (
        in_process,
        "journal.jsonl is damaged in line 7: what stood there counts as not measured",
    )
