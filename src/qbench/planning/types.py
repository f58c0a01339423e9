"""The plan: every cell and every scoring job of a run, each with a content key. Plain data."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache, cached_property
from hashlib import sha256
from json.encoder import encode_basestring_ascii
from typing import Any

from pydantic import TypeAdapter

from qbench.contracts.metric import Column, Scope, column_id
from qbench.images.reading import Alpha
from qbench.markup import escape_html, html_table
from qbench.registry.code import UNKNOWN
from qbench.suite.model import Keep, TimingOptions

MOST_SETTINGS = 256
LONGEST_SIDE = 2**31
MOST_DIGITS = 20
MOST_CELLS = 1_000_000
"""Of a run that is read, as a table of them takes a gigabyte; QBENCH_MAX_CELLS allows more."""


@dataclass(frozen=True)
class PlannedImage:
    """An original: its name in the run, where it is (and in which dataset), and what its pixels are.

    Attributes:
        notes: conversions made on reading.
        alpha: what its transparency became: white, black or drop.
        frames: more than one of animations, in results of other tools.
    """

    name: str
    location: str
    sha256: str
    width: int
    height: int
    notes: tuple[str, ...] = ()
    dataset: str = ""
    alpha: Alpha = "white"
    frames: int = 1

    @property
    def pixels(self) -> int:
        """Width × height, of all frames."""
        return self.width * self.height * self.frames


@dataclass(frozen=True)
class Target:
    """A value of a metric's column that a codec is to come near to, by its rate parameter.

    Attributes:
        metric, column, name: label of a planned metric, one of its columns, and what that is called in tables.
        wanted: the value.
        increasing: whether values rise with bytes.
        parameter: the setting that is chosen.
        values: it is searched for between these two; the first gives fewer bytes.
        integer: only integers are accepted.
    """

    metric: str
    column: str
    name: str
    wanted: float
    increasing: bool
    parameter: str
    values: tuple[float, float]
    integer: bool

    def accepted(self, value: float) -> float:
        """Return the value in a form that the setting accepts."""
        return int(value) if self.integer else value

    @property
    def some_settings(self) -> list[dict[str, float]]:
        """Settings that may be chosen, for what depends on them: every integer of a short range, else both ends."""
        low, high = sorted(self.values)
        if self.integer and high - low <= MOST_SETTINGS:
            return [{self.parameter: value} for value in range(int(low), int(high) + 1)]
        return [{self.parameter: self.accepted(value)} for value in (low, high)]

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the setting that is found, for content keys.

        Two fields have the names that run folders of format 1 gave them: under others, those runs could not be resumed.
        """
        fields = asdict(self)
        del fields["metric"], fields["name"]  # labels; what measures is in the key by its own identity
        return {"rising": fields.pop("increasing"), "whole": fields.pop("integer"), **fields}


class Participant:
    """What an operating point and a metric have in common: an identity, of which a run from elsewhere has little."""

    identity: Mapping[str, Any]

    @cached_property
    def canonical_identity(self) -> str:
        """The identity in canonical JSON, for content keys."""
        return canonical(for_keys(self.identity))

    @property
    def libraries(self) -> Mapping[str, str]:
        """The libraries it works with, name → version."""
        return self._texts("libraries")

    @property
    def weights(self) -> Mapping[str, str]:
        """Its weights, name → SHA-256."""
        return self._texts("weights")

    @property
    def unknown_code(self) -> list[str]:
        """What of its code could not be read, so that its results are known by no key."""
        return [name for name, digest in self._texts("code").items() if digest == UNKNOWN]

    def _texts(self, key: str) -> Mapping[str, str]:
        texts: Mapping[str, str] = self.identity.get(key, {})
        return texts


