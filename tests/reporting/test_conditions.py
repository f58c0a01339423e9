"""Guards: what they hold against two runs, with cells that fail, vanish, or are lossless no longer."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from conftest import sample_pixels
from PIL import Image

import qbench
from qbench.errors import QbenchError
from qbench.reporting.comparison import compare
from qbench.reporting.conditions import comparison_json, judge, judgements_junit, parse_condition
from qbench.results.run import Run

ALL = ("p0", "p1", "p2")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("guarded") / "photos"
    folder.mkdir()
    for index, (width, height) in enumerate([(24, 18), (20, 17), (30, 20)]):
        Image.fromarray(sample_pixels(width, height, index)).save(folder / f"p{index}.png")
    return folder


def guarded(pictures):
    """Lossless at bits=0, lossy at the others."""
    return {
        "name": "guarded",
        "images": [{"folder": str(pictures)}],
        "codecs": {"shift": {"bits": [0, 2, 3, 4, 5]}, "noisy": None},
        "metrics": ["bpp", "psnr", "ssim"],
    }


@pytest.fixture
def base(pictures):
    return guarded(pictures)


@pytest.fixture(scope="module")
def first(pictures, registry, tmp_path_factory):
    """A run that no test changes."""
    suite = {**guarded(pictures), "name": "first"}
    return qbench.run(suite, output=tmp_path_factory.mktemp("runs") / "first", registry=registry, cache=False)


def run(base, registry, name, **changes):
    return qbench.run({**base, "name": name, **changes}, registry=registry, output=name, cache=False)


def changed(found: Run, **cells) -> Run:
    """Return a run whose records of some cells are others."""
    from qbench.results.state import RunState
    from qbench.store.folder import RunFolder
    from qbench.store.journal import read_journal

    records = list(read_journal(RunFolder(found.path).journal_path).records)
    made = [cells["change"](record) for record in records]
    return Run(found.path, RunState([record for record in made if record is not None]))


def judged(text, first, second, *metrics):
    return judge(parse_condition(text, first, second), compare(first, second, metrics))


def fail(images, point):
    def change(record):
        if record.kind == "cell" and record.image in images and record.point == point:
            return record.model_copy(update={"outcome": "failed", "reason": "broke", "bitstream_size": None})
        return record

    return change


def test_the_same_run_violates_nothing(first):
    for text in ("psnr < -0.05", "bpp > 1%", "bd-rate > 1%", "shift: bd-rate(ssim) > 1%", "encode-time > 10000%"):
        found = judged(text, first, first, *(["ssim"] if "ssim" in text else []))
        assert not found.violations
        unjudged = [line for line in found.unjudged if "noisy" not in line]  # which has one operating point
        assert not unjudged


def test_what_fails_is_a_violation_unless_that_is_allowed(first):
    everywhere = changed(first, change=fail(ALL, "shift:bits=3"))
    found = judged("psnr < -0.05", first, everywhere)
    assert found.unjudged == ("shift:bits=3, image p0, p1, p2, psnr: skipped in the second: the cell is failed: broke",)
    assert not found.violations
    assert found.failed(allow_missing=False)
    assert not found.failed(allow_missing=True)
    one = judged("psnr < -0.05", first, changed(first, change=fail(["p1"], "shift:bits=3")))
    assert one.unjudged == ("shift:bits=3, image p1, psnr: skipped in the second: the cell is failed: broke",)
    # What failed before and does no longer is no violation; what fails in both can't be judged.
    assert not judged("psnr < -0.05", everywhere, first).failed(allow_missing=False)
    assert judged("psnr < -0.05", everywhere, everywhere).unjudged == (
        "shift:bits=3, image p0, p1, p2, psnr: skipped in both: the cell is failed: broke",
    )
    rates = judged("shift: bd-rate > 1%", first, changed(first, change=fail(["p1"], "shift:bits=3")))
    assert any("image p1" in line for line in rates.unjudged)


def test_codecs_and_images_that_are_gone(base, registry, pictures, first):
    without = run({**base, "codecs": {"shift": {"bits": [0, 2, 3, 4, 5]}}}, registry, "without")
    assert judged("psnr < -0.05", first, without).unjudged == ("noisy: not in without",)
    assert not judged("shift: psnr < -0.05", first, without).unjudged
    assert not judged("psnr < -0.05", without, first).failed(allow_missing=False)  # a new one is none's loss
    fewer = run({**base, "images": [{"folder": str(pictures), "limit": 2}]}, registry, "fewer")
    assert judged("psnr < -0.05", first, fewer).unjudged == ("image p2: not in fewer, or of other pixels there",)


def test_lossless_that_became_lossy(first):

    def lossy(record):
        if (
            record.kind == "score"
            and record.metric == "psnr"
            and record.point == "shift:bits=0"
            and record.image == "p1"
        ):
            return record.model_copy(update={"values": {"psnr": 70.0}})
        return record

    second = changed(first, change=lossy)
    found = judged("psnr < -0.05", first, second)
    assert found.violations == ("shift:bits=0: psnr -inf (p1)",)
    assert not judged("psnr < -0.05", second, first).violations
    (difference,) = [each for each in compare(first, second).differences if each.worsened]
    assert (difference.certain, difference.change, difference.images) == (True, -math.inf, 0)
    assert (difference.first, difference.second) == (math.inf, 70.0)
    assert compare(first, second).differences[0] == difference  # the first to be told


def test_times_and_codecs_by_name(first):

    def slower(record):
        if record.kind == "cell" and record.point.startswith("shift"):
            timing = record.timing
            encode = timing.encode.model_copy(update={"seconds": 2 * timing.encode.seconds})
            return record.model_copy(update={"timing": timing.model_copy(update={"encode": encode})})
        return record

    second = changed(first, change=slower)
    found = judged("encode-time > 10%", first, second)
    assert len(found.violations) == 5
    assert found.violations[0].startswith("shift:bits=0: encode-time +100 %")
    assert not judged("noisy: encode-time > 10%", first, second).violations
    assert not judged("decode-time > 10%", first, second).violations


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bd-rate", "`bd-rate` is not a valid condition; accepted: `bd-rate > 1%`"),
        ("psnr = 3", "is not a valid condition"),
        ("pnsr > 3", "no column `pnsr`; did you mean `psnr`"),
        ("psnr > much", "is not a valid condition"),
        ("shfit: psnr > 3", "no codec `shfit`; did you mean `shift`"),
        ("psnr(ssim) > 3", "only bd-rate is of a metric"),
    ],
)
def test_bad_conditions(first, text, message):
    with pytest.raises(QbenchError, match=message):
        parse_condition(text, first, first)


def test_results_for_other_programs(first):
    second = changed(first, change=fail(ALL, "shift:bits=3"))
    comparison = compare(first, second)
    judgements = [judge(parse_condition(text, first, second), comparison) for text in ("psnr < -1", "bpp > 1%")]
    content = json.loads(comparison_json(comparison, judgements, allow_missing=False), parse_constant=pytest.fail)
    assert [each["failed"] for each in content["conditions"]] == [True, True]
    assert content["unjudged"][0]["images"] == list(ALL)
    assert not any(
        each["failed"] for each in json.loads(comparison_json(comparison, judgements, allow_missing=True))["conditions"]
    )
    suite = ElementTree.fromstring(judgements_junit(comparison, judgements, allow_missing=False))
    assert (suite.get("tests"), suite.get("failures")) == ("2", "2")
    assert "can't be judged" in suite.find("testcase/failure").text
    odd = replace(judgements[0].condition, text='<a & "b">')
    made = judgements_junit(comparison, [replace(judgements[0], condition=odd)], allow_missing=True)
    assert ElementTree.fromstring(made).find("testcase").get("name") == '<a & "b">'
    other = replace(comparison, changed=("shift: bits 1 → 2",))
    made = ElementTree.fromstring(judgements_junit(other, judgements, allow_missing=True))
    assert made.find("system-out").text == "changed: shift: bits 1 → 2"


def test_a_condition_changes_no_other(first):

    def worse(record):
        if record.kind == "score" and record.metric == "psnr" and "psnr" in record.values:
            return record.model_copy(update={"values": {"psnr": record.values["psnr"] - 2}})
        return record

    second = changed(first, change=worse)
    conditions = [parse_condition(text, first, second) for text in ("shift: bd-rate > 1%", "shift: bd-rate(ssim) > 1%")]
    assert [each.metric for each in conditions] == ["psnr", "ssim"]
    comparison = compare(first, second, ["psnr", "ssim"])
    assert [bool(judge(each, comparison).violations) for each in conditions] == [True, False]


def test_times_of_what_failed_can_not_be_judged(base, registry, first):
    second = changed(first, change=fail(["p1"], "shift:bits=3"))
    found = judged("encode-time > 1000%", first, second)
    assert any("shift:bits=3, image p1, encode-time" in line for line in found.unjudged)
    without = run({**base, "codecs": {"shift": {"bits": [0, 2, 3, 4, 5]}}}, registry, "without")
    assert "noisy: not in without" in judged("decode-time > 1000%", first, without).unjudged


def test_a_column_that_is_gone(base, registry, first):
    second = run({**base, "metrics": ["bpp", "ssim"]}, registry, "second")
    for text in ("psnr < -1", "shift: bd-rate > 1%"):
        found = judged(text, first, second, "ssim")
        assert "psnr: no such column in second" in found.unjudged
        assert found.failed(allow_missing=False)


def test_lossless_points_that_are_in_one_curve_only(first):

    def lossy(record):
        if record.kind == "score" and record.metric == "psnr" and record.point == "shift:bits=0":
            return record.model_copy(update={"values": {"psnr": 70.0}})
        return record

    second = changed(first, change=lossy)
    found = judged("shift: bd-rate > 1%", first, second)
    assert any("shift:bits=0 has finite values in one of the runs only" in line for line in found.unjudged)
    (rate,) = [rate for _, rate in compare(first, first).rates if rate.codec == "shift"]
    assert "without shift:bits=0 (no finite value)" in rate.note


def test_codecs_of_few_points_are_not_meant_unless_named(first):
    assert not judged("bd-rate(ssim) > 1%", first, first, "ssim").failed(allow_missing=False)
    assert judged("noisy: bd-rate(ssim) > 1%", first, first, "ssim").failed(allow_missing=False)


def test_distribution_metrics_are_guarded(base, registry, pictures):
    base["metrics"] = ["bpp", "mean-shift"]
    first = run(base, registry, "first")

    def shifted(record):
        if record.kind == "score" and record.metric == "mean-shift" and record.values:
            return record.model_copy(update={"values": {"mean-shift": record.values["mean-shift"] + 20}})
        return record

    second = changed(first, change=shifted)
    assert len(judged("mean-shift > 1", first, second).violations) == 6
    assert not judged("mean-shift > 1", first, first).failed(allow_missing=False)
    fewer = run({**base, "images": [{"folder": str(pictures), "limit": 2}]}, registry, "fewer")
    found = judged("mean-shift > 1", fewer, first)
    assert any("it is over other images" in line for line in found.unjudged)


def test_another_codec_under_one_label_is_said(base, registry):
    first = run({**base, "codecs": {"mine": {"codec": "shift"}}}, registry, "first")
    second = run({**base, "codecs": {"mine": {"codec": "fragile"}}}, registry, "second")
    assert "mine: codec shift → fragile" in compare(first, second).changed


def test_control_characters_are_no_xml(first):
    condition = parse_condition("psnr < -1", first, first)
    comparison = compare(first, first)
    odd = [replace(judge(condition, comparison), violations=("\x1b[31mred\x00",))]
    made = judgements_junit(comparison, odd, allow_missing=False)
    assert "red" in ElementTree.fromstring(made).find("testcase/failure").text


def revalued(metric, value, images=ALL, point="shift:bits=3"):
    """Change what ``changed`` is given: a metric's value of some images at a point."""

    def change(record):
        if record.kind == "score" and (record.metric, record.point) == (metric, point) and record.image in images:
            return record.model_copy(update={"values": {metric: value}})
        return record

    return change


