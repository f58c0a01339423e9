"""A YAML document that remembers where everything stands in its file.

YAML 1.2's core schema is used: only ``true`` and ``false`` are booleans, ``1e-4`` is a number, and ``4:2:0`` is text
(YAML 1.1 reads it as the sexagesimal integer 14,520).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from qbench.errors import Problem, SuiteError

Path = tuple[str | int, ...]
TOO_DEEP = "the suite is nested too deeply"
MAX_NODES = 200_000
"""More than any sane suite; aliases of aliases can make a small file grow without end."""


class _CoreSchemaLoader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - yaml's own form


for _tag, _pattern, _first in (
    ("merge", r"<<", ["<"]),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
):
    _CoreSchemaLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first)


def _construct_int(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    text = loader.construct_scalar(node)
    return int(text, 16) if text.lower().startswith("0x") else int(text)  # YAML 1.2: 010 is ten


_CoreSchemaLoader.add_constructor("tag:yaml.org,2002:int", _construct_int)


class _CoreSchemaDumper(yaml.SafeDumper):
    yaml_implicit_resolvers = _CoreSchemaLoader.yaml_implicit_resolvers


def dump(data: Any) -> str:
    """Return plain data as YAML that :func:`parse` reads back: paths as text, NumPy's numbers and ranges as lists.

    Raises:
        SuiteError: something in it is not plain data.
    """
    try:
        return yaml.dump(_plain(data), Dumper=_CoreSchemaDumper, sort_keys=False)
    except yaml.representer.RepresenterError as error:
        found = error.args[-1]
        problem = f"{found!r} is not accepted; accepted: text, numbers, true, false, None, lists and mappings of these"
        raise SuiteError([Problem("suite", "", problem)]) from error
    except RecursionError as error:
        raise SuiteError([Problem("suite", "", TOO_DEEP)]) from error


def _plain(value: Any) -> Any:
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if hasattr(value, "tolist"):  # NumPy's numbers and arrays, without importing NumPy
        return value.tolist()
    if isinstance(value, range) and value[MAX_NODES:]:
        raise SuiteError([Problem("suite", "", f"{value!r} has more than {MAX_NODES} values")])
    if isinstance(value, list | tuple | range):
        return [_plain(inner) for inner in value]
    return str(value) if isinstance(value, str) else value


@dataclass
class Document:
    """Parsed data with positions.

    Attributes:
        data: plain dicts, lists and scalars.
        name: the file's name as the user gave it.
        positions: path → ``name:line:column`` of the value there.
        keys: path → position of the mapping key that leads there.
    """

    data: Any
    name: str
    positions: dict[Path, str] = field(default_factory=dict)
    keys: dict[Path, str] = field(default_factory=dict)

    def where(self, path: Path, *, key: bool = False) -> str:
        """Return the position of a value (or of its key), or of the nearest thing around it."""
        table = self.keys if key else self.positions
        if path in table:
            return table[path]
        while path and path not in self.positions:
            path = path[:-1]
        return self.positions.get(path, self.name)

    def problem(self, path: Path, message: str, *, key: bool = False) -> Problem:
        """Make a problem that points at a path."""
        return Problem(self.where(path, key=key), dotted(path), message)

    def replace(self, path: Path, value: Any, where: str) -> None:
        """Set the value at a path, creating mappings on the way; ``None`` at a mapping's key removes it."""
        target: Any = self.data
        for depth, step in enumerate(path[:-1]):
            if isinstance(target, dict):
                if target.get(step) is None:  # absent, or a bare `jpeg:` without settings
                    target[step] = {}
                target = target[step]
            elif isinstance(target, list) and isinstance(step, int) and step < len(target):
                target = target[step]
            else:
                raise SuiteError([Problem(where, dotted(path), f"nothing can be set below `{dotted(path[:depth])}`")])
        last = path[-1]
        if isinstance(target, dict):
            if value is None:
                target.pop(last, None)
            else:
                target[last] = value
        elif isinstance(target, list) and isinstance(last, int) and last < len(target):
            target[last] = value
        else:
            raise SuiteError([Problem(where, dotted(path), f"nothing can be set below `{dotted(path[:-1])}`")])
        for table in (self.positions, self.keys):
            for old in [known for known in table if known[: len(path)] == path]:
                del table[old]
        for below in _paths(value, path):
            self.positions[below] = self.keys[below] = where


def dotted(path: Path) -> str:
    """``codecs.jpeg.quality[2]``."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text


def parse(text: str, name: str) -> Document:
    """Parse YAML text.

    Raises:
        SuiteError: not YAML, a duplicate key, or something YAML allows and a suite doesn't (non-text keys, loops).
    """
    loader = None
    try:
        loader = _CoreSchemaLoader(text)
        node = loader.get_single_node()
        document = Document(None, name)
        if node is None:
            raise SuiteError([Problem(name, "", "the file is empty; a suite has `images`, `codecs` and `metrics`")])
        document.data = _Builder(loader, document).build(node, ())
        return document
    except RecursionError as error:
        raise SuiteError([Problem(name, "", TOO_DEEP)]) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        raise SuiteError([Problem(where, "", f"not valid YAML: {error.problem or error.context}")]) from error
    except yaml.YAMLError as error:  # characters that YAML forbids have no mark
        raise SuiteError([Problem(name, "", f"not valid YAML: {str(error).splitlines()[0]}")]) from error
    finally:
        if loader is not None:
            loader.dispose()


def parse_value(text: str, where: str) -> Any:
    """Parse the right-hand side of ``--set path=value``."""
    return None if not text.strip() else parse(text, where).data


class _Builder:
    def __init__(self, loader: _CoreSchemaLoader, document: Document) -> None:
        self._loader = loader
        self._document = document
        self._nodes = 0
        self._open: set[int] = set()

    def build(self, node: yaml.Node, path: Path) -> Any:
        self._nodes += 1
        where = self._where(node)
        if self._nodes > MAX_NODES:
            raise SuiteError([Problem(where, "", f"the suite expands to more than {MAX_NODES} values")])
        if id(node) in self._open:
            raise SuiteError([Problem(where, dotted(path), "an alias that contains itself")])
        self._document.positions[path] = where
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, path)
            if isinstance(node, yaml.SequenceNode):
                return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]
            return self._loader.construct_object(node)
        except (ValueError, OverflowError, LookupError, TypeError, AttributeError) as error:  # of explicit tags
            problem = f"not valid YAML: not what its tag {node.tag.rpartition(':')[2]} says"
            raise SuiteError([Problem(where, dotted(path), problem)]) from error
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        seen: dict[str, str] = {}
        for key_node, _ in node.value:
            key, where = key_node.value, self._where(key_node)
            if not isinstance(key_node, yaml.ScalarNode) or not isinstance(key, str):
                raise SuiteError([Problem(where, dotted(path), "keys must be plain text")])
            if key in seen:
                raise SuiteError([Problem(where, dotted((*path, key)), f"duplicate key; first defined at {seen[key]}")])
            seen[key] = where
        self._loader.flatten_mapping(node)  # merge keys (<<)
        built = {}
        for key_node, value_node in node.value:
            below = (*path, key_node.value)
            built[key_node.value] = self.build(value_node, below)
            self._document.keys[below] = self._where(key_node)
        return built

    def _where(self, node: yaml.Node) -> str:
        return f"{self._document.name}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"


def _paths(value: Any, path: Path) -> Iterator[Path]:
    yield path
    items: Mapping[Any, Any] = {}
    if isinstance(value, dict):
        items = value
    elif isinstance(value, list):
        items = dict(enumerate(value))
    for step, below in items.items():
        yield from _paths(below, (*path, step))
