"""Plugins that are one file: ``--plugin ./mycodec.py``, with no packaging."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import re
import sys
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from qbench.errors import PluginError, did_you_mean

PREFIX = "_qbench_file_"
"""Of the names that such modules have among the imported ones."""


def whole_path(path: str | Path) -> Path:
    """Return where a file of code is.

    Raises:
        PluginError: it is not there, or is no Python file.
    """
    place = Path(path).expanduser().absolute()
    if not place.is_file():
        raise PluginError(f"{path}: no such file; a plugin file is Python code that defines a Codec, Metric, …")
    if place.suffix != ".py":
        raise PluginError(f"{path}: a plugin file is Python code and ends in .py")
    return place


def import_file(path: str | Path) -> ModuleType:
    """Import a file, whatever folder it is in; what stands beside it can be imported by it.

    A file that was edited since is imported anew.

    Raises:
        PluginError: there is none, or it can't be imported; with its traceback.
    """
    place = whole_path(path)
    try:
        code = place.read_bytes()
    except OSError as error:
        raise PluginError(f"{path}: can't read: {error.strerror or error}") from error
    digest = hashlib.sha256(str(place).encode() + b"\0" + code).hexdigest()
    name = f"{PREFIX}{place.stem}_{digest[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    folder = str(place.parent)
    if folder not in sys.path:
        sys.path.append(folder)  # last, so that it hides nothing
    spec = importlib.util.spec_from_file_location(name, place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:  # also where it tries to end the program
        del sys.modules[name]
        where = f" (line {error.lineno})" if isinstance(error, SyntaxError) and error.lineno else ""
        told = "".join(traceback.format_exception(error)).rstrip()
        text = f"{path}: can't be imported: {type(error).__name__}: {error}{where}\n{told}"
        raise PluginError(text if not isinstance(error, SyntaxError) else text.partition("\n")[0]) from error
    return module


def place_of(cls: type) -> str:
    """Return what :func:`import_place` imports the module of a class by, in any process."""
    module = sys.modules.get(cls.__module__)
    file = getattr(module, "__file__", None)
    return file if file and cls.__module__.startswith(PREFIX) else cls.__module__


def import_place(where: str) -> ModuleType:
    """Import a module by its name, or by its file.

    Raises:
        ImportError, PluginError: it can't be imported.
    """
    return import_file(where) if where.endswith(".py") else importlib.import_module(where)


def load_code(name: str) -> Any:
    """Return what a text names: ``package.module:Name``, or ``path/to/file.py:Name``.

    Raises:
        PluginError: it can't be imported, or has nothing of that name.
    """
    where, colon, attribute = name.rpartition(":")
    if not colon or not where or not attribute.isidentifier():
        raise PluginError(f"{name}: accepted are package.module:Name, and path/to/file.py:Name")
    try:
        module = import_place(where)
    except ImportError as error:
        near = f"; for a file write {where.replace('.', '/')}.py:{attribute}" if error.name == where else ""
        raise PluginError(f"{name} can't be imported: {error}{near}") from error
    if not hasattr(module, attribute):
        known = [each for each, value in vars(module).items() if callable(value) and not each.startswith("_")]
        near = did_you_mean(attribute, known)
        raise PluginError(f"{name}: {where} has no `{attribute}`{near} (has: {', '.join(known) or 'nothing'})")
    return getattr(module, attribute)


def own_classes(module: ModuleType, bases: Iterable[type]) -> list[type]:
    """Return the classes that a module defines itself, of the kinds that plugins offer; those that are whole, if any.

    One without a ``name`` gets its own in small letters, one without a ``summary`` the first line of its docstring.
    """
    kinds = tuple(bases)
    found = [
        each
        for each in vars(module).values()
        if isinstance(each, type)
        and issubclass(each, kinds)
        and each.__module__ == module.__name__
        and not each.__name__.startswith("_")
    ]
    for each in found:
        for attribute, value in (
            ("name", re.sub(r"(?<=[a-z0-9])(?=[A-Z])|_", "-", each.__name__).lower()),
            ("summary", (inspect.getdoc(each) or each.__name__).partition("\n")[0]),
        ):
            if not isinstance(getattr(each, attribute, None), str):
                setattr(each, attribute, value)
    return [each for each in found if not inspect.isabstract(each)] or found


def has_hooks(module: ModuleType, implements: Callable[[str], bool]) -> bool:
    """Say whether a module registers by itself what it has."""
    return any(implements(name) for name in dir(module))
