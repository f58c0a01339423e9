from __future__ import annotations

import contextlib
import io
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
from hypothesis import settings
from PIL import Image

import qbench.cli
from qbench.execute.starting import warm_up
from qbench.execute.work import Notice
from qbench.registry.registry import default_registry

REPOSITORY = Path(__file__).parent.parent

# The same examples every time, so that no run fails by chance; `--hypothesis-profile explore` looks for new ones.
settings.register_profile("fixed", derandomize=True, deadline=None)
settings.register_profile("explore", max_examples=300, deadline=None)


def pytest_configure(config):
    # Here, and not above: test modules import this file again, which must not undo what was asked for.
    if not config.getoption("hypothesis_profile", None):
        settings.load_profile("fixed")


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("network") and not os.environ.get("QBENCH_TEST_NETWORK"):
            item.add_marker(pytest.mark.skip(reason="needs the internet; set QBENCH_TEST_NETWORK=1"))
        if item.get_closest_marker("gpu"):
            import torch

            if not torch.cuda.is_available():
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@contextlib.contextmanager
def torch_threads(count):
    """Have torch use so many threads, and afterwards as many as before."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


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


def sample_pixels(width: int, height: int, seed: int = 0) -> np.ndarray:
    """Draw something with edges, gradients and texture."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width]
    base = np.stack([rows * 255 / height, columns * 255 / width, 128 + 90 * np.sin((rows + columns) / 9)], axis=2)
    base[height // 4 : height // 2, width // 3 : width // 2] = (220, 30, 40)
    return np.clip(base + rng.normal(0, 6, base.shape), 0, 255).astype(np.uint8)


def run_heard(suite, **options):
    """Run a suite; return the run, and what was told meanwhile."""
    notices = []

    def listen(event):
        if isinstance(event, Notice):
            notices.append(event.text)

    done = qbench.run(suite, **{"output": "run", "cache": False, "on_event": listen, **options})
    return done, notices


def results_of(run):
    """Return all that is measured alike wherever it is measured: outcomes, digests, values."""
    cells = {
        (row.image, row.point): (
            row.status,
            row.cell and (row.cell.key, row.cell.bitstream_sha256, row.cell.reconstruction_sha256),
            {name: (entry.status, entry.value, entry.reason) for name, entry in row.entries.items()},
        )
        for row in run.rows
    }
    points = {
        (point, name): (entry.status, entry.value, entry.reason)
        for point, found in run.point_entries.items()
        for name, entry in found.items()
    }
    return cells, points


@pytest.fixture
def photos(tmp_path):
    """A folder with three small images."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for index, (width, height) in enumerate([(64, 48), (51, 37), (80, 60)]):
        Image.fromarray(sample_pixels(width, height, index)).save(folder / f"p{index}.png")
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
    (information / "entry_points.txt").write_text("[qbench]\ntoys = toys\nfaults = faults\n")
    for name in ("toys.py", "faults.py"):
        (site / name).write_text((Path(__file__).parent / name).read_text())
    return site


@pytest.fixture(scope="session", autouse=True)
def _stations_start_at_once():
    """Load once what the stations of all tests need."""
    warm_up({"torch"})


@pytest.fixture
def installed(toy_site, monkeypatch):
    """Make the toys an installed plugin, in this process and in those that it starts."""
    monkeypatch.syspath_prepend(str(toy_site))
    monkeypatch.setenv("PYTHONPATH", str(toy_site))
    default_registry.cache_clear()
    yield
    default_registry.cache_clear()


@pytest.fixture
def environment(installed, home, monkeypatch):
    """Environment variables of a terminal in which the toys are installed."""
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "dumb")
    return dict(os.environ)


@pytest.fixture
def qbench_command(environment, monkeypatch):
    """Run the command line: in this process; or in one of its own, if options of ``subprocess.run`` are given."""

    def call(*arguments: str | Path, **options) -> subprocess.CompletedProcess[str]:
        words = list(map(str, arguments))
        if options:
            options = {"env": environment, "capture_output": True, "text": True, "timeout": 120, **options}
            return subprocess.run([sys.executable, "-m", "qbench", *words], check=False, **options)
        monkeypatch.setattr(sys, "argv", ["qbench", *words])
        output, errors, code = io.StringIO(), io.StringIO(), 0
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            try:
                qbench.cli.main()
            except SystemExit as end:
                code = end.code
        return subprocess.CompletedProcess(words, code or 0, output.getvalue(), errors.getvalue())

    return call
