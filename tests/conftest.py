from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:
    # Several workers with as many threads as cores each would fight; read when numerical libraries are first imported.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
import toys
from PIL import Image

REPOSITORY = Path(__file__).parent.parent


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("network") and not os.environ.get("QBENCH_TEST_NETWORK"):
            item.add_marker(pytest.mark.skip(reason="needs the internet; set QBENCH_TEST_NETWORK=1"))
        if item.get_closest_marker("gpu"):
            import torch

            if not torch.cuda.is_available():
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A cache and a working directory of the test's own."""
    folder = tmp_path / "home"
    monkeypatch.setenv("QBENCH_HOME", str(folder))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return folder


@pytest.fixture(scope="session")
def registry():
    return toys.registry()


def picture(width: int, height: int, seed: int = 0) -> np.ndarray:
    """Draw something with edges, gradients and texture."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width]
    base = np.stack([rows * 255 / height, columns * 255 / width, 128 + 90 * np.sin((rows + columns) / 9)], axis=2)
    base[height // 4 : height // 2, width // 3 : width // 2] = (220, 30, 40)
    return np.clip(base + rng.normal(0, 6, base.shape), 0, 255).astype(np.uint8)


@pytest.fixture
def photos(tmp_path):
    """A folder with three small pictures."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for index, (width, height) in enumerate([(64, 48), (51, 37), (80, 60)]):
        Image.fromarray(picture(width, height, index)).save(folder / f"p{index}.png")
    return folder


@pytest.fixture
def suite(photos):
    """A small suite of toys; tests change what they need."""
    return {
        "name": "small",
        "images": [{"folder": str(photos)}],
        "codecs": {"shift": {"bits": [1, 3, 5]}},
        "metrics": ["difference", "bpp", "psnr"],
    }


@pytest.fixture(scope="session")
def toy_site(tmp_path_factory):
    """A folder that, on PYTHONPATH, makes the toys an installed plugin, for other processes."""
    site = tmp_path_factory.mktemp("site")
    information = site / "toys-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: toys\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[qbench]\ntoys = toys\n")
    (site / "toys.py").write_text((Path(__file__).parent / "toys.py").read_text())
    return site


@pytest.fixture
def environment(toy_site, home):
    """Environment variables for a qbench process that has the toys installed."""
    return {**os.environ, "PYTHONPATH": str(toy_site), "QBENCH_HOME": str(home), "COLUMNS": "120", "TERM": "dumb"}


@pytest.fixture
def qbench_command(environment):
    """Run the command line in a process of its own."""

    def call(*arguments: str | Path, **options) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "qbench", *map(str, arguments)]
        options = {"env": environment, "capture_output": True, "text": True, "timeout": 120, **options}
        return subprocess.run(command, check=False, **options)

    return call
