from __future__ import annotations

import pytest

import qbench


@pytest.fixture
def small_run(photos):
    """A run of two codecs over three images."""
    suite = {
        "name": "small",
        "images": [{"folder": str(photos)}],
        "codecs": {"jpeg": {"quality": [20, 50, 80]}, "webp": {"quality": [30, 60]}},
        "metrics": ["bpp", "psnr", "mse"],
    }
    return qbench.run(suite, output="run")
