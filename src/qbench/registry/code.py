"""Digests of code whose version nobody raises: what a suite imports, and plugins that are being worked on."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import os
import stat
import sys
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

from qbench.errors import PluginError
from qbench.registry.files import PREFIX

PLUGIN = "plugin"
"""Name of a plugin's own code among the code of an identity."""
UNKNOWN = "unknown"
"""In place of a digest where the source can't be found: in a notebook, say."""
RELEASED = ("site-packages", "dist-packages")
"""Folders of packages whose versions tell their code."""
Stamp = tuple[str, int, int]
"""Path, time of the last change in nanoseconds, and size of a file."""


def code_digests(names: Iterable[str]) -> dict[str, str]:
    """Return a digest for every module (of its whole package, with what it imports that is nobody's release) or file.

    Args:
        names: of modules; or paths of files, which have a separator in them.

    Raises:
        PluginError: there is none of that name, or its code was edited after it was imported here.
    """
    found = {}
    for name in names:
        if os.sep in name or "/" in name:
            files = [Path(name)]
            found[Path(name).name] = _digest(_with_imports(files) if name.endswith(".py") else files)  # not its place
        else:
            found[name] = _digest(_with_imports(_sources(name)))
    return found


def source_digest(cls: type) -> str:
    """Return a digest of the package that a class is defined in, and of what it imports that is nobody's release.

    :data:`UNKNOWN` if it has no files.

    Raises:
        PluginError: its code was edited after it was imported here.
    """
    module = sys.modules.get(cls.__module__)
    place = getattr(module, "__file__", None)
    if place is None or not Path(place).is_file():
        return UNKNOWN
    top = sys.modules.get(cls.__module__.partition(".")[0])
    folders = [Path(folder) for folder in getattr(top, "__path__", ())]
    if folders and any(Path(place).is_relative_to(folder) for folder in folders):
        return _digest(_with_imports(_package(folders)))
    return _digest(_with_imports([Path(place)]))


def _sources(name: str) -> list[Path]:
    top = name.partition(".")[0]
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError) as error:
        raise PluginError(f"{name} can't be imported: {error}") from error
    if spec is None:
        raise PluginError(f"{name} can't be imported: No module named {top!r}")
    return _files_of(spec)


def _files_of(spec: ModuleSpec) -> list[Path]:
    if spec.submodule_search_locations:
        return _package([Path(folder) for folder in spec.submodule_search_locations])
    return [Path(spec.origin)] if spec.origin and Path(spec.origin).is_file() else []


def _package(folders: Iterable[Path]) -> list[Path]:
    """Return all files of packages, data too; also those that links lead to."""
    found, seen = [], set()
    for folder in folders:
        for place, inside, names in os.walk(folder, followlinks=True):
            real = os.path.realpath(place)
            inside[:] = [name for name in inside if name != "__pycache__" and not name.startswith(".")]
            if real in seen:
                inside.clear()
                continue
            seen.add(real)
            found += [Path(place, name) for name in names if not name.startswith(".") and not name.endswith(".pyc")]
    return found


def _with_imports(files: Sequence[Path]) -> list[Path]:
    """Return files, and those of all that they import from outside of the folders that releases are installed in."""
    return list(_closure(tuple(sorted(map(str, files))), _stamps(files)))


@lru_cache(maxsize=64)
def _closure(names: tuple[str, ...], _: tuple[Stamp, ...]) -> tuple[Path, ...]:
    found = dict.fromkeys(map(Path, names))
    todo = [path for path in found if path.suffix == ".py"]
    known: set[str] = set()
    while todo:
        path = todo.pop()
        for name in _imported(path) - known:
            known.add(name)
            for other in _unreleased(name, path.parent):
                if other not in found:
                    found[other] = None
                    todo += [other] if other.suffix == ".py" else []
    return tuple(found)


def _unreleased(name: str, beside: Path) -> list[Path]:
    """Return the files of a module or package that stands beside a file, or elsewhere but among releases."""
    if name in sys.stdlib_module_names:
        return []
    near = beside / name
    if near.with_suffix(".py").is_file():
        return [near.with_suffix(".py")]
    if near.is_dir():
        return _package([near])
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return []
    places = [*(spec.submodule_search_locations or []), spec.origin or ""] if spec else []
    if spec is None or any(part in Path(place).parts for place in places for part in RELEASED):
        return []
    return _files_of(spec)


BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
"""Where statements hold other statements."""


@cache
def _imported(path: Path) -> frozenset[str]:
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return frozenset()
    names: set[str] = set()
    todo: list[Any] = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
        else:  # expressions hold no statements, and are most of the tree
            todo += [each for block in BLOCKS for each in getattr(node, block, ()) if isinstance(each, ast.AST)]
    return frozenset(names)


def _stamps(files: Iterable[Path]) -> tuple[Stamp, ...]:
    stamps = []
    for path in sorted(files):
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise PluginError(f"{path}: not a regular file")
        stamps.append((str(path), status.st_mtime_ns, status.st_size))
    return tuple(stamps)


def _digest(files: Iterable[Path]) -> str:
    try:
        stamps = _stamps(files)
    except OSError as error:
        raise PluginError(f"{error.filename}: can't read the code: {error.strerror or error}") from error
    _require_as_imported(stamps)
    return _digest_of(stamps) if stamps else UNKNOWN


_seen: dict[str, tuple[Stamp, Any]] = {}
"""File → how it was when it was first looked at in this process, and the module that was imported from it then."""


def _require_as_imported(stamps: Iterable[Stamp]) -> None:
    """Refuse code that was edited after this process imported it: its digest would be of another than runs.

    Raises:
        PluginError: naming the file.
    """
    imported: dict[str, Any] | None = None
    for stamp in stamps:
        before = _seen.get(stamp[0])
        if before is not None and before[0] == stamp and (before[1] is not None or not stamp[0].endswith(".py")):
            continue
        if imported is None:
            imported = {getattr(each, "__file__", None) or "": each for each in list(sys.modules.values())}
        module = imported.get(stamp[0])
        spec = getattr(module, "__spec__", None)
        stale = before is not None and before[0] != stamp and (before[1] is None or before[1] is spec)
        if stale and module is not None and not module.__name__.startswith(PREFIX):  # whose names tell their contents
            raise PluginError(f"{stamp[0]} was edited after it was imported; start Python anew to work with it")
        _seen[stamp[0]] = stamp, spec


@lru_cache(maxsize=64)
def _digest_of(stamps: tuple[tuple[str, int, int], ...]) -> str:
    """Return the digest of files that have not changed since they had these stamps."""
    roots = [*map(Path, filter(None, sys.path)), Path(os.path.commonpath([Path(name).parent for name, _, _ in stamps]))]
    digest = hashlib.sha256()
    for name, _, _ in stamps:
        path = Path(name)
        within = [root for root in roots if path.is_relative_to(root)]
        # No place in a key: neither of the code itself, nor of what it imports from elsewhere.
        where = path.relative_to(max(within, key=lambda root: len(root.parts))).as_posix() if within else path.name
        digest.update(f"{where}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
