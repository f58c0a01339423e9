"""The JSON schema of a journal's lines, made from the records, for programs that read runs without qbench."""

from __future__ import annotations

import re
from typing import Any

from pydantic import TypeAdapter

from qbench.planning.types import Plan
from qbench.records import AnyRecord
from qbench.store.migrations import FORMAT_VERSION

_ROLE = re.compile(r":\w+:`~?([\w.]+)`|``(.+?)``")


def run_folder_schema() -> dict[str, Any]:
    """Return a JSON schema (draft 2020-12) for every line of a journal of the present version."""
    record, plan = AnyRecord.json_schema(), TypeAdapter(Plan).json_schema()
    definitions = {**record.pop("$defs"), **plan.pop("$defs"), "Plan": plan}
    # Records hold the plan as plain values, so that reading a journal does not need to understand it.
    definitions["PlanRecord"]["properties"]["plan"] = {"$ref": "#/$defs/Plan"}
    for definition in definitions.values():
        properties = definition.get("properties", {})
        if "const" in properties.get("kind", {}):
            # To qbench the kind is a default; to others it is what tells records apart.
            definition["required"] = ["kind", *definition["required"]]
        for field in properties.values():
            field.pop("title", None)  # the field's name, once more
    header = {
        "title": "Header",
        "description": "The version of the lines that follow; the first line, and again where a newer qbench went on.",
        "type": "object",
        "properties": {"qbench-journal": {"const": FORMAT_VERSION}},
        "required": ["qbench-journal"],
        "additionalProperties": False,
    }
    line = {
        "title": "Line",
        "type": "object",
        "properties": {
            "crc32": {
                "description": "CRC-32 of the record's bytes as they stand in the line.",
                "type": "string",
                "pattern": "^[0-9a-f]{8}$",
            },
            "record": record,
        },
        "required": ["crc32", "record"],
        "additionalProperties": False,
    }
    schema: dict[str, Any] = _readable(
        {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": f"qbench run folder, version {FORMAT_VERSION}: a line of journal.jsonl",
            "description": "docs/run-folder.md tells what the lines mean. Fields that are not listed may be there.",
            "anyOf": [{"$ref": "#/$defs/Header"}, {"$ref": "#/$defs/Line"}],
            "$defs": {"Header": header, "Line": line, **dict(sorted(definitions.items()))},
        }
    )
    return schema


def _readable(value: Any) -> Any:
    """Return a schema whose descriptions are plain text, without the markup of docstrings."""
    if isinstance(value, dict):
        return {
            name: _ROLE.sub(r"`\1\2`", each) if name == "description" and isinstance(each, str) else _readable(each)
            for name, each in value.items()
        }
    return [_readable(each) for each in value] if isinstance(value, list) else value