def test_an_image_that_a_bd_rate_is_not_over_cannot_be_judged(first):
    lossless = changed(first, change=revalued("psnr", math.inf, ["p1"]))
    for pair in ((lossless, first), (first, lossless), (lossless, lossless)):
        found = judged("shift: bd-rate(psnr) > 1%", *pair)
        assert any("psnr of image p1 is not finite at every point in both runs" in line for line in found.unjudged)
        assert found.failed(allow_missing=False)
        assert any("over 2 of 3 images (without p1)" in line for line in found.notes)


def test_what_is_lossless_in_both_is_no_difference(first):
    lossless = changed(first, change=revalued("psnr", math.inf))
    found = judged("psnr < -0.05", lossless, lossless)
    assert not found.unjudged
    assert not found.violations


def test_what_failed_everywhere_and_is_mended_has_lost_nothing(first):
    def broken(record):
        for point in first.plan.points:
            record = fail(ALL, point.id)(record)
        return record

    assert not judged("psnr < -0.05", changed(first, change=broken), first).failed(allow_missing=False)


def test_times_of_other_conditions_cannot_be_judged(first):
    def elsewhere(record):
        if record.kind == "cell" and record.timing is not None:
            return record.model_copy(update={"timing": record.timing.model_copy(update={"threads": 64})})
        return record

    found = judged("encode-time > 1000%", first, changed(first, change=elsewhere))
    assert any("times under other conditions (threads:" in line for line in found.unjudged)
    assert not judged("encode-time > 1000%", first, first).unjudged


def test_of_nothing_anything_is_infinitely_more(first):
    found = judged("psnr > 5%", changed(first, change=revalued("psnr", 0.0)), first)
    assert found.violations == ("shift:bits=3: psnr +inf %",)
