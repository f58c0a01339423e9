"""The plan: every cell and every scoring job of a run, each with a content key. Pure; runs nothing."""

from __future__ import annotations

import hashlib
import json
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from qbench.codec import Codec
from qbench.errors import PluginError, QbenchError
from qbench.image import ImageSource
from qbench.metric import Column, Direction, MetricDeclaration, Scope, column_id
from qbench.models.resolve import pinned
from qbench.registry import Registry
from qbench.suite.images import ResolvedImage
from qbench.suite.model import MetricSpec, PointSpec, Suite


@dataclass(frozen=True)
class PlannedImage:
    """An original: its name in the run, where it is (and in which dataset), and what its pixels are."""

    name: str
    location: str
    sha256: str
    width: int
    height: int
    notes: tuple[str, ...] = ()
    dataset: str = ""

    @property
    def pixels(self) -> int:
        """Width × height."""
        return self.width * self.height


@dataclass(frozen=True)
class Target:
    """A value of a metric's column that a codec is to come near to, by one of its settings.

    Attributes:
        metric, column, name: label of a planned metric, one of its columns, and what that is called in tables.
        wanted: the value.
        rising: whether values rise with bytes.
        parameter: the setting that is chosen.
        values: it is looked for between these two; the first gives fewer bytes.
        whole: only whole numbers are accepted.
    """

    metric: str
    column: str
    name: str
    wanted: float
    rising: bool
    parameter: str
    values: tuple[float, float]
    whole: bool

    def accepted(self, value: float) -> float:
        """Return the value in a form that the setting accepts."""
        return int(value) if self.whole else value

    @property
    def some_setting(self) -> dict[str, float]:
        """A setting, for what does not depend on which one is chosen: weights, decoding."""
        return {self.parameter: self.accepted(self.values[0])}


@dataclass(frozen=True)
class OperatingPoint:
    """One codec with one set of parameter values.

    Attributes:
        id: unique in the run: ``jpeg:quality=40``.
        label: of the codec's entry in the suite.
        identity: everything that decides the bytes, for content keys: name, version, libraries, parameters.
        file_extension: of its bitstreams.
        deterministic, runs_on: as the codec declares.
        models: the weights it uses, name → what they are.
        target: how a setting is chosen for each image; None if all are given.
    """

    id: str
    label: str
    codec: str
    parameters: Mapping[str, Any]
    swept: Mapping[str, Any]
    plugin: str
    identity: Mapping[str, Any]
    file_extension: str
    deterministic: bool
    runs_on: str
    models: Mapping[str, str] = field(default_factory=dict)
    target: Target | None = None

    @property
    def owner(self) -> str:
        """Whose fault a failure here is."""
        return f"codec {self.codec}, plugin {self.plugin}"


@dataclass(frozen=True)
class PlannedMetric:
    """A metric with its settings and the columns it fills.

    Attributes:
        identity: everything that decides its values, for content keys; digests of weights included.
        models: the weights it uses, name → what they are.
    """

    label: str
    metric: str
    parameters: Mapping[str, Any]
    plugin: str
    identity: Mapping[str, Any]
    scope: str
    columns: tuple[Column, ...]
    models: Mapping[str, str] = field(default_factory=dict)

    @property
    def owner(self) -> str:
        """Whose fault a failure here is."""
        return f"metric {self.metric}, plugin {self.plugin}"

    @property
    def per_point(self) -> bool:
        """Whether it scores an operating point as a whole and not cell by cell."""
        return self.scope == Scope.DISTRIBUTION

    def column_ids(self) -> list[str]:
        """Return the names that this metric's columns have in tables."""
        return [column_id(self.label, self.metric, column.name) for column in self.columns]


