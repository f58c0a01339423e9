from __future__ import annotations

import errno
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import sample_pixels
from hypothesis import given
from hypothesis import strategies as st

import qbench
from qbench.errors import RunLockedError, StoreError
from qbench.images.image import Image
from qbench.planning.types import PlannedImage
from qbench.store.folder import RunFolder, _slug


@pytest.fixture
def plan(suite, registry):
    return qbench.plan(suite, registry=registry)


def test_begins_and_goes_on(tmp_path, plan):
    folder = RunFolder(tmp_path / "deep" / "run")
    for _ in range(2):
        with folder.locked(), folder.writing() as journal:
            state = folder.begin(plan, journal)
            assert state.plan.key() == plan.key()
    assert folder.load().plan == plan
    assert folder.path.joinpath("suite.yaml").read_text() == plan.suite_text
    assert not folder.path.joinpath("lock.owner").exists()


def test_another_plan_is_refused(tmp_path, plan):
    folder = RunFolder(tmp_path / "run")
    with folder.locked(), folder.writing() as journal:
        folder.begin(plan, journal)
        with pytest.raises(StoreError, match="contains a run with a different plan"):
            folder.begin(replace(plan, seed=5), journal)


def test_a_second_process_is_refused_while_the_first_lives(tmp_path):
    folder = RunFolder(tmp_path / "run")
    code = (
        "import sys, pathlib, time\nfrom qbench.store.folder import RunFolder\n"
        f"with RunFolder(pathlib.Path({str(folder.path)!r})).locked():\n"
        "    print('held', flush=True)\n    time.sleep(60)\n"
    )
    other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "held\n"
        owner = rf"another process is executing this run \(pid {other.pid} on"
        with pytest.raises(RunLockedError, match=owner), folder.locked():
            pass
    finally:
        other.kill()
        other.wait()
        other.stdout.close()
    with folder.locked():  # a killed process holds nothing
        pass


def test_an_unwritable_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="can't write the run folder"), RunFolder(tmp_path / "file" / "run").locked():
        pass


def test_no_run_and_a_run_that_never_began(tmp_path, plan):
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(StoreError, match="not a run folder"):
        folder.load()
    with folder.locked(), folder.writing():
        pass
    with pytest.raises(StoreError, match="interrupted before it started"):
        folder.load()


def test_reconstructions_come_back_exactly(tmp_path, plan):
    folder = RunFolder(tmp_path)
    image = Image(sample_pixels(37, 23))
    point, planned = plan.points[0], PlannedImage("a", "a.png", "", 37, 23)
    assert folder.read_reconstruction(point, planned) is None
    folder.write_reconstruction(point, "a", image)
    assert folder.read_reconstruction(point, planned).equals(image)
    folder.reconstruction_path(point, "a").write_bytes(b"\x89PNG broken")
    assert folder.read_reconstruction(point, planned) is None


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    folder = RunFolder(tmp_path)
    path = tmp_path / "deep" / "a.bin"
    folder.write_file(path, b"old")

    def full(path, data):
        with path.open("wb") as file:
            file.write(data[:1])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StoreError, match="No space left on device; make room and rerun the same command"):
        folder.write_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert [found.name for found in path.parent.iterdir()] == ["a.bin"]


@given(st.text(max_size=300), st.text(max_size=300))
def test_any_names_make_different_safe_file_names(one, other):
    for name in (one, other):
        slug = _slug(name)
        assert 0 < len(slug) < 120
        assert not set(slug) & set('/\\:*?"<>|\0')
        assert not slug.startswith(".")
    assert (_slug(one) == _slug(other)) == (one == other)


def test_artifacts_end_as_their_names_do(tmp_path, plan):
    at = plan.points[0]
    place = RunFolder(tmp_path).artifact_path
    assert place(at, "a", "loss.png").name == "loss.png"
    assert re.fullmatch(r"loss-curve\.png-[0-9a-f]{8}\.png", place(at, "a", "loss curve.png").name)
    assert re.fullmatch(r"a-b-[0-9a-f]{8}", place(at, "a", "a b").name)
    assert place(at, "a", "x y.png") != place(at, "a", "x z.png")
