"""The example plugin as its reader would use it: built, installed beside qbench, its own tests run, used in a suite."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import REPOSITORY

EXAMPLE = REPOSITORY / "examples" / "qbench-plugin-template"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Build the package with the build backend that is installed (no network), and install it into a folder."""
    folder = tmp_path_factory.mktemp("example")
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*command, "--target", folder, EXAMPLE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def call(installed, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(installed), "COLUMNS": "120"}
    return subprocess.run(list(map(str, arguments)), env=environment, capture_output=True, text=True, check=False)


def test_its_own_tests_pass(installed):
    done = call(
        installed, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", EXAMPLE / "tests", "-c", os.devnull
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout


def test_qbench_finds_and_uses_it(installed, photos):
    listed = call(installed, sys.executable, "-m", "qbench", "plugins")
    assert "qbench-plugin-template" in listed.stdout
    suite = {
        "images": [{"folder": str(photos)}],
        "codecs": {"block-mean": {"block": [2, 8]}},
        "metrics": ["maximum-error", "bpp"],
    }
    Path("s.yaml").write_text(yaml.safe_dump(suite))
    done = call(installed, sys.executable, "-m", "qbench", "run", "s.yaml", "--jobs", "2")
    assert done.returncode == 0, done.stderr
    assert "block-mean:block=8" in done.stdout
    shown = call(installed, sys.executable, "-m", "qbench", "plugins", "show", "block-mean")
    assert "integer from 1 to 64" in shown.stdout
