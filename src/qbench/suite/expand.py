"""Entries of codecs into operating points: lists of values, and targets."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as Location
from typing import Any

from pydantic import BaseModel

from qbench.contracts.metric import Scope, column_id, range_text
from qbench.errors import PluginError, did_you_mean
from qbench.registry.catalogue import rate_parameter
from qbench.registry.registry import Registry
from qbench.suite.document import Path
from qbench.suite.findings import Findings, fields_at
from qbench.suite.model import MetricSpec, PointSpec, TargetSpec

MAX_POINTS = 10_000


class Expander:
    """Expands the entries of one suite."""

    def __init__(self, registry: Registry, findings: Findings, metrics: Sequence[MetricSpec], folder: Location) -> None:
        self._folder = folder
        self._registry = registry
        self._findings = findings
        self._metrics = metrics

    def expand(self, label: str, name: str, settings: dict[str, Any], path: Path) -> Iterator[PointSpec]:
        """Yield the operating points of an entry; say what is wrong with it.

        Args:
            label, name: of the entry, and of its codec.
            settings: as they stand in the suite, without ``codec``.
            path: where the entry is.
        """
        if "target" in settings:
            return self._targeted(label, name, dict(settings), path)
        return self._swept(label, name, settings, path)

    def _swept(self, label: str, name: str, settings: dict[str, Any], path: Path) -> Iterator[PointSpec]:
        model = self._registry.codecs[name].Parameters
        settings, inner = _taken_apart(model, settings)
        swept = [key for key, value in settings.items() if isinstance(value, list) and not _is_list_field(model, key)]
        found = len(self._findings.problems)
        for key, value in settings.items():
            choices = [((*path, key, index), choice) for index, choice in enumerate(value)] if key in swept else []
            if key in swept and not choices:
                self._findings.say((*path, key), "the list is empty: it gives no operating point")
            if key not in model.model_fields:
                self._findings.unknown_key((*path, key), list(model.model_fields))
                continue
            for at, choice in choices if key in swept else [((*path, key), value)]:
                self._findings.check_value(model, key, choice, path, at)
            self._require_distinct(choices)
        for sweep in inner:
            choices = [((*path, *sweep.place, index), choice) for index, choice in enumerate(sweep.choices)]
            if not choices:
                self._findings.say((*path, *sweep.place), "the list is empty: it gives no operating point")
            for at, choice in choices:
                whole = {**settings[sweep.place[0]], sweep.place[1]: choice}
                self._findings.check_value(model, sweep.place[0], whole, path, at)
            self._require_distinct(choices)
        if len(self._findings.problems) > found:
            return
        sweeps = [*(settings[key] for key in swept), *(sweep.choices for sweep in inner)]
        for combination in itertools.islice(itertools.product(*sweeps), MAX_POINTS + 1):
            here = dict(zip(swept, combination, strict=False))
            whole = {**settings, **here}
            for sweep, choice in zip(inner, combination[len(swept) :], strict=True):
                outer, key = sweep.place
                whole[outer] = {**whole[outer], key: choice}
                here[sweep.name] = choice
            parameters = self._findings.validate(model, whole, path)
            if parameters is None:
                return
            plain = parameters.model_dump(mode="json")
            yield PointSpec(label, name, plain, here, files=self._findings.files(model, plain, self._folder, path))

    def _require_distinct(self, choices: Sequence[tuple[Path, Any]]) -> None:
        for index, (at, choice) in enumerate(choices):
            if any(choice == earlier and type(choice) is type(earlier) for _, earlier in choices[:index]):
                self._findings.say(at, f"{choice!r} is duplicated")

    def _targeted(
        self,
        label: str,
        name: str,
        settings: dict[str, Any],
        path: Path,
    ) -> Iterator[PointSpec]:
        """Expand an entry one of whose settings is chosen for each image: ``target: {bpp: [0.25, 0.5]}``."""
        at = (*path, "target")
        targets = list(self._targets(settings.pop("target"), at))
        codec = self._registry.codecs[name]
        found = len(self._findings.problems)
        for point in self._swept(label, name, settings, path):
            rate = rate_parameter(self._registry.codecs.offer(name), point.parameters)
            if rate is None:
                supported = [other for other in self._registry.codecs if self._supports_targets(other)]
                text = f"{name} doesn't support targets with these settings; codecs that do: {', '.join(supported)}"
                self._findings.say(at, text)
                return
            if rate.name in settings:
                text = f"{rate.name} is chosen by the target; remove one of them"
                self._findings.say((*path, rate.name), text, key=True)
                return
            for end in (rate.low, rate.high):
                accepted = {**settings, **point.swept, rate.name: int(end) if rate.integer else end}
                self._findings.validate(codec.Parameters, accepted, path)
            if len(self._findings.problems) > found:
                return
            parameters = {key: value for key, value in point.parameters.items() if key != rate.name}
            for target in targets:
                swept = {**point.swept, f"target.{target.name}": target.wanted}
                yield PointSpec(label, name, parameters, swept, target, point.files)

    def _supports_targets(self, name: str) -> bool:
        try:
            return rate_parameter(self._registry.codecs.offer(name), {}) is not None
        except PluginError:  # of another codec than this suite's
            return False

    def _targets(self, value: Any, at: Path) -> Iterator[TargetSpec]:
        if not isinstance(value, dict) or len(value) != 1:
            self._findings.say(at, f"{value!r} is not accepted; write one column and its value, e.g. {{bpp: 0.5}}")
            return
        ((name, wanted),) = value.items()
        columns = {
            column_id(metric.label, metric.metric, column.name): (metric, column)
            for metric in self._metrics
            for column in self._registry.metrics[metric.metric].columns
            if self._registry.metrics[metric.metric].scope is not Scope.DISTRIBUTION
        }
        if name not in columns:
            near = did_you_mean(name, columns)
            self._findings.say(
                (*at, name),
                f"no metric of this suite gives `{name}`{near} (accepted: {', '.join(columns) or 'none'})",
                key=True,
            )
            return
        metric, column = columns[name]
        listed = list(enumerate(wanted)) if isinstance(wanted, list) else [(None, wanted)]
        if not listed:
            self._findings.say((*at, name), "the list is empty: it gives no operating point")
        seen: set[float] = set()
        for index, one in listed:
            place = (*at, name) if index is None else (*at, name, index)
            if isinstance(one, bool) or not isinstance(one, int | float) or not math.isfinite(one):
                self._findings.say(place, f"{one!r} is not accepted; accepted: a finite number, or a list of numbers")
                continue
            within = (column.lower is None or one >= column.lower) and (column.upper is None or one <= column.upper)
            if not within or (one <= 0 and self._registry.metrics[metric.metric].scope is Scope.RATE):
                self._findings.say(place, f"{one!r} is no value of {name}, which is {range_text(column)}")
                continue
            if one in seen:
                self._findings.say(place, f"{one!r} is duplicated")
                continue
            seen.add(one)
            yield TargetSpec(metric.label, column.name, name, one)


@dataclass(frozen=True)
class _Inner:
    """A list within a setting that is a mapping of plain values: ``arguments: {step: [0.5, 1]}``.

    Attributes:
        place: name of the setting, and key within it.
        name: in labels: the key, unless a setting is called so.
    """

    place: tuple[str, str]
    choices: list[Any]
    name: str


def _taken_apart(model: type[BaseModel], settings: dict[str, Any]) -> tuple[dict[str, Any], list[_Inner]]:
    """Return settings without lists within mappings of plain values, and those."""
    found: list[_Inner] = []
    rest = dict(settings)
    for outer, value in settings.items():
        if not isinstance(value, dict) or _holds_lists(fields_at(model).get(outer, {})):
            continue
        lists = {key: each for key, each in value.items() if isinstance(each, list)}
        rest[outer] = {key: each for key, each in value.items() if key not in lists}
        for key, each in lists.items():
            taken = key in model.model_fields or any(other.name == key for other in found)
            found.append(_Inner((outer, key), each, f"{outer}.{key}" if taken else str(key)))
    return rest, found


def _holds_lists(schema: Mapping[str, Any]) -> bool:
    """Say whether values of a mapping may be lists themselves."""
    values = schema.get("additionalProperties", {})
    if schema.get("type") != "object" or not isinstance(values, dict) or not values:
        return True
    return any(each.get("type") in (None, "array", "object") for each in values.get("anyOf", [values]))


def _is_list_field(model: type[BaseModel], key: str) -> bool:
    schema = fields_at(model).get(key, {})
    return "array" in [schema.get("type"), *(option.get("type") for option in schema.get("anyOf", []))]