@dataclass(frozen=True)
class OperatingPoint(Participant):
    """One codec with one set of parameter values.

    Attributes:
        id: unique in the run: ``jpeg:quality=40``.
        label: of the codec's entry in the suite.
        identity: everything that decides the bytes, for content keys: name, version, libraries, parameters.
        file_extension: of its bitstreams.
        runs_on: as the codec declares.
        models: the weights it uses, name → what they are.
        target: how a setting is chosen for each image; None if all are given.
        limits: of one call, where they are other than the plan's.
    """

    id: str
    label: str
    codec: str
    parameters: Mapping[str, Any]
    swept: Mapping[str, Any]
    plugin: str
    identity: Mapping[str, Any]
    file_extension: str
    runs_on: str
    models: Mapping[str, str] = field(default_factory=dict)
    target: Target | None = None
    limits: Mapping[str, float] = field(default_factory=dict)

    @property
    def owner(self) -> str:
        """Component to blame for a failure here."""
        return f"codec {self.codec}, plugin {self.plugin}"


@dataclass(frozen=True)
class PlannedMetric(Participant):
    """A metric with its settings and the columns it fills.

    Attributes:
        identity: everything that decides its values, for content keys; digests of weights included.
        models: the weights it uses, name → what they are.
        runs_on: as the metric declares.
    """

    label: str
    metric: str
    parameters: Mapping[str, Any]
    plugin: str
    identity: Mapping[str, Any]
    scope: str
    columns: tuple[Column, ...]
    models: Mapping[str, str] = field(default_factory=dict)
    runs_on: str = "cpu"

    @property
    def owner(self) -> str:
        """Component to blame for a failure here."""
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
        remarks: what was passed over when its images were looked for.
        limits: of one call of a codec or metric, ``seconds`` and bytes of ``memory``, as far as the suite sets them.
        plugins: whole paths of plugins that are one file. A run folder's are never loaded unasked.
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
    remarks: tuple[str, ...] = ()
    limits: Mapping[str, float] = field(default_factory=dict)
    plugins: tuple[str, ...] = ()

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

    def _repr_html_(self) -> str:
        """Return what a notebook shows: a line for each codec and metric."""
        points: dict[str, list[str]] = {}
        for point in self.points:
            points.setdefault(point.label, []).append(point.id.removeprefix(f"{point.label}:"))
        lines = [("codec", label, ", ".join(settings)) for label, settings in points.items()]
        lines += [("metric", metric.label, ", ".join(metric.column_ids())) for metric in self.metrics]
        body = [[escape_html(text) for text in line] for line in lines]
        title = (
            f"{self.suite}: {len(self.images)} images × {len(self.points)} operating points = {self.cells} cells, "
            f"{self.jobs} scoring jobs · profile {self.profile} · seed {self.seed}"
        )
        return html_table(("", "name", "settings or columns"), body, [True] * 3, self.remarks, title)

    def iter_cells(self) -> Iterator[tuple[PlannedImage, OperatingPoint, str]]:
        """Yield image, operating point and content key of every cell, in the order of execution."""
        for image in self.images:
            for point in self.points:
                yield image, point, self.cell_key(image, point)

    def cell_key(self, image: PlannedImage, point: OperatingPoint) -> str:
        """SHA-256 (hex) of all that decides a cell's bitstream: codec, version, libraries, settings, pixels, seed."""
        # Weights depend on the profile, and not every codec draws random numbers; the key errs on the safe side.
        rest = f"{encode_basestring_ascii(image.sha256)},{self.seed},{encode_basestring_ascii(self.profile)}"
        return _key_of("cell", point.canonical_identity, rest)

    def score_key(self, metric: PlannedMetric, image: PlannedImage, bitstream: str, reconstruction: str) -> str:
        """SHA-256 (hex) of all that decides a score: metric, settings, original, bitstream and reconstruction."""
        rest = ",".join(map(encode_basestring_ascii, (image.sha256, bitstream, reconstruction, self.profile)))
        return _key_of("score", metric.canonical_identity, rest)

    def point_score_key(self, metric: PlannedMetric, reconstructions: Sequence[str]) -> str:
        """SHA-256 (hex) of all that decides a distribution metric's score of an operating point."""
        originals = [image.sha256 for image in self.images]
        return content_key("point score", for_keys(metric.identity), originals, list(reconstructions), self.profile)

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
            [[point.id, for_keys(point.identity)] for point in self.points],
            [[metric.label, for_keys(metric.identity)] for metric in self.metrics],
        )

    def image(self, name: str) -> PlannedImage:
        """Return an image by name."""
        return next(image for image in self.images if image.name == name)

    def point(self, point_id: str) -> OperatingPoint:
        """Return an operating point by id."""
        return next(point for point in self.points if point.id == point_id)

    def to_json(self) -> dict[str, Any]:
        """Return plain values that :func:`plan_from_json` makes a plan of again."""
        plain: dict[str, Any] = _adapter().dump_python(self, mode="json")
        return plain


