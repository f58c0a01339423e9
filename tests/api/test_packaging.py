"""Packages that are written for plugins of one's own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from conftest import REPOSITORY

from qbench.api.packaging import KINDS, new_package, write_package
from qbench.errors import QbenchError

EXAMPLE = REPOSITORY / "examples" / "qbench-plugin-template"


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_text("utf-8")
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_example_is_what_is_written(tmp_path):
    """One source for both; write it anew by this function where a template has changed."""
    write_package(tmp_path / EXAMPLE.name, {"codec": "block-mean", "metric": "maximum-error"})
    assert contents(tmp_path / EXAMPLE.name) == contents(EXAMPLE)


@pytest.mark.parametrize("kind", KINDS)
def test_its_tests_pass_as_it_is(kind, tmp_path):
    place = new_package(kind, "my-own", tmp_path)
    assert place.name == "qbench-my-own"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, place / "tests"],
        env={**os.environ, "PYTHONPATH": str(place / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lint = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "E,F", "--line-length", "120", place],
        capture_output=True,
        text=True,
        check=False,
    )
    assert lint.returncode == 0, lint.stdout


def test_on_the_command_line(tmp_path, qbench_command):
    done = qbench_command("new", "codec", "my-codec", "-o", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "pip install -e" in done.stdout
    text = (tmp_path / "qbench-my-codec" / "src" / "qbench_my_codec" / "codec.py").read_text()
    assert 'name = "my-codec"' in text
    assert "class MyCodec(Codec):" in text
    assert "@" not in text.replace("@dataclass", "")
    for arguments, message in (
        (["codec", "my-codec"], "is there already"),
        (["codex", "my-codec"], "can't write a codex; did you mean `codec`?"),
        (["codec", "My Codec"], "accepted: small letters, digits, hyphens"),
        (["codec", "../up"], "accepted: small letters, digits, hyphens"),
    ):
        refused = qbench_command("new", *arguments, "-o", str(tmp_path))
        assert refused.returncode == 2
        assert message in refused.stderr


def test_a_codec_and_a_metric_run(tmp_path, photos, qbench_command):
    """The classes are plugins as files, too, so that they can be tried before anything is installed."""
    codec = new_package("codec", "my-codec", tmp_path) / "src" / "qbench_my_codec" / "codec.py"
    done = qbench_command("try", str(photos), "-c", "jpeg", "-c", f"{codec}:MyCodec", "-m", "psnr", "-q", "--no-report")
    assert done.returncode == 0, done.stderr


def test_no_folder_to_write_to(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises((QbenchError, OSError)):
        new_package("codec", "my-codec", tmp_path / "file")
