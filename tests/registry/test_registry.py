from __future__ import annotations

import io
import sys
import types

import pytest
import toys
from pydantic import Field
from rich.console import Console

from qbench.contracts.codec import Codec, RateParameter
from qbench.contracts.context import Context
from qbench.contracts.dataset import Dataset
from qbench.contracts.metric import Column, Direction, Metric
from qbench.contracts.parameters import Parameters, accepted_form, parameter_rows
from qbench.errors import PluginError
from qbench.registry.catalogue import PluginInfo, rate_parameter
from qbench.registry.hookspecs import hookimpl
from qbench.registry.registry import Registry, default_registry
from qbench.reporting.plugins import print_offer
from qbench.suite.schema import suite_schema


def plugin(**hooks):
    module = types.ModuleType("made")
    for name, function in hooks.items():
        setattr(module, name, hookimpl(function))
    return module


def offering(*classes, hook="qbench_register_codecs"):
    def register_all(register):
        for cls in classes:
            register(cls)

    return plugin(**{hook: register_all})


def registry(**plugins):
    made = Registry()
    for name, found in plugins.items():
        made.register(found, PluginInfo(name, f"{name}-package", "1.2"))
    return made


def test_our_own_plugins_are_found_like_a_strangers():
    made = Registry()
    made.load_entry_points()
    ours = {info.name: info for info in made.plugins if info.distribution == "qbench"}
    assert {"jpeg", "jpeg-thesis-exact", "png", "webp"} <= set(ours["classical"].brings["codec"])
    assert all(info.ok for info in ours.values())
    assert {"ssim", "psnr", "bpp"} <= set(made.metrics)
    assert {"samples", "kodak"} <= set(made.datasets)


def test_unknown_names_get_the_nearest_and_the_known():
    made = registry(toys=toys)
    with pytest.raises(
        PluginError,
        match=r"unknown codec `shfit`; did you mean `shift`\? "
        r"\(known: chatty, fragile, importing, misbehave, noisy, raw, shift, together\)",
    ):
        made.codecs["shfit"]


def test_a_clash_names_both_plugins_and_uses_neither():
    made = registry(one=offering(toys.Shift), two=offering(toys.Shift, toys.Noisy))
    with pytest.raises(PluginError, match=r"`shift` is registered by both one \(one-package 1\.2\) and two"):
        made.codecs["shift"]
    assert "shift" not in made.codecs
    assert list(made.codecs) == ["noisy"]  # what doesn't clash can be used
    assert [info.ok for info in made.plugins] == [False, False]


def test_a_plugin_that_breaks_is_named_with_its_traceback_and_stops_nobody():
    def register_and_break(register):
        register(toys.Noisy)
        raise KeyError("lost")

    made = registry(bad=plugin(qbench_register_codecs=register_and_break), good=offering(toys.Shift))
    bad, good = made.plugins
    assert bad.problem == "qbench_register_codecs: KeyError: 'lost'"
    assert "register_and_break" in bad.trace
    assert good.ok
    with pytest.raises(PluginError, match=r"note: plugin bad \(bad-package 1\.2\) is broken: qbench_register_codecs"):
        made.codecs["other"]


def test_a_misspelt_hook_is_refused_with_the_nearest():
    made = registry(bad=plugin(qbench_register_codec=lambda register: None))
    assert "unknown hook `qbench_register_codec`; did you mean `qbench_register_codecs`?" in made.plugins[0].problem


def test_a_hook_with_unknown_arguments_is_refused():
    made = registry(bad=plugin(qbench_register_codecs=lambda registrar: None))
    assert "registrar" in made.plugins[0].problem


class NoDefault(Parameters):
    size: int = Field(description="needed")


class Reserved(Parameters):
    target: int = 3


def codec(**attributes):
    body = {"name": "x", "summary": "y", "encode": lambda self, image: b"", "decode": lambda self, bits: None}
    return type("Made", (Codec,), {**body, **attributes})


@pytest.mark.parametrize(
    ("cls", "problem"),
    [
        (int, "must be a subclass of qbench.plugin.Codec"),
        ("jpeg", "must be a subclass of qbench.plugin.Codec"),
        (
            type("Half", (Codec,), {"name": "x", "summary": "y", "encode": lambda self, image: b""}),
            "does not implement decode",
        ),
        (codec(name=None), "lacks the class attribute name"),
        (codec(Parameters=NoDefault), "every parameter needs a default"),
        (codec(Parameters=Reserved), "parameter name target is reserved"),
        (codec(name="Bad Name"), "the name 'Bad Name' is not accepted; accepted: letters, digits"),
    ],
)
def test_classes_of_the_wrong_form_are_refused(cls, problem):
    assert problem in registry(bad=offering(cls)).plugins[0].problem


