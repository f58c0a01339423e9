"""What decides a result is in its key; what decides none is in no key."""

from __future__ import annotations

import types
import typing
from dataclasses import replace
from pathlib import Path

import pytest
import toys
from conftest import sample_pixels
from PIL import Image
from pydantic import ValidationError

import qbench
from qbench.errors import QbenchError
from qbench.execute.work import Notice
from qbench.planning.making import plan_metric
from qbench.registry.code import UNKNOWN
from qbench.suite.model import MetricSpec

REGISTRY = toys.registry()
OWN = {
    # Settings whose other values are no arithmetic: files and mappings.
    ("torch-codec", "factory"): "small_module:no_module",
    ("importing", "module"): "small_module",
    ("torch-codec", "arguments"): {"factor": 4},
    ("gan-inversion", "losses"): {"mse": 0.5},
    ("command", "encode"): "cat {input} {output} {quality} {step}",
    ("command", "decode"): "cat {input} {output} {quality} {step}",
    ("command", "version"): "cat --version",
    ("command", "arguments"): {"step": 2},
}
COMMAND = "true {input} {output} {quality} {step}"
REQUIRED = {
    "torch-codec": {"factory": "small_module:Halver"},
    "command": {"encode": COMMAND, "decode": COMMAND, "arguments": {"step": 1}, "quality": 1.0},
}
FILES = {("torch-codec", "checkpoint"), ("gan-inversion", "generator"), ("autoencoder", "model")}
FILES |= {
    ("jpeg-restore", "model"),
    ("compressai", "checkpoint"),
    ("vit-score", "model"),
    ("vit-score", "checkpoint"),
    ("clip-similarity", "model"),
}