def for_keys(identity: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an identity as it is part of keys: of the user's own files what they hold, not their names."""
    own = identity.get("own_files", [])
    if not own:
        return identity
    rest = {name: value for name, value in identity.items() if name != "own_files"}
    weights = {name: digest for name, digest in identity["weights"].items() if name not in own}
    return {**rest, "weights": {**weights, "own_files": sorted(identity["weights"][name] for name in own)}}


def plan_from_json(data: Mapping[str, Any]) -> Plan:
    """Make a plan of what :meth:`Plan.to_json` returned; fields that this version does not know are ignored.

    Raises:
        ValueError: it is no plan, or none that this or any machine could have made.
    """
    plan = _adapter().validate_python(data)
    timing = {name: value for name, value in plan.timing.items() if name in TimingOptions.model_fields}
    plan = replace(
        plan,
        keep={**Keep().model_dump(), **plan.keep},
        timing=TimingOptions.model_validate(timing).model_dump(),  # a ValidationError is a ValueError
    )
    named = {
        "image": [image.name for image in plan.images],
        "operating point": [point.id for point in plan.points],
        "column": [name for metric in plan.metrics for name in metric.column_ids()],
    }
    for kind, names in named.items():
        if len(set(names)) < len(names):
            raise ValueError(f"two things of one name: {kind} {Counter(names).most_common(1)[0][0]}")
    for image in plan.images:
        if not (0 <= image.width <= LONGEST_SIDE and 0 <= image.height <= LONGEST_SIDE and image.frames >= 1):
            raise ValueError(f"an image of {image.width}×{image.height} pixels and {image.frames} frames")
    for metric in plan.metrics:
        if not all(0 <= column.digits <= MOST_DIGITS for column in metric.columns):
            raise ValueError(f"{metric.owner}: a column of such decimals can't be written")
    for planned in plan.participants:
        for key in ("libraries", "weights", "code"):
            digests = planned.identity.get(key, {})
            if not isinstance(digests, dict) or not all(isinstance(each, str) for each in digests.values()):
                raise ValueError(f"{planned.owner}: its {key} are no names and texts")
        own = planned.identity.get("own_files", [])
        if not isinstance(own, list) or not set(map(str, own)) <= planned.weights.keys():
            raise ValueError(f"{planned.owner}: files without digests")
        if not planned.models.keys() <= planned.weights.keys():
            raise ValueError(f"{planned.owner}: models without digests")
    most = os.environ.get("QBENCH_MAX_CELLS", "")
    if plan.cells > (int(most) if most.isascii() and most.isdigit() else MOST_CELLS):
        raise ValueError(f"{plan.cells} cells, more than {MOST_CELLS}; set QBENCH_MAX_CELLS to read it")
    return plan


def content_key(*parts: Any) -> str:
    """SHA-256 (hex) of a canonical JSON form of the parts."""
    return sha256(canonical(parts).encode()).hexdigest()


def canonical(value: Any) -> str:
    """Return a value as JSON that is the same for equal values."""
    return _ENCODER.encode(value)


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), default=dict)


def _key_of(kind: str, canonical_identity: str, rest: str) -> str:
    """Return ``content_key(kind, identity, *rest)``, of what is canonical already."""
    return sha256(f'["{kind}",{canonical_identity},{rest}]'.encode()).hexdigest()


@cache
def _adapter() -> TypeAdapter[Plan]:
    return TypeAdapter(Plan)
