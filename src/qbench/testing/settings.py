"""Settings at random, as a codec's or metric's parameter model accepts them."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import ValidationError

from qbench.contracts.parameters import Parameters

TRIES = 100
VARIED = 0.5
"""Share of the settings that differ from their defaults."""


def random_settings(model: type[Parameters], rng: np.random.Generator) -> dict[str, Any]:
    """Return settings that a model accepts, drawn from the ranges that it declares; text and lists stay as they are.

    Of a number without an upper bound at most twice its default is taken.
    """
    schema = model.model_json_schema()
    for _ in range(TRIES):
        drawn = {}
        for name, form in schema.get("properties", {}).items():
            value = _drawn(form, schema.get("$defs", {}), rng) if rng.random() < VARIED else None
            if value is not None:
                drawn[name] = value
        try:
            model.model_validate(drawn)
        except ValidationError:  # settings that exclude each other
            continue
        if drawn:
            return drawn
    return {}


def _drawn(form: dict[str, Any], definitions: dict[str, Any], rng: np.random.Generator) -> Any:
    """Return a value of one setting; None to leave it."""
    for key in ("anyOf", "allOf"):
        if form.get(key):
            kinds = [each for each in form[key] if each.get("type") != "null"]
            return _drawn({**form, **kinds[rng.integers(len(kinds))], key: None}, definitions, rng) if kinds else None
    if "$ref" in form:
        return _drawn(definitions[form["$ref"].rsplit("/", 1)[-1]], definitions, rng)
    if "enum" in form:
        return form["enum"][rng.integers(len(form["enum"]))]
    kind, default = form.get("type"), form.get("default")
    if kind == "boolean":
        return bool(rng.integers(2))
    if kind not in ("integer", "number"):
        return None
    low = form.get("minimum", form.get("exclusiveMinimum", 0))
    usual = default if isinstance(default, int | float) else 1
    high = min(
        form.get("maximum", form.get("exclusiveMaximum", 2 * abs(usual) + 1)), max(2 * abs(usual) + 1, low + 100)
    )
    if kind == "integer":
        return int(rng.integers(int(low), int(high) + 1))
    return float(rng.uniform(low, high))
