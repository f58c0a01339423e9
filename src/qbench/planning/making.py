"""Making a plan of a validated suite and its images. Pure; runs nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qbench.contracts.codec import Codec
from qbench.contracts.metric import Direction, MetricDeclaration, Scope
from qbench.contracts.weights import hashing_once, known_digest
from qbench.errors import QbenchError
from qbench.models.resolve import pinned
from qbench.planning.types import OperatingPoint, Plan, PlannedImage, PlannedMetric, Target, for_keys
from qbench.registry.catalogue import Offer, rate_parameter
from qbench.registry.code import PLUGIN, code_digests, source_digest
from qbench.registry.registry import Registry
from qbench.suite.images import ResolvedImages
from qbench.suite.model import MetricSpec, PointSpec, Suite


@hashing_once()
def make_plan(suite: Suite, images: ResolvedImages, registry: Registry) -> Plan:
    """Make the plan of a validated suite and its images.

    Raises:
        QbenchError: weights or code that are named can't be found, or two metrics have one name in the end.
    """
    profile = suite.settings.profile
    metrics = {spec.label: plan_metric(spec, registry, profile) for spec in suite.metrics}
    require_distinct(list(metrics.values()))
    points = []
    checked: set[tuple[str, str]] = set()
    for spec in suite.points:
        offer = registry.codecs.offer(spec.codec)
        codec = offer.cls
        target = _target(spec, offer, metrics)
        choices = [{}] if target is None else target.some_settings
        given = {**spec.parameters, **spec.files}
        asked = (spec.codec, json.dumps(given, sort_keys=True, default=str))
        if asked not in checked:
            checked.add(asked)
            offer.ask("check", offer.parameters(given))
        identity, models = _identity(offer, [{**spec.parameters, **each} for each in choices], spec.files, profile)
        if target is not None:
            measured_by = for_keys(metrics[spec.target.metric].identity) if spec.target else {}
            others = {name: value for name, value in identity["parameters"].items() if name != target.parameter}
            identity |= {"parameters": others, "target": [target.identity, measured_by]}
        points.append(
            OperatingPoint(
                spec.id,
                spec.label,
                spec.codec,
                {**spec.parameters, **spec.files},
                dict(spec.swept),
                str(offer.plugin),
                identity,
                codec.file_extension,
                codec.runs_on,
                models,
                target,
                dict(spec.limits),
            )
        )
    settings = suite.settings
    return Plan(
        suite.name,
        settings.description,
        settings.profile,
        settings.seed,
        settings.keep.model_dump(),
        settings.timing.model_dump(),
        tuple(
            PlannedImage(
                image.name,
                image.source.location,
                image.sha256,
                image.width,
                image.height,
                image.notes,
                image.dataset,
                image.alpha,
            )
            for image in images.images
        ),
        tuple(points),
        tuple(metrics.values()),
        suite.text,
        suite.overrides,
        images.remarks,
        settings.limits.given,
        registry.files,
    )


def require_distinct(metrics: Sequence[PlannedMetric]) -> None:
    """Refuse metrics whose columns could not be told apart: two of one label, as one has it by default, say.

    Raises:
        QbenchError: naming them.
    """
    owners: dict[str, PlannedMetric] = {}
    for metric in metrics:
        for name in metric.column_ids():
            if name in owners:
                both = f"{owners[name].metric} and {metric.metric}"
                raise QbenchError(f"two metrics ({both}) would both be called `{name}`; give one another label")
            owners[name] = metric


def _target(spec: PointSpec, codec: Offer[type[Codec]], metrics: Mapping[str, PlannedMetric]) -> Target | None:
    if spec.target is None:
        return None
    rate = rate_parameter(codec, spec.parameters)
    assert rate is not None  # the suite was refused otherwise
    metric = metrics[spec.target.metric]
    column = next(column for column in metric.columns if column.name == spec.target.column)
    # Sizes get worse with more bytes, images better.
    increasing = (column.direction is Direction.HIGHER) != (metric.scope == Scope.RATE)
    return Target(
        metric.label,
        column.name,
        spec.target.name,
        spec.target.wanted,
        increasing,
        rate.name,
        (rate.low, rate.high) if rate.increasing else (rate.high, rate.low),
        rate.integer,
    )


def plan_metric(spec: MetricSpec, registry: Registry, profile: str) -> PlannedMetric:
    """Look up one metric of a suite."""
    offer = registry.metrics.offer(spec.metric)
    metric = offer.cls
    identity, models = _identity(offer, [spec.parameters], spec.files, profile)
    label = spec.label
    if label == spec.metric:
        label = offer.ask("default_label", offer.parameters({**spec.parameters, **spec.files}), profile)
        if not isinstance(label, str) or not label:
            raise offer.broken("default_label", f"returned {label!r}, not a name")
    return PlannedMetric(
        label,
        spec.metric,
        {**spec.parameters, **spec.files},
        str(offer.plugin),
        identity,
        metric.scope.value,
        metric.columns,
        models,
        metric.runs_on,
    )


def _content(path: str) -> str:
    """Return what a file holds, as its digest; of a folder, or of what is not there, its path.

    Of something in a file of code its name: the code itself is part of the identity.
    """
    code, colon, attribute = path.rpartition(":")
    if colon and code.endswith(".py") and Path(code).is_file():
        return f"{Path(code).name}:{attribute}"
    return f"sha256:{known_digest(Path(path))}" if Path(path).is_file() else path


def _identity(
    offer: Offer[type[Codec]] | Offer[type[MetricDeclaration]],
    choices: Sequence[Mapping[str, Any]],
    located: Mapping[str, str],
    profile: str,
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return all that decides a codec's or metric's results, and the models it uses: name → what they are.

    Files are identified by their digests, not by what they are called and where they are.

    Args:
        choices: the parameters; several where one is chosen while coding, which may be of other weights each.

    Raises:
        QbenchError: it has no such weights, or their digest is not known before they are fetched.
    """
    cls = offer.cls
    all_given = [offer.parameters({**parameters, **located}) for parameters in choices]
    used = {weights.name: pinned(weights) for given in all_given for weights in offer.ask("weights", given, profile)}
    versions = offer.ask("versions", all_given[0]) if issubclass(cls, Codec) else {}
    identity = {
        "name": cls.name,
        "version": cls.version,
        "libraries": {**offer.ask("libraries"), **versions},
        "parameters": {**choices[0], **{name: _content(path) for name, path in located.items()}},
        "weights": {name: weights.sha256 for name, weights in used.items()},
    }
    code = code_digests(dict.fromkeys(name for given in all_given for name in offer.ask("code", given)))
    if not offer.plugin.versioned:
        code[PLUGIN] = source_digest(cls)
    if code:
        identity["code"] = code
    own = sorted(name for name, weights in used.items() if weights.profile == "local")
    if own:
        identity["own_files"] = own
    return identity, {name: weights.summary for name, weights in used.items()}
