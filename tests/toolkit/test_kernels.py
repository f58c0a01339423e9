"""Kernels keep the order of arithmetic, compile where nothing can be kept, and are kept where it can."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

SOURCE = """
import numpy as np
from qbench.toolkit.kernels import kernel

@kernel
def mixed(a, b, c):
    out = np.empty(a.size, a.dtype)
    for i in range(a.size):
        out[i] = a[i] * b[i] + c[i]
    return out

@kernel
def ratio(a, b):
    return a / b
"""


@pytest.fixture
def run(tmp_path):
    (tmp_path / "mine.py").write_text(SOURCE)

    def call(code, **environment):
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONPATH": str(tmp_path), **environment},
        )
        return done.stdout.strip()

    return call


def test_products_are_rounded_before_they_are_added(run):
    found = run("""
        import numpy as np, mine
        a, b = (np.random.default_rng(n).random(1000).astype(np.float32) for n in (0, 1))
        c = -(a * b)
        print(np.abs(mine.mixed(a, b, c)).max())
        print(mine.ratio(1.0, 0.0))
    """)
    assert found.split() == ["0.0", "inf"]


def test_machine_code_is_kept_for_the_next_process(run, tmp_path):
    code = "import mine; print(mine.ratio(6.0, 3.0), *mine.ratio.stats.cache_hits.values())"
    assert run(code) == "2.0"
    assert run(code) == "2.0 1"
    assert list((tmp_path / "__pycache__").glob("mine.ratio*.nbi"))


def test_where_nothing_can_be_kept_each_process_compiles_for_itself(run, monkeypatch):
    found = run("""
        import numba.core.caching as caching

        class Nowhere(caching.FunctionCache):
            def __init__(self, function):
                raise RuntimeError("cannot cache function: no locator available")

        import numba.core.dispatcher as dispatcher
        dispatcher.FunctionCache = Nowhere
        import mine
        print(mine.ratio(6.0, 3.0))
    """)
    assert found == "2.0"


def test_numba_is_not_loaded_to_list_metrics(run):
    found = run("""
        import sys
        from qbench.registry.registry import default_registry
        assert "ssim" in default_registry().metrics
        default_registry().metrics["ssim"]
        print("numba" in sys.modules, "cv2" in sys.modules, "torch" in sys.modules)
    """)
    assert found == "False False False"


def test_threads_may_call_them_at_once():
    from concurrent.futures import ThreadPoolExecutor

    from qbench_fidelity.similarity import dissimilarity, prepare

    planes = [np.random.default_rng(n).integers(0, 256, (64, 80)).astype(np.uint8) for n in range(6)]
    alone = [dissimilarity(prepare(planes[0]), plane) for plane in planes]
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(lambda plane: dissimilarity(prepare(planes[0]), plane), planes)) == alone
