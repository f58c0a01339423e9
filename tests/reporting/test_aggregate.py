from __future__ import annotations

import math
import re
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
import toys
from hypothesis import given
from hypothesis import strategies as st

import qbench
from qbench.contracts.metric import Column, Direction
from qbench.errors import PluginError
from qbench.registry.catalogue import PluginInfo
from qbench.registry.hookspecs import hookimpl
from qbench.registry.registry import Registry, default_registry
from qbench.reporting.aggregate import (
    Group,
    best,
    best_of,
    comparable,
    fewer_images,
    format_value,
    group_rows,
    marked,
    pooling,
    pools,
    sort_groups,
    summarise,
)
from qbench.reporting.notation import FEWER_LEGEND
from qbench.results.run import Entry, Status

UP, DOWN = Column("a", Direction.HIGHER), Column("a", Direction.LOWER, digits=1)


def named(entries):
    return {f"image{index}": entry for index, entry in enumerate(entries)}


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=20))
def test_mean_and_deviation_are_numpys(values):
    summary = summarise(named(Entry(Status.OK, value) for value in values))
    assert summary.mean == pytest.approx(np.mean(values), abs=1e-6)
    assert summary.deviation == pytest.approx(np.std(values, ddof=1), abs=1e-3)


def test_what_has_no_value_does_not_count():
    entries = [Entry(Status.OK, 2.0), Entry(Status.FAILED), Entry(Status.NOT_APPLICABLE), Entry(Status.PENDING)]
    summary = summarise(named(entries))
    assert (summary.count, summary.mean, summary.deviation, summary.images) == (1, 2.0, None, ("image0",))
    assert summarise(named([Entry(Status.SKIPPED)])).mean is None


def test_an_infinite_value_makes_the_mean_infinite_and_the_deviation_undefined():
    summary = summarise(named([Entry(Status.OK, 2.0), Entry(Status.OK, math.inf)]))
    assert (summary.mean, summary.deviation, summary.infinite) == (math.inf, None, ("image1",))


def test_infinite_both_ways_has_no_mean():
    summary = summarise(named([Entry(Status.OK, math.inf), Entry(Status.OK, -math.inf)]))
    assert (summary.count, summary.mean, summary.deviation) == (2, None, None)
    assert summary.infinite == ("image0", "image1")
    same = summarise(named([Entry(Status.OK, -math.inf), Entry(Status.OK, -math.inf)]))
    assert (same.mean, same.infinite) == (-math.inf, ())


@given(st.lists(st.floats(), max_size=5))
def test_any_values_have_a_summary(values):
    summary = summarise(named(Entry(Status.OK, value) for value in values))
    finite = [value for value in values if math.isfinite(value)]
    if len(finite) == len(values) > 0:
        assert min(values) <= summary.mean <= max(values) or summary.mean == pytest.approx(max(values, key=abs))
    assert summary.count == len(values)


def test_the_best_is_in_the_columns_direction():
    assert best([1, None, 3, 2], UP) == 3
    assert best([1, None, 3, 2], DOWN) == 1
    assert best([None], UP) is None
    assert best([5, 5], UP) is None  # nothing to choose between
    assert best([1, math.inf], UP) == math.inf


def test_no_end_of_an_interval_is_better_than_another():
    assert best([1, 2], replace(UP, ranked=False)) is None


@pytest.mark.parametrize(("value", "text"), [(None, ""), (1.25, "1.2"), (math.inf, "∞"), (-math.inf, "-∞"), (0, "0.0")])
def test_values_as_text(value, text):
    assert format_value(value, DOWN) == text


def test_groups_count_what_has_no_value(hand_made):
    groups = {group.key: group for group in group_rows(hand_made, "codec")}
    jpeg, slow = groups["jpeg"], groups["slow"]
    assert (jpeg.cells, jpeg.without[Status.FAILED], jpeg.without[Status.NOT_APPLICABLE]) == (4, 1, 1)
    assert (slow.cells, slow.without[Status.FAILED], slow.without[Status.PENDING]) == (2, 1, 1)
    # No mean over unlike operating points: between which of them they lie.
    assert jpeg.summaries["bpp"].mean is None
    assert (jpeg.summaries["bpp"].low, jpeg.summaries["bpp"].high) == pytest.approx((0.5, (2.25 + 3.0) / 2))
    assert sort_groups(hand_made, group_rows(hand_made, "point"), "bpp")[0].key == "jpeg:quality=10"
    assert len(group_rows(hand_made, "image")) == 2