@dataclass(frozen=True)
class Plan:
    """What a run consists of.

    Attributes:
        suite, description, profile, seed: from the suite.
        keep, timing: the suite's settings, as plain values.
        images, points, metrics: in the suite's order. Every image is coded at every point, and every cell
            scored by every metric.
        suite_text, overrides: the suite as run.
    """

    suite: str
    description: str
    profile: str
    seed: int
    keep: Mapping[str, bool]
    timing: Mapping[str, Any]
    images: tuple[PlannedImage, ...]
    points: tuple[OperatingPoint, ...]
    metrics: tuple[PlannedMetric, ...]
    suite_text: str
    overrides: tuple[str, ...] = ()
    sources: Mapping[str, ImageSource] = field(default_factory=dict, compare=False, repr=False)

    @property
    def cells(self) -> int:
        """How many cells there are."""
        return len(self.images) * len(self.points)

    @property
    def jobs(self) -> int:
        """How many scoring jobs there are."""
        return self.cells * len(self.metrics)

    @property
    def participants(self) -> tuple[OperatingPoint | PlannedMetric, ...]:
        """Operating points, then metrics: all that have an identity and may use models."""
        return (*self.points, *self.metrics)

    def iter_cells(self) -> Iterator[tuple[PlannedImage, OperatingPoint, str]]:
        """Yield image, operating point and content key of every cell, in the order of execution."""
        for image in self.images:
            for point in self.points:
                yield image, point, self.cell_key(image, point)

    def cell_key(self, image: PlannedImage, point: OperatingPoint) -> str:
        """SHA-256 (hex) of all that decides a cell's bitstream: codec, version, libraries, settings, pixels, seed."""
        # Weights depend on the profile, and not every codec draws random numbers; the key errs on the safe side.
        return content_key("cell", point.identity, image.sha256, self.seed, self.profile)

    def score_key(self, metric: PlannedMetric, image: PlannedImage, bitstream: str, reconstruction: str) -> str:
        """SHA-256 (hex) of all that decides a score: metric, settings, original, bitstream and reconstruction."""
        return content_key("score", metric.identity, image.sha256, bitstream, reconstruction, self.profile)

    def point_score_key(self, metric: PlannedMetric, reconstructions: Sequence[str]) -> str:
        """SHA-256 (hex) of all that decides a distribution metric's score of an operating point."""
        originals = [image.sha256 for image in self.images]
        return content_key("point score", metric.identity, originals, list(reconstructions), self.profile)

    def key(self) -> str:
        """SHA-256 (hex) of everything that decides the run's records. Two runs with one key are the same run."""
        return content_key(
            "plan",
            self.suite,
            self.profile,
            self.seed,
            dict(self.keep),
            dict(self.timing),
            [[image.name, image.sha256] for image in self.images],
            [[point.id, point.identity] for point in self.points],
            [[metric.label, metric.identity] for metric in self.metrics],
        )

    def image(self, name: str) -> PlannedImage:
        """Return an image by name."""
        return next(image for image in self.images if image.name == name)

    def point(self, point_id: str) -> OperatingPoint:
        """Return an operating point by id."""
        return next(point for point in self.points if point.id == point_id)

    def to_json(self) -> dict[str, Any]:
        """Return plain values that :func:`plan_from_json` makes a plan of again (without sources)."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "sources"}
        for name in ("images", "points", "metrics"):
            plain[name] = [asdict(item) for item in plain[name]]
        result: dict[str, Any] = json.loads(json.dumps(plain))
        return result


def plan_from_json(data: Mapping[str, Any]) -> Plan:
    """Make a plan of what :meth:`Plan.to_json` returned. Its images have no sources: it can be read, not executed."""
    images = tuple(PlannedImage(**{**image, "notes": tuple(image["notes"])}) for image in data["images"])
    points = tuple(OperatingPoint(**{**point, "target": _target_from(point.get("target"))}) for point in data["points"])
    metrics = tuple(
        PlannedMetric(
            **{
                **metric,
                "columns": tuple(
                    Column(**{**column, "direction": Direction(column["direction"])}) for column in metric["columns"]
                ),
            }
        )
        for metric in data["metrics"]
    )
    return Plan(
        **{
            **data,
            "images": images,
            "points": points,
            "metrics": metrics,
            "overrides": tuple(data["overrides"]),
        }
    )


def make_plan(suite: Suite, images: tuple[ResolvedImage, ...], registry: Registry) -> Plan:
    """Make the plan of a validated suite and its images."""
    profile = suite.settings.profile
    metrics = {spec.label: plan_metric(spec, registry, profile) for spec in suite.metrics}
    points = []
    for spec in suite.points:
        offer = registry.codecs.offer(spec.codec)
        codec = offer.cls
        target = _target(spec, codec, metrics)
        # What the weights are does not depend on the setting that a target chooses.
        known = spec.parameters if target is None else {**spec.parameters, **target.some_setting}
        identity, models = _identity(codec, known, profile, str(offer.plugin))
        if target is not None:
            measured_by = metrics[spec.target.metric].identity if spec.target else {}
            identity |= {"parameters": dict(spec.parameters), "target": [asdict(target), measured_by]}
        points.append(
            OperatingPoint(
                spec.id,
                spec.label,
                spec.codec,
                dict(spec.parameters),
                dict(spec.swept),
                str(offer.plugin),
                identity,
                codec.file_extension,
                codec.deterministic,
                codec.runs_on,
                models,
                target,
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
            )
            for image in images
        ),
        tuple(points),
        tuple(metrics.values()),
        suite.text,
        suite.overrides,
        {image.name: image.source for image in images},
    )


def _target(spec: PointSpec, codec: type[Codec], metrics: Mapping[str, PlannedMetric]) -> Target | None:
    if spec.target is None:
        return None
    knob = codec.knob
    assert knob is not None  # the suite was refused otherwise
    metric = metrics[spec.target.metric]
    column = next(column for column in metric.columns if column.name == spec.target.column)
    # Sizes get worse with more bytes, pictures better.
    rising = (column.direction is Direction.HIGHER) != (metric.scope == Scope.RATE)
    return Target(
        metric.label,
        column.name,
        spec.target.name,
        spec.target.wanted,
        rising,
        knob.parameter,
        (knob.low, knob.high) if knob.rising else (knob.high, knob.low),
        knob.whole,
    )


def _target_from(data: Mapping[str, Any] | None) -> Target | None:
    return None if data is None else Target(**{**data, "values": tuple(data["values"])})


def plan_metric(spec: MetricSpec, registry: Registry, profile: str) -> PlannedMetric:
    """Look up one metric of a suite."""
    offer = registry.metrics.offer(spec.metric)
    metric = offer.cls
    identity, models = _identity(metric, spec.parameters, profile, str(offer.plugin))
    label = spec.label
    if label == spec.metric:
        label = metric.default_label(metric.Parameters.model_validate(dict(spec.parameters), strict=False), profile)
    return PlannedMetric(
        label,
        spec.metric,
        dict(spec.parameters),
        str(offer.plugin),
        identity,
        metric.scope.value,
        metric.columns,
        models,
    )


def content_key(*parts: Any) -> str:
    """SHA-256 (hex) of a canonical JSON form of the parts."""
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=dict)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _identity(
    cls: type[Codec] | type[MetricDeclaration], parameters: Mapping[str, Any], profile: str, plugin: str
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return all that decides a codec's or metric's results, and the models it uses: name → what they are.

    Raises:
        QbenchError: it has no such weights, or their digest is not known before they are fetched.
    """
    try:
        used = cls.weights(cls.Parameters.model_validate(dict(parameters), strict=False), profile)
    except QbenchError:
        raise
    except Exception as error:
        raise PluginError(f"{cls.name}, plugin {plugin}: weights failed:\n{traceback.format_exc()}") from error
    identity = {
        "name": cls.name,
        "version": cls.version,
        "libraries": dict(cls.libraries()),
        "parameters": dict(parameters),
        "weights": {weights.name: pinned(weights).sha256 for weights in used},
    }
    return identity, {weights.name: weights.summary for weights in used}
