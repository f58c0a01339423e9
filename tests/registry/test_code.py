"""Digests of code whose version nobody raises."""

from __future__ import annotations

import sys

import pytest

from qbench.errors import PluginError
from qbench.registry.code import UNKNOWN, code_digests, source_digest


@pytest.fixture
def site(tmp_path, monkeypatch):
    folder = tmp_path / "site"
    (folder / "pack" / "inner").mkdir(parents=True)
    for path, text in {
        "pack/__init__.py": "",
        "pack/inner/__init__.py": "",
        "pack/inner/deep.py": "class A: pass\n",
        "alone.py": "import helper\nfrom other import x\nimport json\n",
        "helper.py": "import other\n",
        "other.py": "x = 1\n",
        "stranger.py": "",
    }.items():
        (folder / path).write_text(text)
    monkeypatch.syspath_prepend(str(folder))
    return folder


@pytest.mark.parametrize("name", ["pack", "pack.inner.deep"])
@pytest.mark.parametrize("changed", ["pack/__init__.py", "pack/inner/deep.py", "pack/new.py"])
def test_any_file_of_a_package_changes_the_digest(site, name, changed):
    before = code_digests([name])
    assert before == code_digests([name])
    (site / changed).write_text("# other\n")
    assert code_digests([name]) != before


@pytest.mark.parametrize(
    ("changed", "counts"), [("alone", True), ("helper", True), ("other", True), ("stranger", False)]
)
def test_a_module_counts_with_what_it_imports_beside_it(site, changed, counts):
    before = code_digests(["alone"])
    (site / f"{changed}.py").write_text("y = 2\n")
    assert (code_digests(["alone"]) != before) is counts


def test_places_are_in_no_digest(site, tmp_path, monkeypatch):
    before = code_digests(["pack", "alone", str(site / "alone.py")])
    moved = site.rename(tmp_path / "elsewhere")
    monkeypatch.setattr(sys, "path", [str(moved), *sys.path])
    assert code_digests(["pack", "alone", str(moved / "alone.py")]) == before


def test_what_is_not_there_is_said():
    with pytest.raises(PluginError, match=r"no_such_module\.part can't be imported: No module"):
        code_digests(["no_such_module.part"])


def test_a_class_without_a_file_is_unknown():
    made = {"__name__": "typed_in"}
    exec("class Typed: pass", made)  # as in a console
    assert source_digest(made["Typed"]) == UNKNOWN
    assert source_digest(PluginError) == source_digest(type(PluginError("x")))
    assert len(source_digest(PluginError)) == 64
