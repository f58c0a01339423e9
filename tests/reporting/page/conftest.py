from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import qbench
from qbench.api.explaining import original
from qbench.reporting.page.writing import write_page


@pytest.fixture
def small_run(photos):
    """A run with curves, images, an artifact-free codec and one that fails on an image."""
    suite = {
        "name": "small",
        "description": "Three small images.",
        "images": [{"folder": str(photos)}],
        "codecs": {"jpeg": {"quality": [10, 30, 60, 90]}, "webp": {"quality": [10, 30, 60, 90]}},
        "metrics": ["bpp", "psnr", "mse"],
    }
    return qbench.run(suite, output="run")


def content_of(path: Path) -> list[dict]:
    """Read the content that is in a report."""
    found = re.search(
        r'<script type="application/json" id="content">(.*?)</script>', path.read_text("utf-8"), re.DOTALL
    )
    assert found
    return json.loads(found[1])


def written(*runs, path="report.html", **options):
    options.setdefault("explanations", [{} for _ in runs])
    write_page(Path(path), runs, options.pop("originals", original), **options)
    return Path(path)
