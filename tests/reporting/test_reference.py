"""The documentation's reference pages are what the plugins declare."""

from __future__ import annotations

from conftest import REPOSITORY

from qbench.registry.registry import default_registry
from qbench.reporting.reference import metrics_page


def test_the_page_of_metrics_is_up_to_date():
    """If not: ``qbench plugins reference metrics -o docs/metrics.md``."""
    assert (REPOSITORY / "docs" / "metrics.md").read_text(encoding="utf-8") == metrics_page(default_registry())


def test_every_metric_says_where_it_comes_from():
    page = metrics_page(default_registry())
    for name, cls in default_registry().metrics.items():
        assert f"## {name}\n" in page
        assert cls.reference or cls.scope == "rate" or name in ("mse", "psnr"), name


def test_the_command(qbench_command):
    done = qbench_command("plugins", "reference", "metrics")
    assert done.stdout.startswith("# Metrics")
    assert "accepted: metrics" in qbench_command("plugins", "reference", "nothing").stderr
