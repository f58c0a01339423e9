"""The rooms and their walls: who may import whom."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from conftest import REPOSITORY

CORE = REPOSITORY / "src" / "qbench"
PLUGINS = REPOSITORY / "plugins"

# Rooms in the order in which data flows: a module may import from its own room and from those before it.
ROOMS = {
    "types": [
        "errors",
        "codec",
        "metric",
        "image",
        "dataset",
        "hookspecs",
        "home",
        "models",
        "inference",
        "generator",
        "loss",
        "recipe",
        "training",
        "registry",
        "records",
    ],
    "suite": ["suite"],
    "plan": ["plan"],
    "store": ["store"],
    "execute": ["execute"],
    "results": ["results"],
    "api": ["api"],
    "report": ["report"],
    "testing": ["testing"],
    "cli": ["cli", "__main__"],
}
FORBIDDEN = {
    "report": {"api"},
    "testing": {"suite", "plan", "store", "execute", "results", "api", "report"},
}
SHOWING = {"rich", "plotly", "matplotlib"}
HEAVY = {"torch", "torchvision", "timm", "open_clip", "piq", "skimage", "imagecodecs", "scipy", "tifffile", "pandas"}


def imports(path: Path, *, top_level_only: bool = False) -> set[str]:
    """Return the modules that a file imports, those for type checking left out."""
    found = set()

    def visit(node):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
                continue
            if top_level_only and isinstance(child, (ast.FunctionDef, ast.Lambda)):
                continue
            if isinstance(child, ast.Import):
                found.update(alias.name for alias in child.names)
            elif isinstance(child, ast.ImportFrom) and child.module:
                found.update(f"{child.module}.{alias.name}" for alias in child.names)
            visit(child)

    visit(ast.parse(path.read_text()))
    return found


def room_of(module: str) -> str | None:
    parts = module.split(".")
    if parts[0] != "qbench" or len(parts) < 2:
        return None
    return next((room for room, members in ROOMS.items() if parts[1] in members), None)


def modules(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


@pytest.mark.parametrize("path", modules(CORE), ids=lambda path: str(path.relative_to(CORE)))
def test_no_arrow_runs_backwards(path):
    own = room_of("qbench." + path.relative_to(CORE).parts[0].removesuffix(".py"))
    if own is None:  # the package itself
        return
    order = list(ROOMS)
    for module in imports(path):
        room = room_of(module)
        if room is None:
            continue
        assert order.index(room) <= order.index(own), f"{path.name} (room {own}) imports {module} (room {room})"
        assert room not in FORBIDDEN.get(own, set()), f"{path.name} (room {own}) must not import {module}"


@pytest.mark.parametrize("path", modules(CORE), ids=lambda path: str(path.relative_to(CORE)))
def test_only_report_and_the_command_line_show_things(path):
    if path.relative_to(CORE).parts[0] in ("report", "cli"):
        return
    shown = {module for module in imports(path) if module.split(".")[0] in SHOWING}
    assert not shown


@pytest.mark.parametrize(
    "path", [*modules(CORE), *PLUGINS.glob("*/__init__.py")], ids=lambda path: str(path.relative_to(REPOSITORY))
)
def test_heavy_libraries_are_imported_where_they_are_needed(path):
    heavy = {module for module in imports(path, top_level_only=True) if module.split(".")[0] in HEAVY}
    assert not heavy


@pytest.mark.parametrize("path", modules(PLUGINS), ids=lambda path: str(path.relative_to(PLUGINS)))
def test_plugins_use_the_public_api_only(path):
    own = path.relative_to(PLUGINS).parts[0]
    for module in imports(path):
        top = module.split(".")[0]
        if top == "qbench":
            import qbench

            name = module.split(".")[1]
            assert module.count(".") == 1, f"{module} is not public"
            assert name in qbench.__all__, f"{module} is not public"
        elif top.startswith("qbench_"):
            assert top == own, f"plugins must not import each other: {module}"


def test_the_core_knows_no_plugin_by_name():
    from qbench.registry import default_registry

    registry = default_registry()
    names = {*registry.codecs, *registry.metrics, *registry.datasets} - {"png"}  # also a file ending
    for path in modules(CORE):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert node.value not in names, f"{path} line {node.lineno} names {node.value!r}"


def test_modules_are_short_and_none_is_called_utils():
    for path in (*modules(CORE), *modules(PLUGINS)):
        assert len(path.read_text().splitlines()) <= 400, path
        assert path.stem not in ("utils", "util", "helpers", "misc", "common")


def test_every_public_name_is_there():
    import qbench

    for name in qbench.__all__:
        assert getattr(qbench, name) is not None
