"""A run as rows and columns."""

from __future__ import annotations

import pytest

import qbench
from qbench.registry.registry import default_registry
from qbench.reporting.aggregate import group_rows, pools
from qbench.results.run import Status


@pytest.fixture
def rated(suite, registry):
    suite["metrics"] = ["difference"]
    suite["codecs"] = {"shift": {"bits": [2, 4], "fail_on": 51}}
    return qbench.run(suite, registry=registry, output="run", cache=False)


def test_the_rate_is_a_column_of_every_run_asked_for_or_not(rated):
    assert list(rated.columns) == ["bpp", "difference"] == list(rated.cell_columns)
    assert rated.rate_column == "bpp"
    for row, record in zip(rated.rows, rated.records(), strict=True):
        assert record["width"] * record["height"] == rated.plan.image(row.image).pixels
        if row.image == "p1":
            assert row.entries["bpp"].status is Status.SKIPPED
        else:
            bits = 8 * row.cell.bitstream_size
            assert record["bpp"] == row.entries["bpp"].value == row.rate == bits / rated.plan.image(row.image).pixels
            assert record["bitstream_bytes"] * 8 == bits


def test_pooled_the_rate_is_of_all_bits_and_pixels(rated):
    for group in group_rows(rated, "point", pools(rated, default_registry().metrics)):
        summary = group.summaries["bpp"]
        assert summary.pooling == "total bits by total pixels"
        assert summary.mean == pytest.approx(8 * group.size / group.pixels)


def test_a_metrics_own_rate_stands_first_and_is_not_doubled(suite, registry):
    suite["metrics"] = ["difference", {"rate": {"metric": "bpp"}}]
    made = qbench.run(suite, registry=registry, output="run", cache=False)
    assert list(made.columns) == ["rate", "difference"]


def test_a_metric_that_takes_the_name_is_no_rate(suite, registry):
    suite["metrics"] = [{"bpp": {"metric": "difference"}}]
    made = qbench.run(suite, registry=registry, output="run", cache=False)
    assert made.rate_column not in ("bpp", "bpp.difference")
    assert [made.columns[name].unit for name in made.columns] == ["bit/pixel", ""]