def others(field):
    """Return values of a setting that are not its default, likely accepted ones first."""
    default, kinds = field.default, [field.annotation]
    while any(typing.get_origin(kind) in (typing.Union, types.UnionType) for kind in kinds):
        kinds = [each for kind in kinds for each in (typing.get_args(kind) or [kind])]
    found = []
    for kind in kinds:
        if typing.get_origin(kind) is typing.Literal:
            found += typing.get_args(kind)
        elif kind is bool:
            found += [True, False]
        elif kind in (int, float):
            bounds = [getattr(each, name) for each in field.metadata for name in ("ge", "le") if hasattr(each, name)]
            start = default if isinstance(default, (int, float)) else (bounds or [1])[0]
            found += [start + 1, start - 1, start / 2 if kind is float else start // 2, *bounds]
        elif kind is str:
            found += ["x", "other", "1"]
    return [value for value in found if value != default or type(value) is not type(default)]


def accepted(cls, name, field):
    """Return a value that is accepted and not the default; None if there is none."""
    own = OWN.get((cls.name, name))
    for value in [own] if own is not None else others(field):
        try:
            made = cls.Parameters.model_validate({**REQUIRED.get(cls.name, {}), name: value})
        except ValidationError:
            continue
        if getattr(made, name) != cls.Parameters.model_validate(REQUIRED.get(cls.name, {})).__dict__[name]:
            return value
    return None


def settings(catalogue):
    return [
        (cls, name)
        for cls in catalogue.values()
        for name, field in cls.Parameters.model_fields.items()
        if (cls.name, name) not in FILES and accepted(cls, name, field) is not None
    ]


def everything(catalogue):
    return [(cls.name, name) for cls in catalogue.values() for name in cls.Parameters.model_fields]


def test_the_lists_below_leave_out_nothing_that_they_should_hold():
    """A setting that this file finds no other value for is named here, with how its key is tested."""
    for catalogue in (REGISTRY.codecs, REGISTRY.metrics):
        listed = {(cls.name, name) for cls, name in settings(catalogue)} | FILES
        assert {pair for pair in everything(catalogue) if pair not in listed} <= {
            ("compressai", "architecture"),  # the package is not here, so that nothing of it can be planned
            ("compressai", "metric"),
            ("compressai", "quality"),
            *((name, "model") for name in ("brisque", "niqe", "fid", "kid", "fd-clip", "fd-dino")),  # names of weights
        }


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    folder = tmp_path_factory.mktemp("originals")
    Image.fromarray(sample_pixels(16, 16)).save(folder / "a.png")
    return folder


def plan(original, codec="png", parameters=None, registry=REGISTRY, **more):
    suite = {"images": [{"folder": str(original)}], "codecs": {codec: parameters}, "metrics": ["psnr"], **more}
    return qbench.plan(suite, registry=registry)


def cell_key(*arguments, **named):
    made = plan(*arguments, **named)
    ((_, _, key),) = made.iter_cells()
    return key


@pytest.mark.parametrize(("cls", "name"), settings(REGISTRY.codecs), ids=lambda each: getattr(each, "name", each))
def test_every_setting_of_a_codec_is_in_the_key_of_its_cells(cls, name, original):
    required = REQUIRED.get(cls.name, {})
    if cls.name == "compressai":
        pytest.skip("compressai is not installed")
    value = accepted(cls, name, cls.Parameters.model_fields[name])
    before = cell_key(original, cls.name, required or None)
    after = cell_key(original, cls.name, {**required, name: value if not isinstance(value, list) else [value]})
    assert before != after


@pytest.mark.parametrize(("cls", "name"), settings(REGISTRY.metrics), ids=lambda each: getattr(each, "name", each))
def test_every_setting_of_a_metric_is_in_the_key_of_its_scores(cls, name, original, monkeypatch):
    made = plan(original)
    # Weights that are not fetched here have no digest yet.
    monkeypatch.setattr(
        "qbench.planning.making.pinned", lambda weights: replace(weights, sha256="0" * 64, convert=None)
    )

    def key(parameters):
        given = cls.Parameters.model_validate(parameters).model_dump()
        metric = plan_metric(MetricSpec(cls.name, cls.name, given, {}), REGISTRY, "hub")
        return made.score_key(metric, made.images[0], "bits", "pixels")

    assert key({}) != key({name: accepted(cls, name, cls.Parameters.model_fields[name])})


@pytest.mark.parametrize("place", [("autoencoder", "model"), ("jpeg-restore", "model"), ("torch-codec", "checkpoint")])
def test_files_are_in_the_key_by_what_they_hold_and_not_by_where_they_are(place, original, tmp_path):
    codec, setting = place
    one, other = tmp_path / "one" / "w.safetensors", tmp_path / "other" / "v.safetensors"
    for path in (one, other):
        path.parent.mkdir()
        path.write_bytes(b"x")
    required = REQUIRED.get(codec, {})

    def key(path):
        return cell_key(original, codec, {**required, **({} if path is None else {setting: str(path)})})

    before = key(one)
    assert before == key(other)
    assert before != key(None)
    other.write_bytes(b"y")
    assert before != key(other)


def test_seed_profile_and_pixels_are_in_the_key(original, tmp_path):
    before = cell_key(original)
    assert cell_key(original, seed=1) != before
    assert cell_key(original, profile="hub") != before
    Image.fromarray(sample_pixels(16, 16, 1)).save(tmp_path / "a.png")
    assert cell_key(tmp_path) != before


@pytest.mark.parametrize("changed", ["version", "libraries"])
def test_versions_are_in_the_key(changed, original, monkeypatch):
    before = cell_key(original, "shift")
    new = 7 if changed == "version" else classmethod(lambda cls: {"zlib": "another"})
    monkeypatch.setattr(toys.Shift, changed, new)
    assert cell_key(original, "shift") != before


def test_code_of_a_plugin_that_is_worked_on_is_in_the_key(original, tmp_path, monkeypatch):
    source = Path(toys.__file__).read_text()
    monkeypatch.setattr("qbench.planning.making.source_digest", lambda cls: str(len(source)))
    before = cell_key(original, "shift")
    source += "# edited"
    assert cell_key(original, "shift") != before


def test_what_decides_no_result_is_in_no_cells_key(original, tmp_path, monkeypatch):
    before = cell_key(original)
    for more in (
        {"name": "another"},
        {"description": "another"},
        {"timing": {"repeats": 9}},
        {"keep": {"reconstructions": False}},
        {"metrics": ["mse"]},
    ):
        assert cell_key(original, **more) == before
    Image.fromarray(sample_pixels(16, 16)).save(tmp_path / "elsewhere.png")
    assert cell_key(tmp_path) == before
    labelled = qbench.plan(
        {
            "images": [{"folder": str(original)}],
            "codecs": {"mine": {"codec": "png"}, "jpeg": {"quality": [5]}},
            "metrics": ["psnr"],
        },
        registry=REGISTRY,
    )
    assert before in [key for _, _, key in labelled.iter_cells()]
    for name in ("OMP_NUM_THREADS", "QBENCH_MAX_PIXELS", "COLUMNS", "QBENCH_OFFLINE"):
        monkeypatch.setenv(name, "1000")
        assert cell_key(original) == before


def test_what_is_timed_elsewhere_or_less_carefully_is_measured_again(original, monkeypatch):
    suite = {"images": [{"folder": str(original)}], "codecs": {"shift": None}, "metrics": ["psnr"]}

    def cached(folder, **more):
        done = qbench.run({**suite, **more}, registry=REGISTRY, output=folder)
        return [row.cell.cached for row in done.rows]

    assert cached("first") == [False]
    assert cached("again", name="another") == [True]
    assert cached("careful", timing={"repeats": 9}) == [False]
    assert cached("careful again", name="another", timing={"repeats": 9}) == [True]
    monkeypatch.setattr("qbench.execute.conditions.processor", lambda: "another processor")
    assert cached("elsewhere", name="a third") == [False]


def test_what_is_known_by_no_key_is_not_cached_and_that_is_said(original, monkeypatch):
    for module in ("planning.making", "execute.as_planned"):
        monkeypatch.setattr(f"qbench.{module}.source_digest", lambda cls: UNKNOWN)
    suite = {"images": [{"folder": str(original)}], "codecs": {"shift": None}, "metrics": ["difference"]}
    for folder in ("one", "other"):
        told = []
        done = qbench.run({**suite, "name": folder}, registry=REGISTRY, output=folder, on_event=told.append)
        assert [row.cell.cached for row in done.rows] == [False]
        said = [event.text for event in told if isinstance(event, Notice)]
        assert len(said) == 2
        assert said[0].startswith("codec shift, plugin toys")
        assert said[0].endswith("its code (plugin) can't be read, so the cache keeps nothing of it")


def test_two_metrics_of_one_name_are_refused(original):
    metrics = ["fid", {"fd-vit-tiny-imagenet": {"metric": "psnr"}}]
    with pytest.raises(QbenchError, match=r"two metrics \(fid and psnr\) would both be called `fd-vit-tiny-imagenet`"):
        plan(original, metrics=metrics)


def test_a_metric_of_other_settings_needs_another_name(original):
    done = qbench.run(
        {"images": [{"folder": str(original)}], "codecs": {"png": None}, "metrics": [{"mse": {"metric": "psnr"}}]},
        registry=REGISTRY,
        output="run",
    )
    with pytest.raises(QbenchError, match="has a `mse` with other settings already"):
        qbench.score(done, "mse", registry=REGISTRY)


def test_a_file_of_weights_is_hashed_once_for_a_plan(original, tmp_path, monkeypatch):
    hashed = []
    monkeypatch.setattr("qbench.contracts.weights.file_digest", lambda path: hashed.append(path) or "0" * 64)
    (tmp_path / "w.safetensors").write_bytes(b"x")
    codec = {"model": str(tmp_path / "w.safetensors"), "target": {"psnr": [30, 35]}}
    qbench.plan(
        {"images": [{"folder": str(original)}], "codecs": {"jpeg-restore": codec}, "metrics": ["psnr"]},
        registry=REGISTRY,
    )
    assert len(hashed) == 1


@pytest.mark.parametrize(("codec", "threads"), [("jpeg", 1), ("shift", 3)])
def test_times_say_how_many_threads_were_used(codec, threads, original, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setattr("qbench.execute.session.available_cores", lambda: 8)
    suite = {"images": [{"folder": str(original)}], "codecs": {codec: None}, "metrics": ["psnr"]}
    done = qbench.run(suite, registry=REGISTRY, output="run", cache=False)
    assert done.rows[0].cell.timing.threads == threads
