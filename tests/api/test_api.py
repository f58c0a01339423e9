from __future__ import annotations

import os
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
