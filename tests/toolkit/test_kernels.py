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


@pytest.mark.parametrize(
    ("suffix", "damage"),
    [
        (".nbi", b""),
        (".nbc", b"rubbish"),
        pytest.param(".nbi", b"rubbish", marks=pytest.mark.slow),
        pytest.param(".nbc", b"", marks=pytest.mark.slow),
    ],
)
def test_damaged_machine_code_is_made_anew(run, tmp_path, suffix, damage):
    code = "import mine; print(mine.ratio(6.0, 3.0))"
    assert run(code) == "2.0"
    for path in (tmp_path / "__pycache__").glob(f"mine.ratio*{suffix}"):
        path.write_bytes(damage)
    assert run(code) == "2.0"
    assert run(code + "; print(*mine.ratio.stats.cache_hits.values())").split() == ["2.0", "1"]


def test_a_kernel_may_not_use_what_stands_in_another_file(run, tmp_path):
    (tmp_path / "other.py").write_text("GAIN = 2.0\n")
    (tmp_path / "foreign.py").write_text(
        "from qbench.toolkit.kernels import kernel\nfrom other import GAIN\n\n"
        "@kernel\ndef louder(a):\n    return a * GAIN\n"
    )
    found = run("""
        try:
            import foreign
        except TypeError as error:
            print(error)
    """)
    assert found == ("kernel louder uses GAIN of another module; define what a kernel uses in its own file")


def test_values_are_the_same_without_compiling(run):
    code = """
        import numpy as np
        from qbench.plugin import Candidates, Context, Image, Reference
        from qbench.registry.registry import default_registry
        rng = np.random.default_rng(0)
        x = rng.integers(0, 256, (41, 47, 3)).astype(np.uint8)
        y = np.clip(x.astype(int) + rng.integers(-20, 20, x.shape), 0, 255).astype(np.uint8)
        for name in ("ssim", "ssim-uniform", "ciede2000", "png-size-ratio", "vifp", "brisque"):
            cls = default_registry().metrics[name]
            metric, reference = cls(cls.Parameters(), Context()), Reference("a", Image(x))
            print(metric.score(Candidates(reference, [Image(y)], [1]), metric.prepare(reference)))
    """
    assert run(code) == run(code, NUMBA_DISABLE_JIT="1")


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
