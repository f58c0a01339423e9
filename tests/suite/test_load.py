from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from qbench.errors import SuiteError
from qbench.suite.load import load_suite

GOOD = """\
name: good
images: [{dataset: samples}]
codecs:
  jpeg:
    quality: [10, 50]
    subsampling: ["4:2:0", "4:4:4"]
  best: {codec: jpeg, quality: 95}
  png:
metrics:
  - psnr
  - plain: {metric: ssim}
"""


def load(text, registry, **options):
    path = Path("s.yaml")
    path.write_text(text)
    return load_suite(path, registry, **options)


def problems(text, registry, **options):
    with pytest.raises(SuiteError) as caught:
        load(text, registry, **options)
    return [str(problem) for problem in caught.value.problems]


def change(**changes):
    return yaml.safe_dump({**yaml.safe_load(GOOD), **changes}, sort_keys=False)


def test_lists_expand_to_operating_points_in_written_order(registry):
    suite = load(GOOD, registry)
    assert [point.id for point in suite.points] == [
        "jpeg:quality=10,subsampling=4:2:0",
        "jpeg:quality=10,subsampling=4:4:4",
        "jpeg:quality=50,subsampling=4:2:0",
        "jpeg:quality=50,subsampling=4:4:4",
        "best",
        "png",
    ]
    assert suite.points[4].codec == "jpeg"
    assert suite.points[4].parameters == {
        "quality": 95,
        "subsampling": "4:2:0",
        "progressive": False,
        "optimize": False,
    }


def test_metrics_are_a_list_or_a_mapping(registry):
    listed = load(GOOD, registry).metrics
    mapped = load(change(metrics={"psnr": None, "plain": {"metric": "ssim"}}), registry).metrics
    assert [(metric.label, metric.metric) for metric in listed] == [("psnr", "psnr"), ("plain", "ssim")]
    assert listed == mapped


def test_the_name_is_the_files_unless_given(registry):
    assert load(GOOD, registry).name == "good"
    assert load(GOOD.replace("name: good\n", ""), registry).name == "s"


def test_a_mapping_is_as_good_as_a_file(registry):
    assert load_suite(yaml.safe_load(GOOD), registry).points == load(GOOD, registry).points


def test_overrides_replace_add_and_remove(registry):
    suite = load(
        GOOD,
        registry,
        overrides=["codecs.jpeg.quality=[5]", "codecs.best.progressive=true", "codecs.png=", "metrics=[bpp]", "seed=9"],
    )
    assert [point.id for point in suite.points] == [
        "jpeg:quality=5,subsampling=4:2:0",
        "jpeg:quality=5,subsampling=4:4:4",
        "best",
    ]
    assert suite.points[2].parameters["progressive"] is True
    assert [metric.label for metric in suite.metrics] == ["bpp"]
    assert suite.settings.seed == 9
    assert suite.overrides[0] == "codecs.jpeg.quality=[5]"


def test_metrics_can_be_overridden_in_every_form(registry):
    listed = load(GOOD, registry, overrides=["metrics=[bpp, {mine: {metric: ssim}}]"]).metrics
    assert [(metric.label, metric.metric) for metric in listed] == [("bpp", "bpp"), ("mine", "ssim")]
    assert [metric.label for metric in load(GOOD, registry, overrides=["metrics.plain="]).metrics] == ["psnr"]
    added = load(GOOD, registry, overrides=["metrics.other.metric=mse"]).metrics
    assert [(metric.label, metric.metric) for metric in added][-1] == ("other", "mse")


def test_a_profile_changes_its_parts_only(registry):
    text = change(profiles={"quick": {"codecs": {"jpeg": {"quality": 30}, "png": None}, "metrics": ["bpp"]}})
    assert len(load(text, registry).points) == 6
    quick = load(text, registry, profile="quick")
    assert [point.id for point in quick.points] == ["jpeg:subsampling=4:2:0", "jpeg:subsampling=4:4:4", "best"]
    assert quick.points[0].parameters["quality"] == 30
    assert quick.settings.profile == "quick"
    by_override = load(text, registry, overrides=["profile=quick"])
    assert by_override.points == quick.points


