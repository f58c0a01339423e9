"""The packages of the core and their walls: who may import whom."""

from __future__ import annotations

import ast
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from conftest import REPOSITORY

CORE = REPOSITORY / "src" / "qbench"
PLUGINS = REPOSITORY / "plugins"

# In the order in which data flows: a module imports from its own package and from earlier lines only.
PACKAGES = (
    ("errors", "home"),
    ("markup",),
    ("images",),
    ("contracts",),
    ("records",),
    ("registry",),
    ("models",),
    ("plugin",),
    ("toolkit",),
    ("suite",),
    ("planning",),
    ("results",),
    ("store",),
    ("execute",),
    ("cluster",),
    ("reporting",),
    ("api",),
    ("testing",),
    ("cli", "__main__"),
)
ORDER = {name: place for place, names in enumerate(PACKAGES) for name in names}
HANDED_OVER = {"qbench.planning.types", "qbench.results.run"}
"""What hooks hand to observers: the specification of hooks names these types, in annotations only."""
PUBLIC = ("qbench.plugin", "qbench.testing", "qbench.toolkit")
"""What plugins may import."""
SHOWING = {"rich", "plotly", "matplotlib"}
BY_DASK = {"qbench.cluster.hand_out", "qbench.cluster.luggage", "qbench.cluster.on_worker"}
"""Loaded where there is a cluster, and only then."""
HEAVY = {
    "distributed",
    "dask",
    "torch",
    "torchvision",
    "timm",
    "open_clip",
    "piq",
    "skimage",
    "imagecodecs",
    "scipy",
    "tifffile",
    "pandas",
}


def modules(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def named(path: Path) -> str:
    """Return the name of a module of the core."""
    parts = path.relative_to(CORE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {named(path): path for path in modules(CORE)}


@cache
def imports(path: Path, *, at_import: bool = False) -> set[str]:
    """Return the names that a file imports, as ``module.name``; those for type checking too, unless ``at_import``."""
    found = set()

    def visit(node):
        for child in ast.iter_child_nodes(node):
            if at_import and isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                continue
            if at_import and isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
                continue
            if isinstance(child, ast.Import):
                found.update(alias.name for alias in child.names)
            elif isinstance(child, ast.ImportFrom) and child.module:
                found.update(f"{child.module}.{alias.name}" for alias in child.names)
            visit(child)

    visit(ast.parse(path.read_text()))
    return found


@cache
def imported_modules(path: Path) -> set[str]:
    """Return the modules of the core that a file imports."""
    return {
        name if name in NAMES else name.rpartition(".")[0]
        for name in imports(path)
        if name.split(".")[0] == "qbench" and name.count(".")
    }


@pytest.mark.parametrize("path", modules(CORE), ids=lambda path: str(path.relative_to(CORE)))
def test_no_arrow_runs_backwards(path):
    own = path.relative_to(CORE).parts[0].removesuffix(".py")
    if own == "__init__":
        return
    for module in imported_modules(path) - (HANDED_OVER if named(path) == "qbench.registry.hookspecs" else set()):
        package = module.split(".")[1]
        assert package in ORDER, f"{package} has no place in PACKAGES"
        assert ORDER[package] <= ORDER[own], f"{path.name} ({own}) imports {module}"


def test_no_two_modules_import_each_other():
    """Not even for type checking: a circle of files can only be read whole."""
    graph = {name: {module for module in imported_modules(path) if module != name} for name, path in NAMES.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


@pytest.mark.parametrize("path", modules(CORE), ids=lambda path: str(path.relative_to(CORE)))
def test_only_reporting_and_the_command_line_show_things(path):
    if path.relative_to(CORE).parts[0] in ("reporting", "cli"):
        return
    shown = {module for module in imports(path) if module.split(".")[0] in SHOWING}
    assert not shown


@pytest.mark.parametrize(
    "path", [*modules(CORE), *PLUGINS.glob("*/__init__.py")], ids=lambda path: str(path.relative_to(REPOSITORY))
)
def test_heavy_libraries_are_imported_where_they_are_needed(path):
    allowed = {"distributed"} if path in NAMES.values() and named(path) in BY_DASK else set()
    heavy = {module for module in imports(path, at_import=True) if module.split(".")[0] in HEAVY - allowed}
    assert not heavy


@pytest.mark.parametrize("path", modules(PLUGINS), ids=lambda path: str(path.relative_to(PLUGINS)))
def test_plugins_use_the_public_api_only(path):
    own = path.relative_to(PLUGINS).parts[0]
    for name in imports(path):
        top = name.split(".")[0]
        if top == "qbench":
            module, _, symbol = name.rpartition(".")
            assert module.startswith(PUBLIC), f"{name} is not public"
            assert symbol in public_names(module), f"{name} is not public"
        elif top.startswith("qbench_"):
            assert top == own, f"plugins must not import each other: {name}"


def public_names(module: str) -> list[str]:
    from importlib import import_module

    found: list[str] = import_module(module).__all__
    return found


def test_the_core_knows_no_plugin_by_name():
    from qbench.registry.registry import default_registry

    registry = default_registry()
    names = {*registry.codecs, *registry.metrics, *registry.datasets}
    # Also a file ending, what every run's rate is called, and what a run was started by.
    names -= {"png", "bpp", "command"}
    for path in modules(CORE):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert node.value not in names, f"{path} line {node.lineno} names {node.value!r}"


def test_modules_are_short_and_none_is_called_utils():
    for path in (*modules(CORE), *modules(PLUGINS)):
        assert len(path.read_text().splitlines()) <= 400, path
        assert path.stem not in ("utils", "util", "helpers", "misc", "common")
