"""The parameter models of codecs, metrics and recipes, and what they accept in words for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict


class Parameters(BaseModel):
    """Base of every parameter model.

    Give each field a description, a default and bounds: this model is the suite's validation, the command line's
    help, the JSON schema and the documentation. Unknown keys are refused, and a number written as text is not
    quietly converted.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class _IsFile:
    """Marks a setting that may name a file."""


LocalFile = Annotated[str, _IsFile()]
"""A setting that may be a path: relative ones are relative to the suite's folder, as those of its images are."""


class _IsCode(_IsFile):
    """Marks a setting that may name something in a file."""


LocalCode = Annotated[str, _IsCode()]
"""A setting that names code: ``package.module:Name``, or ``file.py:Name`` with a path as of :data:`LocalFile`."""


def code_settings(model: type[BaseModel]) -> frozenset[str]:
    """Return the names of the settings that are :data:`LocalCode`."""
    return frozenset(
        name for name, field in model.model_fields.items() if any(isinstance(m, _IsCode) for m in field.metadata)
    )


def file_settings(model: type[BaseModel]) -> frozenset[str]:
    """Return the names of the settings that are :data:`LocalFile`."""
    return frozenset(name for name, field in model.model_fields.items() if _has_mark(field.annotation, field.metadata))


def _has_mark(annotation: Any, metadata: Sequence[Any] = ()) -> bool:
    if any(isinstance(each, _IsFile) for each in metadata):
        return True
    return any(_has_mark(inner, getattr(inner, "__metadata__", ())) for inner in get_args(annotation))


class NoParameters(Parameters):
    """For codecs and metrics without settings."""


def parameter_rows(model: type[BaseModel]) -> list[dict[str, str]]:
    """Describe a parameter model for people: name, accepted values, default, description."""
    properties = model.model_json_schema()["properties"] if model.model_fields else {}
    rows = []
    for name, schema in properties.items():
        default = model.model_fields[name].default
        rows.append(
            {
                "name": name,
                "accepts": accepted_form(schema),
                "default": "none"
                if default is None
                else str(default).lower()
                if isinstance(default, bool)
                else str(default),
                "description": str(schema.get("description", "")),
            }
        )
    return rows


def accepted_form(schema: Mapping[str, Any]) -> str:
    """Say in words what a JSON schema of one parameter accepts: ``integer from 1 to 100``."""
    if "enum" in schema:
        return "one of " + ", ".join(str(value) for value in schema["enum"])
    if "const" in schema:
        return str(schema["const"])
    if "anyOf" in schema:
        return " or ".join(accepted_form(option) for option in schema["anyOf"])
    kind = str(schema.get("type", "value"))
    words = {
        "integer": "integer",
        "number": "number",
        "boolean": "true or false",
        "string": "text",
        "array": "list",
        "object": "mapping",
        "null": "none",
    }.get(kind, kind)
    low = schema.get("minimum")
    high = schema.get("maximum")
    above = schema.get("exclusiveMinimum")
    below = schema.get("exclusiveMaximum")
    if low is not None and high is not None:
        return f"{words} from {low} to {high}"
    bounds = [
        f"{sign} {bound}"
        for sign, bound in (("at least", low), ("at most", high), ("above", above), ("below", below))
        if bound is not None
    ]
    return f"{words} {' and '.join(bounds)}".strip()
