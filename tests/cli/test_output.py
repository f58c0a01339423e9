"""What comes out: of terminals that lack characters, full disks, and names that would command a terminal."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import sample_pixels
from PIL import Image

SUITE = "images: {{folder: {photos}, limit: 1}}\ncodecs: {{shift: {{bits: [1, 2]}}}}\nmetrics: [bpp, difference]\n"


@pytest.fixture
def done(qbench_command, photos):
    Path("s.yaml").write_text(SUITE.format(photos=photos))
    assert qbench_command("run", "s.yaml", "-o", "run", "--no-cache").returncode == 0
    return Path("run")


@pytest.mark.parametrize(
    "encoding", ["ascii", *(pytest.param(name, marks=pytest.mark.slow) for name in ("latin-1", "cp1252"))]
)
def test_a_terminal_that_lacks_characters(qbench_command, photos, environment, encoding):
    Path("s.yaml").write_text(SUITE.format(photos=photos))
    environment = {**environment, "PYTHONIOENCODING": encoding}
    found = qbench_command("run", "s.yaml", "-o", "run", "--no-cache", env=environment, text=False)
    assert found.returncode == 0, found.stderr
    text = found.stdout.decode(encoding)
    assert "difference" in text
    assert "report: run/report.html" in text
    if encoding == "ascii":
        assert "1 image x 2 operating points" in text


def test_names_are_shown_and_not_obeyed(qbench_command, tmp_path):
    folder = tmp_path / "odd"
    folder.mkdir()
    name = "a\x1b[2J\nb\u202ec"
    Image.fromarray(sample_pixels(8, 8)).save(folder / f"{name}.png")
    Path("s.yaml").write_text(SUITE.format(photos=folder))
    found = qbench_command("run", "s.yaml", "-o", "run", "--no-cache")
    assert found.returncode == 0, found.stderr
    shown = [found, qbench_command("plan", "s.yaml"), qbench_command("show", "run", "--cells")]
    for text in (each.stdout for each in shown):
        assert "\x1b[2J" not in text
        assert "\u202e" not in text
        assert r"a\x1b[2J\nb\u202ec" in text
    row = json.loads(qbench_command("show", "run", "-f", "json").stdout)["rows"][0]
    assert row["image"] == name
    broken = folder / f"{name}2.png"
    broken.write_bytes(b"x")
    refused = qbench_command("plan", "s.yaml", "--set", "images.limit=")
    assert refused.returncode == 2
    assert refused.stderr.splitlines()[0].startswith(f"error: {folder}/a\\x1b[2J\\nb\\u202ec2.png: not an image")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_one_line(done, environment):
    command = [sys.executable, "-m", "qbench", "show", "run", "-g", "point"]
    with Path("/dev/full").open("w") as full:
        found = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, env=environment, text=True, check=False)
    assert (found.returncode, found.stderr) == (1, "error: output: No space left on device\n")
    found = subprocess.run([*command, "-o", "/dev/full"], capture_output=True, env=environment, text=True, check=False)
    assert (found.returncode, found.stderr) == (1, "error: /dev/full: can't write: No space left on device\n")
    command = [sys.executable, "-m", "qbench", "report", "run", "--no-explain", "-o", "/dev/full"]
    found = subprocess.run(command, capture_output=True, env=environment, text=True, check=False)
    assert (found.returncode, found.stderr) == (1, "error: /dev/full: can't write: No space left on device\n")
    assert Path("/dev/full").is_char_device()


def test_a_disk_that_fills_during_the_report_leaves_no_half_file(done, qbench_command, monkeypatch):
    whole = Path.write_text

    def full(path, *arguments, **options):
        if path.suffix == ".html":
            whole(path, "half")
            raise OSError(errno.ENOSPC, "No space left on device")
        return whole(path, *arguments, **options)

    monkeypatch.setattr(Path, "write_text", full)
    found = qbench_command("report", "run", "-o", "new/r.html")
    assert (found.returncode, found.stderr) == (1, "error: new/r.html: can't write: No space left on device\n")
    assert list(Path("new").iterdir()) == []


@pytest.mark.parametrize("command", ["show run", "show run -f csv", "plot run", "schema"])
def test_a_folder_that_is_not_there_is_said(done, qbench_command, command):
    target = "no/f.svg"
    found = qbench_command(*command.split(), "-o", target)
    assert (found.returncode, found.stderr) == (2, "error: no/f.svg: can't write: No such file or directory\n")


def test_files_of_a_run_follow_the_umask(qbench_command, photos):
    Path("s.yaml").write_text(SUITE.format(photos=photos))
    before = os.umask(0o027)
    try:
        assert qbench_command("run", "s.yaml", "-o", "run", "--no-cache").returncode == 0
    finally:
        os.umask(before)
    for path in Path("run").rglob("*"):
        if path.name != ".lock":
            assert stat.S_IMODE(path.stat().st_mode) == (0o750 if path.is_dir() else 0o640), path


def test_a_user_without_a_home_is_told_what_to_set(qbench_command, photos, monkeypatch):
    Path("s.yaml").write_text(SUITE.format(photos=photos))
    monkeypatch.delenv("QBENCH_HOME")
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: f"~nobody-at-all/{name}")
    refused = qbench_command("run", "s.yaml", "-o", "run")
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: this user has no home folder; set QBENCH_HOME")


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_runs_have_whole_names_in_every_terminal(done, qbench_command, monkeypatch, width):
    name = "a-very-long-name-of-a-suite-1234ab"
    Path("runs").mkdir()
    done.rename(Path("runs") / name)
    monkeypatch.setenv("COLUMNS", str(width))
    text = qbench_command("runs").stdout
    assert (name if width > 50 else name[:20]) in text
    for heading in ("metrics", "measured", "images", "profile"):
        assert heading in text or heading[:4] not in text
