"""The JSON schema of suites, made from what is installed, for autocompletion and checks in editors."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from qbench.contracts.codec import Codec
from qbench.errors import PluginError
from qbench.registry.catalogue import Offer, rate_parameter
from qbench.registry.forms import NAME
from qbench.registry.registry import Registry
from qbench.suite.load import PROFILES
from qbench.suite.model import ImagesEntry, Settings


def suite_schema(registry: Registry) -> dict[str, Any]:
    """Return a JSON schema (draft 2020-12) for suite files, with every installed codec, metric and dataset."""
    top = Settings.model_json_schema()
    images = _inline(ImagesEntry)
    images["properties"]["dataset"] = {"enum": list(registry.datasets), "description": "a named dataset"}
    images["oneOf"] = [{"required": [key]} for key in ("dataset", "folder", "glob", "files")]
    definitions = dict(top.get("$defs", {}))
    codecs = _labelled(
        definitions,
        "codec",
        {name: _with_target(registry.codecs.offer(name)) for name in registry.codecs},
        registry.codecs,
    )
    metrics = _labelled(
        definitions,
        "metric",
        {name: _inline(metric.Parameters) for name, metric in registry.metrics.items()},
        registry.metrics,
    )
    listed = {
        "type": "array",
        "items": {"anyOf": [{"enum": list(registry.metrics)}, {**metrics, "minProperties": 1, "maxProperties": 1}]},
    }
    properties = {
        **top["properties"],
        "images": {"anyOf": [{"type": "array", "items": images, "minItems": 1}, images]},
        "codecs": {**codecs, "description": "label → settings; a list of values gives an operating point each"},
        "metrics": {"anyOf": [listed, metrics], "description": "names, or label → settings"},
        "profiles": {
            "type": "object",
            "description": "profile → parts of this suite that it changes",
            "additionalProperties": {"type": "object"},
        },
    }
    properties["profile"] = {**properties["profile"], "anyOf": [{"enum": list(PROFILES)}, {"type": "string"}]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "qbench suite",
        "type": "object",
        "additionalProperties": False,
        "required": ["images", "codecs", "metrics"],
        "properties": properties,
        "$defs": definitions,
    }


def _with_target(codec: Offer[type[Codec]]) -> dict[str, Any]:
    schema = _inline(codec.cls.Parameters, sweep=True)
    try:
        rate = rate_parameter(codec, {})
    except PluginError:  # told when a suite gives it a target; a broken plugin must not take the others' schema along
        rate = None
    if rate is not None:
        values = {"anyOf": [{"type": "number"}, {"type": "array", "items": {"type": "number"}, "minItems": 1}]}
        schema["properties"]["target"] = {
            "type": "object",
            "description": f"chooses {rate.name} for each image: a column and its value, e.g. bpp: 0.5",
            "minProperties": 1,
            "maxProperties": 1,
            "additionalProperties": values,
        }
    return schema


def _labelled(
    definitions: dict[str, Any], key: str, models: dict[str, dict[str, Any]], catalogue: Any
) -> dict[str, Any]:
    """Schema of a mapping label → settings, where ``key`` names the thing and defaults to the label.

    Every thing is defined once, in ``definitions``: any label may stand for any of them.
    """
    named, others = {}, []
    for name, schema in models.items():
        definitions[f"{key}-{name}"] = {
            **schema,
            "type": ["object", "null"],
            "description": catalogue[name].summary,
            "properties": {key: {"const": name}, **schema["properties"]},
        }
        named[name] = {"$ref": f"#/$defs/{key}-{name}"}
        others.append({"allOf": [named[name], {"type": "object", "required": [key]}]})
    definitions[f"any-{key}"] = {"anyOf": others} if others else False
    named_otherwise = {"$ref": f"#/$defs/any-{key}"}
    return {
        "type": "object",
        "propertyNames": {"pattern": f"^{NAME.pattern}$"},
        "properties": {name: {"anyOf": [schema, named_otherwise]} for name, schema in named.items()},
        "additionalProperties": named_otherwise,
    }


def _inline(model: type[BaseModel], *, sweep: bool = False) -> dict[str, Any]:
    schema = model.model_json_schema()
    properties = schema.get("properties", {})
    if sweep:
        properties = {
            name: {
                "anyOf": [one, {"type": "array", "items": one, "minItems": 1}],
                **{key: one[key] for key in ("description", "default") if key in one},
            }
            for name, one in properties.items()
        }
    return {"type": "object", "additionalProperties": False, "properties": properties}