def test_a_profile_is_overridden_by_set(registry):
    text = change(profiles={"quick": {"codecs": {"jpeg": {"quality": 30}}}})
    suite = load(text, registry, profile="quick", overrides=["codecs.jpeg.quality=31"])
    assert suite.points[0].parameters["quality"] == 31


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"codecs": {"jpeg": {"quality": 101}}},
            "101 is not accepted; accepted: integer from 1 to 100 (default 75)",
        ),
        ({"codecs": {"jpeg": {"quality": "50"}}}, "'50' is not accepted; accepted: integer from 1 to 100"),
        ({"codecs": {"jpeg": {"quality": 50.5}}}, "50.5 is not accepted"),
        ({"codecs": {"jpeg": {"quality": True}}}, "True is not accepted"),
        ({"codecs": {"jpeg": {"progressive": 1}}}, "1 is not accepted; accepted: true or false"),
        ({"codecs": {"jpeg": {"quality": [10, 10]}}}, "codecs.jpeg.quality[1]: 10 is duplicated"),
        ({"codecs": {"jpeg": {"quality": []}}}, "the list is empty: it gives no operating point"),
        ({"codecs": {"jpeg": {"qualtiy": 5}}}, "unknown key `qualtiy`; did you mean `quality`?"),
        ({"codecs": {"jpg": {}}}, "unknown codec `jpg`; did you mean `jpeg`?"),
        ({"codecs": {"x": {"codec": "jpge"}}}, "unknown codec `jpge`; did you mean `jpeg`?"),
        ({"codecs": {"jpeg": 5}}, "write settings as a mapping"),
        ({"codecs": {}}, "`codecs` is missing or empty"),
        ({"codecs": ["jpeg"]}, "`codecs` is a mapping"),
        ({"codecs": {"a b": {"codec": "jpeg"}}}, "a label has letters, digits"),
        ({"metrics": []}, "`metrics` is missing or empty"),
        ({"metrics": ["pnsr"]}, "unknown metric `pnsr`; did you mean `psnr`?"),
        ({"metrics": ["psnr", "psnr"]}, "duplicate metric `psnr`; first defined at"),
        ({"metrics": [5]}, "write a metric's name"),
        ({"metrics": [{"ssim": {"window": 3}}]}, "unknown key `window` (accepted: none)"),
        ({"images": []}, "`images` is missing or empty"),
        ({"images": [{"dataset": "sample"}]}, "unknown dataset `sample`; did you mean `samples`?"),
        ({"images": [{"dataset": "samples", "folder": "x"}]}, "give exactly one of dataset, folder, glob, files"),
        ({"images": [{"limit": 3}]}, "give exactly one of"),
        ({"images": [{"folder": 3}]}, "3 is not accepted; accepted: text"),
        ({"images": [{"files": []}]}, "[] is not accepted"),
        ({"images": ["photos"]}, "write one of dataset, folder, glob, files"),
        ({"seed": -1}, "-1 is not accepted"),
        ({"timing": {"repeats": 0}}, "timing.repeats: 0 is not accepted"),
        ({"keep": {"bitstream": False}}, "unknown key `bitstream`; did you mean `bitstreams`?"),
        ({"profile": "hubb"}, "unknown profile `hubb`; did you mean `hub`?"),
        ({"profiles": ["hub"]}, "profiles is a mapping"),
        ({"metric": ["psnr"]}, "unknown key `metric`; did you mean `metrics`?"),
        ({"codecs": {"jpeg": {"quality": {"from": 1}}}}, "is not accepted"),
    ],
)
def test_what_is_wrong_is_said(changes, expected, registry):
    found = problems(change(**changes), registry)
    assert any(expected in problem for problem in found), found
    assert all(problem.startswith("s.yaml:") for problem in found)


def test_every_problem_is_found_and_placed_in_file_order(registry):
    text = GOOD.replace("quality: [10, 50]", "quality: [10, 500]").replace("png:", "pgn:").replace("psnr", "pnsr")
    found = problems(text, registry)
    assert [problem.split(": ")[0] for problem in found] == ["s.yaml:5:19", "s.yaml:8:3", "s.yaml:10:5"]


def test_a_problem_in_a_listed_metric_is_placed_at_it(registry):
    found = problems(GOOD.replace("{metric: ssim}", "{metric: ssim, window: 3}"), registry)
    assert found == ["s.yaml:11:27: metrics.plain.window: unknown key `window` (accepted: none)"]


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("codecs.jpeg.quality", "write path=value"),
        ("=5", "write path=value"),
        ("codecs.jpeg.quality=[5", "not valid YAML"),
        ("codecs.jpeg.qualty=5", "did you mean `quality`?"),
        ("codecs.jpeg.quality=500", "500 is not accepted"),
        ("name.deep=5", "nothing can be set below `name`"),
    ],
)
def test_a_wrong_override_is_placed_at_the_override(override, expected, registry):
    found = problems(GOOD, registry, overrides=[override])
    assert any(problem.startswith(f"--set {override}") and expected in problem for problem in found), found


