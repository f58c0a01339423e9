"""Collecting everything that is wrong with a suite, in qbench's words, each placed in its file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path as Location
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from qbench.contracts.parameters import accepted_form, code_settings, file_settings
from qbench.errors import Problem, SuiteError, did_you_mean
from qbench.suite.document import Document, Path

M = TypeVar("M", bound=BaseModel)


class Findings:
    """The problems of one document."""

    def __init__(self, document: Document) -> None:
        self.problems: list[Problem] = []
        self._document = document
        self._located: dict[tuple[Path, str], str | None] = {}

    def raise_if_any(self) -> None:
        """Raise SuiteError with every problem, in the file's order, if there are any."""
        if self.problems:
            raise SuiteError(sorted(self.problems, key=_place))

    def say(self, path: Path, message: str, *, key: bool = False) -> None:
        """Add a problem at a value, or at the key that leads to it."""
        self.problems.append(self._document.problem(path, message, key=key))

    def unknown_key(self, path: Path, known: Sequence[str]) -> None:
        """Say that a key is not known, which ones are, and which is nearest."""
        key = str(path[-1])
        accepted = ", ".join(known) or "none"
        self.say(path, f"unknown key `{key}`{did_you_mean(key, known)} (accepted: {accepted})", key=True)

    def validate(self, model: type[M], data: dict[str, Any], path: Path, extra_keys: Sequence[str] = ()) -> M | None:
        """Validate a mapping; None if it is wrong, with a problem for each thing that is.

        Args:
            extra_keys: keys that are accepted here besides the model's own, for the list of what is accepted.
        """
        try:
            return model.model_validate(data)
        except ValidationError as error:
            self._translate(error.errors(), model, path, None, extra_keys)
            return None

    def check_value(self, model: type[BaseModel], key: str, value: Any, entry: Path, at: Path) -> None:
        """Check one value of one parameter, so that a problem points at it and not at the whole entry."""
        try:
            model.model_validate({key: value})
        except ValidationError as error:
            own = [detail for detail in error.errors() if detail["loc"][:1] == (key,)]
            self._translate(own[:1], model, entry, at, ())

    def files(
        self, model: type[BaseModel], parameters: Mapping[str, Any], folder: Location, path: Path
    ) -> dict[str, str]:
        """Return the whole paths of settings that name files relative to a folder.

        A setting may be something else, too, such as a model's name; a file that is only in the current folder is
        refused, as nobody would know which of the two was meant.
        """
        found = {}
        for name in file_settings(model):
            value = parameters.get(name)
            if not isinstance(value, str) or not value:
                continue
            at = (*path, name)
            code, colon, attribute = value.rpartition(":")
            if name in code_settings(model):
                if not code.endswith(".py"):
                    continue  # a module, which is found wherever Python finds it
                if (at, code) not in self._located:
                    self._located[at, code] = self._locate(code, folder, at)
                    if self._located[at, code] is None:
                        self.say(at, f"{code}: no such file in {folder}")
                found[name] = f"{self._located[at, code]}{colon}{attribute}"
                continue
            if (at, value) not in self._located:  # once for all operating points
                self._located[at, value] = self._locate(value, folder, at)
            if (place := self._located[at, value]) is not None:
                found[name] = place
        return found

    def _locate(self, value: str, folder: Location, at: Path) -> str | None:
        try:
            place = folder / Location(value).expanduser()
            if place.exists():
                return str(place)
            if Location(value).exists():
                self.say(at, f"{value}: not in {folder}; paths are relative to the suite's folder")
        except (OSError, ValueError, RuntimeError):  # no name that a file could have
            pass
        return None

    def _translate(
        self, details: Sequence[Any], model: type[BaseModel], path: Path, at: Path | None, extra_keys: Sequence[str]
    ) -> None:
        """Say pydantic's findings in qbench's words."""
        for detail in details:
            location = (*path, *detail["loc"])
            fields = fields_at(model, detail["loc"][:-1])
            if detail["type"] == "extra_forbidden":
                self.unknown_key(location, [*fields, *(extra_keys if len(detail["loc"]) == 1 else ())])
            elif detail["type"] != "value_error" and detail["loc"] and detail["loc"][-1] in fields:
                schema = fields[str(detail["loc"][-1])]
                default = f" (default {schema['default']})" if schema.get("default") is not None else ""
                message = f"{detail['input']!r} is not accepted; accepted: {accepted_form(schema)}{default}"
                self.say(at or location, message)
            else:
                self.say(at or location, detail["msg"].removeprefix("Value error, "))


def fields_at(model: type[BaseModel], location: Sequence[str | int] = ()) -> dict[str, Any]:
    """Return the JSON schema properties of a model, or of the nested model that a location leads to."""
    schema = model.model_json_schema()
    definitions = schema.get("$defs", {})
    for step in location:
        schema = schema.get("properties", {}).get(step, {})
        if "$ref" in schema:
            schema = definitions[schema["$ref"].rsplit("/", 1)[-1]]
    properties: dict[str, Any] = schema.get("properties", {})
    return properties


def _place(problem: Problem) -> tuple[str, int, int]:
    """Sort key: by file, line and column."""
    name, line, column = (*problem.where.rsplit(":", 2), "", "")[:3]
    return (name, int(line), int(column)) if line.isdigit() and column.isdigit() else (problem.where, 0, 0)