def test_a_metrics_first_column_has_its_name():
    columns = (Column("other", Direction.HIGHER),)
    body = {"name": "x", "summary": "y", "columns": columns, "score": lambda self, candidates, prepared: []}
    made = registry(bad=offering(type("Made", (Metric,), body), hook="qbench_register_metrics"))
    assert "first column must have the metric's own name" in made.plugins[0].problem


@pytest.mark.parametrize(
    ("attributes", "problem"),
    [
        ({"pooling": "in its own way"}, "`pool` and `pooling` belong together"),
        ({"pool": classmethod(lambda cls, column, values, pixels: 1.0)}, "`pool` and `pooling` belong together"),
    ],
)
def test_pool_and_pooling_belong_together(attributes, problem):
    made = registry(bad=offering(type("Made", (toys.Difference,), attributes), hook="qbench_register_metrics"))
    assert problem in made.plugins[0].problem


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (lambda: 1 / 0, r"rate_parameter failed:\nTraceback"),
        (lambda: "q", r"rate_parameter returned str, not a qbench\.plugin\.RateParameter"),
        (lambda: RateParameter("bit", 1, 7), r"names `bit`, which is no parameter; did you mean `bits`\?"),
        (lambda: RateParameter("bits", 7, 1), "rate_parameter goes from 7 to 1"),
    ],
)
def test_a_rate_parameter_that_breaks_its_contract_is_named_and_harms_no_other(answer, problem):
    wrong = type("Wrong", (toys.Shift,), {"name": "w", "rate_parameter": classmethod(lambda cls, parameters: answer())})
    made = registry(bad=offering(wrong, toys.Noisy))
    with pytest.raises(PluginError, match=r"(?s)w, plugin bad \(bad-package 1.2\): .*" + problem):
        rate_parameter(made.codecs.offer("w"), {})
    labels = suite_schema(made)["properties"]["codecs"]["properties"]
    assert labels.keys() == {"w", "noisy"}
    console = Console(file=io.StringIO())
    print_offer(console, made, "w")
    assert "rate_parameter" in console.file.getvalue()


def test_nothing_of_a_class_is_called_when_it_registers():
    # It may ask for what other plugins offer, which are not all registered yet.
    def called(*arguments):
        raise AssertionError("called")

    names = ("rate_parameter", "libraries", "weights", "default_label")
    silent = dict.fromkeys(names, classmethod(called))
    assert registry(a=offering(type("C", (toys.Shift,), silent))).plugins[0].ok
    metric = offering(type("M", (toys.Difference,), silent), hook="qbench_register_metrics")
    assert registry(a=metric).plugins[0].ok


def test_a_name_that_is_claimed_twice_is_told_by_show():
    made = registry(one=offering(toys.Shift), two=offering(toys.Shift))
    with pytest.raises(PluginError, match=r"registered by both one .* and two"):
        print_offer(Console(file=io.StringIO()), made, "shift")


def test_a_class_method_that_fails_later_is_named_with_its_plugin():
    def libraries():
        raise OSError("no library")

    made = registry(bad=offering(codec(libraries=staticmethod(libraries))))
    with pytest.raises(
        PluginError, match=r"(?s)x, plugin bad \(bad-package 1.2\): libraries failed:\nTraceback.*no library"
    ):
        made.codecs.offer("x").ask("libraries")


def offered(site, name, points, metadata=None):
    """Put a package into a folder of packages."""
    information = site / f"{name}-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "entry_points.txt").write_text(points)
    (information / "METADATA").write_text(metadata or f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")


def loaded(site, monkeypatch):
    monkeypatch.syspath_prepend(str(site))
    made = Registry()
    made.load_entry_points()
    assert "jpeg" in made.codecs
    return {info.name: info for info in made.plugins}


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        (None, "importing bad_plugin: ModuleNotFoundError: No module named 'bad_plugin'"),
        ("import sys; sys.exit(3)", "importing bad_plugin: SystemExit: 3"),
        ("raise KeyboardInterrupt", "importing bad_plugin: KeyboardInterrupt: no message"),
        ("raise SystemExit", "importing bad_plugin: SystemExit: no message"),
        ("1 / 0", "importing bad_plugin: ZeroDivisionError: division by zero"),
    ],
)
def test_a_plugin_that_can_not_be_imported_is_named_and_the_others_go_on(tmp_path, monkeypatch, source, problem):
    offered(tmp_path, "bad", "[qbench]\nbad = bad_plugin\n")
    if source:
        (tmp_path / "bad_plugin.py").write_text(source)
    monkeypatch.delitem(sys.modules, "bad_plugin", raising=False)
    assert loaded(tmp_path, monkeypatch)["bad"].problem == problem


