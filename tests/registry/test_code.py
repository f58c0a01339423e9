"""Digests of code whose version nobody raises."""

from __future__ import annotations

import importlib
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


def test_whatever_a_module_stands_on_is_digested(tmp_path, monkeypatch):
    """Packages beside it, namespace packages, linked folders, and data in packages."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "standing.py").write_text("import beside.deep\nimport nsp.conf\nimport linked\n")
    for name in ("beside/__init__.py", "beside/deep.py", "nsp/conf.py", "elsewhere/inner.py", "beside/table.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("1")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "__init__.py").write_text("")
    (tmp_path / "linked" / "net").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "standing").write_text("no module: a file that is called so")
    monkeypatch.chdir(tmp_path)
    found = {code_digests(["standing"])["standing"]}
    for number, name in enumerate(("beside/deep.py", "nsp/conf.py", "elsewhere/inner.py", "beside/table.txt")):
        (tmp_path / name).write_text(f"{number}{number}")
        found.add(code_digests(["standing"])["standing"])
    assert len(found) == 5
    (tmp_path / "standing").write_text("edited")
    assert code_digests(["standing"])["standing"] in found


def test_code_that_was_edited_after_it_was_imported_is_refused(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    path = tmp_path / "edited_later.py"
    path.write_text("STEP = 1")
    before = code_digests(["edited_later"])
    import edited_later

    assert code_digests(["edited_later"]) == before
    path.write_text("STEP = 22")
    with pytest.raises(PluginError, match=r"edited_later\.py was edited after it was imported; start Python anew"):
        code_digests(["edited_later"])
    importlib.reload(edited_later)
    assert edited_later.STEP == 22
    assert code_digests(["edited_later"]) != before  # it was loaded anew