def test_pooling_is_the_psnr_of_all_pixels_and_total_bits_by_total_pixels(photos):
    done = qbench.run(
        {
            "images": [{"folder": str(photos)}],
            "codecs": {"jpeg": {"quality": [20, 90]}},
            "metrics": ["psnr", "mse", "bpp", "ssim"],
        },
        output="run",
        cache=False,
    )
    ways = pools(done, default_registry().metrics)
    assert set(ways) == {"psnr", "bpp"}
    plain = {group.key: group.summaries for group in group_rows(done, "point")}
    for group in group_rows(done, "point", ways):
        rows = [row for row in done.rows if row.point == group.key]
        sizes = np.array([done.plan.image(row.image).pixels for row in rows])
        error = np.sum([row.entries["mse"].value for row in rows] * sizes) / sizes.sum()
        bits = 8 * sum(row.cell.bitstream_size for row in rows)
        assert group.summaries["psnr"].mean == pytest.approx(10 * math.log10(255**2 / error))
        assert group.summaries["bpp"].mean == pytest.approx(bits / sizes.sum())
        assert group.summaries["ssim"] == plain[group.key]["ssim"]


def pooled_by(answer):
    """Return a registry whose PSNR pools so: a value to return, or an exception to raise."""

    class Pooled(toys.Difference):
        name = "psnr"
        columns = (Column("psnr", Direction.HIGHER),)
        pooling = "as it likes"

        @classmethod
        def pool(cls, column, values, pixels):
            if isinstance(answer, Exception):
                raise answer
            return answer

    made = Registry()
    plugin = ModuleType("pooling")
    plugin.qbench_register_metrics = hookimpl(lambda register: register(Pooled))
    assert made.register(plugin, PluginInfo("pooling", "p", "1")).ok
    return made


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (ZeroDivisionError("no pixels"), "psnr, plugin pooling (p 1): pool failed:\nTraceback"),
        (math.nan, "pool failed:\nreturned nan for psnr; accepted: a number, or None"),
        ("12", "returned '12'"),
        (True, "returned True"),
    ],
)
def test_a_broken_pool_is_named(hand_made, answer, message):
    with pytest.raises(PluginError, match=re.escape(message)):
        group_rows(hand_made, "point", pools(hand_made, pooled_by(answer).metrics))


def test_where_a_metric_does_not_pool_there_is_the_mean_and_nothing_is_called_pooled(hand_made):
    groups = group_rows(hand_made, "point", pools(hand_made, pooled_by(None).metrics))
    assert groups == group_rows(hand_made, "point")
    assert pooling(groups) == ""
    groups = group_rows(hand_made, "point", pools(hand_made, pooled_by(np.float32(7)).metrics))
    assert groups[0].summaries["psnr"].mean == 7
    assert pooling(groups) == "psnr: as it likes"


def test_means_over_other_images_are_compared_with_none(hand_made):
    groups = group_rows(hand_made, "point")
    assert comparable(groups, "bpp") == {"jpeg:quality=90"}
    assert best_of(groups, "bpp", hand_made.columns["bpp"]) is None  # nothing to compare it with
    assert fewer_images(hand_made, groups, "point") == [
        FEWER_LEGEND,
        "over 1 of 2 images (without <script>|x): jpeg:quality=10: bpp; jpeg:quality=90: psnr",
    ]
    assert comparable(group_rows(hand_made, "codec"), "bpp") == set()
    by_image = group_rows(hand_made, "image")
    assert fewer_images(hand_made, by_image, "image") == []
    assert all(marked(by_image, name, "image") == set() for name in hand_made.columns)


def test_a_mean_that_one_lossless_image_makes_infinite_is_not_the_best():
    some = Group(
        "some", 2, 0, 0, 1, {}, {"psnr": summarise({"a": Entry(Status.OK, math.inf), "b": Entry(Status.OK, 30.0)})}
    )
    finite = [
        Group(key, 2, 0, 0, 1, {}, {"psnr": summarise({"a": Entry(Status.OK, value), "b": Entry(Status.OK, value)})})
        for key, value in (("one", 30.0), ("other", 40.0))
    ]
    assert some.summaries["psnr"].infinite == ("a",)
    assert best_of([some, *finite], "psnr", UP) == 40
    both = Group(
        "all", 2, 0, 0, 1, {}, {"psnr": summarise({"a": Entry(Status.OK, math.inf), "b": Entry(Status.OK, math.inf)})}
    )
    assert best_of([both, *finite], "psnr", UP) == math.inf


def test_a_codec_of_one_operating_point_has_a_mean_and_no_star(photos):
    codecs = {"jpeg": {"quality": [20, 90]}, "png": None}
    done = qbench.run({"images": [{"folder": str(photos)}], "codecs": codecs, "metrics": ["bpp"]}, output="run")
    jpeg, png = group_rows(done, "codec")
    assert png.summaries["bpp"].mean == pytest.approx(np.mean([row.rate for row in done.rows if row.codec == "png"]))
    means = [np.mean([row.rate for row in done.rows if row.point == f"jpeg:quality={each}"]) for each in (20, 90)]
    assert [jpeg.summaries["bpp"].low, jpeg.summaries["bpp"].high] == pytest.approx(means)
    assert best_of([jpeg, png], "bpp", done.columns["bpp"]) is None
    assert [group.key for group in sort_groups(done, [png, jpeg], "bpp")] == ["jpeg", "png"]