def test_a_wrong_profile_or_seed_is_placed_at_its_option(registry):
    assert problems(GOOD, registry, profile="hubb")[0].startswith("--profile: profile: unknown profile `hubb`")
    assert problems(GOOD, registry, seed=-4)[0].startswith("--seed: seed: -4 is not accepted")


def test_unreadable_files_are_named(registry):
    with pytest.raises(SuiteError, match=r"nope\.yaml: can't read the suite: No such file"):
        load_suite("nope.yaml", registry)
    Path("binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SuiteError, match="not UTF-8 text"):
        load_suite("binary.yaml", registry)
    assert problems("just text", registry) == ["s.yaml:1:1: a suite is a mapping with `images`, `codecs` and `metrics`"]


def test_too_many_operating_points_are_refused_before_they_are_made(registry):
    text = change(codecs={"shift": {"fail_on": list(range(200)), "seconds": [float(n) for n in range(200)]}})
    assert "at most 10000 are accepted" in problems(text, registry)[0]


def test_duplicate_labels_are_refused_with_both_places(registry):
    text = GOOD.replace("  best: {codec: jpeg, quality: 95}", "  jpeg: {quality: 95}")
    assert problems(text, registry) == ["s.yaml:7:3: codecs.jpeg: duplicate key; first defined at s.yaml:4:3"]


def test_yaml_anchors_can_be_used(registry):
    text = GOOD.replace("jpeg:\n", "jpeg: &base\n", 1).replace("{codec: jpeg, quality: 95}", "{<<: *base, codec: jpeg}")
    assert len(load(text, registry).points) == 9


def test_files_are_relative_to_the_suite_and_nothing_else(tmp_path, registry, monkeypatch):
    (tmp_path / "deep").mkdir()
    weights = tmp_path / "deep" / "mine.safetensors"
    weights.write_bytes(b"x")
    suite = tmp_path / "deep" / "s.yaml"
    suite.write_text(
        "images: {dataset: samples}\n"
        "codecs: {autoencoder: {model: mine.safetensors, quality: [1, 2]}}\nmetrics: [bpp]\n"
    )
    points = load_suite(suite, registry).points
    assert [point.files for point in points] == [{"model": str(weights)}] * 2
    assert [point.parameters["model"] for point in points] == ["mine.safetensors"] * 2
    weights.rename(tmp_path / "mine.safetensors")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        SuiteError, match=r"s\.yaml:2:.*codecs\.autoencoder\.model: mine\.safetensors: not in .*deep; paths"
    ):
        load_suite(suite, registry)


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ("{psnr: .inf}", "inf is not accepted; accepted: a finite number"),
        ("{psnr: .nan}", "nan is not accepted; accepted: a finite number"),
        ("{bpp: []}", "the list is empty: it gives no operating point"),
        ("{bpp: [0.5, 0.5]}", "0.5 is duplicated"),
    ],
)
def test_targets_that_can_not_be_reached_by_anything(registry, tmp_path, target, problem):
    suite = tmp_path / "s.yaml"
    suite.write_text(f"images: {{dataset: samples}}\ncodecs: {{jpeg: {{target: {target}}}}}\nmetrics: [bpp, psnr]\n")
    with pytest.raises(SuiteError, match=problem):
        load_suite(suite, registry)


def test_a_suite_of_python_values(registry, tmp_path):
    suite = {
        "name": "1e3",
        "images": {"folder": tmp_path},
        "codecs": {"jpeg": {"quality": range(10, 40, 10)}, "png": None},
        "metrics": ("psnr", "bpp"),
        "seed": np.int64(4),
    }
    loaded = load_suite(suite, registry)
    assert (loaded.settings.name, loaded.settings.seed) == ("1e3", 4)
    assert [point.id for point in loaded.points] == ["jpeg:quality=10", "jpeg:quality=20", "jpeg:quality=30", "png"]


def test_a_digit_that_is_no_number_in_a_path(registry):
    with pytest.raises(SuiteError, match=r"codecs\.²"):
        load_suite(
            {"images": {"dataset": "samples"}, "codecs": {"png": None}, "metrics": ["bpp"]},
            registry,
            overrides=["codecs.²=1"],
        )
