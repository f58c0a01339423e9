"""Digests of code whose version nobody raises: what a suite imports, and plugins that are being worked on."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import os
import sys
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from qbench.errors import PluginError

UNKNOWN = "unknown"
"""In place of a digest where the source can't be found: in a notebook, say."""


def code_digests(names: Iterable[str]) -> dict[str, str]:
    """Return a digest for every module (of its whole package, or with what it imports beside it) or file.

    Raises:
        PluginError: there is none of that name.
    """
    found = {}
    for name in names:
        if "/" in name or "\\" in name or Path(name).is_file():
            files: Iterable[Path] = [Path(name)]
        else:
            files = _sources(name)
        found[Path(name).name] = _digest(files)  # of a file not its place
    return found


def source_digest(cls: type) -> str:
    """Return a digest of the package that a class is defined in; :data:`UNKNOWN` if it has no files."""
    module = sys.modules.get(cls.__module__)
    place = getattr(module, "__file__", None)
    if place is None or not Path(place).is_file():
        return UNKNOWN
    top = sys.modules.get(cls.__module__.partition(".")[0])
    folders = [Path(folder) for folder in getattr(top, "__path__", ())]
    if folders and any(Path(place).is_relative_to(folder) for folder in folders):
        return _digest(_package(folders))
    return _digest(_beside(Path(place)))


def _sources(name: str) -> Iterable[Path]:
    top = name.partition(".")[0]
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError) as error:
        raise PluginError(f"{name} can't be imported: {error}") from error
    if spec is None:
        raise PluginError(f"{name} can't be imported: No module named {top!r}")
    if spec.submodule_search_locations:
        return _package([Path(folder) for folder in spec.submodule_search_locations])
    return _beside(Path(spec.origin)) if spec.origin and Path(spec.origin).is_file() else []


def _package(folders: Iterable[Path]) -> list[Path]:
    return [path for folder in folders for path in folder.rglob("*") if path.suffix in (".py", ".so", ".pyd")]


def _beside(path: Path) -> list[Path]:
    """Return a module's file, and those of modules and packages in the same folder that it imports, and they."""
    found, todo = {path}, [path]
    while todo:
        for name in _imported(todo.pop()):
            near = path.parent / name
            for other in [near.with_suffix(".py"), *(_package([near]) if (near / "__init__.py").is_file() else [])]:
                if other.is_file() and other not in found:
                    found.add(other)
                    todo.append(other)
    return sorted(found)


def _imported(path: Path) -> set[str]:
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return set()
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def _digest(files: Iterable[Path]) -> str:
    paths = sorted(files)
    stamps = []
    for path in paths:
        status = path.stat()
        stamps.append((str(path), status.st_mtime_ns, status.st_size))
    return _digest_of(tuple(stamps)) if stamps else UNKNOWN


@lru_cache(maxsize=64)
def _digest_of(stamps: tuple[tuple[str, int, int], ...]) -> str:
    """Return the digest of files that have not changed since they had these stamps."""
    root = os.path.commonpath([Path(name).parent for name, _, _ in stamps])
    digest = hashlib.sha256()
    for name, _, _ in stamps:
        path = Path(name)
        where = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name  # no place in a key
        digest.update(f"{where}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