def test_a_damaged_environment_hides_nothing(tmp_path, monkeypatch):
    (tmp_path / "empty-1.0.dist-info").mkdir()
    (tmp_path / "qbench-0.0.9.dist-info").mkdir()  # left behind by an uninstalled version
    offered(tmp_path, "malformed", "this is [qbench\nnot an = ini = file\n[]\n")
    offered(tmp_path, "nameless", "[qbench]\nnameless = json\n", metadata="\n")
    found = loaded(tmp_path, monkeypatch)
    assert found["nameless"].distribution == "nameless-1.0.dist-info"
    assert found["classical"].distribution == "qbench"


def test_without_plugins_of_its_own_qbench_says_what_is_broken(monkeypatch):
    monkeypatch.setattr("qbench.registry.installed.distributions", list)
    with pytest.raises(
        PluginError, match=r"(?s)qbench's own plugins can't be loaded; reinstall it.*no installed package"
    ):
        Registry().load_entry_points()


def test_observers_are_called_by_name():
    seen = []

    def watch(record):
        seen.append(record)

    def fail(record):
        raise OSError("no space for my log")

    made = registry(watcher=plugin(qbench_cell_coded=watch), failing=plugin(qbench_cell_coded=fail))
    watcher, failing = sorted(map(str, made.observers("qbench_cell_coded")), reverse=True)
    made.observe("qbench_cell_coded", watcher, record="a record")
    assert seen == ["a record"]
    with pytest.raises(OSError, match="no space for my log"):
        made.observe("qbench_cell_coded", failing, record="a record")
    assert made.observers("qbench_run_finished") == []


def test_parameters_are_described_from_their_model():
    rows = {row["name"]: row for row in parameter_rows(toys.ShiftParameters)}
    assert rows["bits"] == {
        "name": "bits",
        "accepts": "integer from 0 to 7",
        "default": "0",
        "description": "low bits dropped",
    }
    assert rows["seconds"]["accepts"] == "number at least 0"


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "boolean"}, "true or false"),
        ({"enum": ["a", "b"]}, "one of a, b"),
        ({"const": 4}, "4"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "integer or none"),
        ({"type": "number", "exclusiveMinimum": 0, "maximum": 1}, "number at most 1 and above 0"),
        ({"type": "array"}, "list"),
    ],
)
def test_accepted_forms_in_words(schema, words):
    assert accepted_form(schema) == words


def test_datasets_are_checked_too():
    body = {"name": "d", "summary": "s", "count": 0, "licence": "", "source": "", "images": lambda self, home: []}
    cls = type("Made", (Dataset,), body)
    made = registry(data=offering(cls, hook="qbench_register_datasets"))
    assert made.datasets["d"] is cls


def test_context_draws_the_same_numbers_for_the_same_seed_and_image():
    import numpy as np

    from qbench.images.image import Image

    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    draws = [
        Context(seed=seed).rng(Image(pixels)).integers(1 << 60)
        for seed, pixels in [(1, image), (1, image), (2, image), (1, image.reshape(2, 8, 3))]
    ]
    assert draws[0] == draws[1]
    assert len(set(draws)) == 3


def test_a_plugin_that_cannot_be_kept_stops_nobody():
    made = registry(bad=types.SimpleNamespace(), good=offering(toys.Shift))
    assert "unhashable" in made.plugins[0].problem
    assert made.plugins[1].ok


def test_a_plugin_that_looks_others_up_while_it_registers_is_named(tmp_path, monkeypatch):
    offered(tmp_path, "hasty", "[qbench]\nhasty = hasty\n")
    (tmp_path / "hasty.py").write_text("from qbench.plugin import find_loss\nfind_loss('vit')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    default_registry.cache_clear()
    try:
        info = next(info for info in default_registry().plugins if info.name == "hasty")
        assert "not all plugins are registered yet" in info.problem
        assert "jpeg" in default_registry().codecs
    finally:
        default_registry.cache_clear()
