"""What is done at a station: reading and encoding, decoding, scoring. Each desk sees no more than its work needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from qbench.contracts.codec import Complexity
from qbench.contracts.context import Context
from qbench.contracts.metric import (
    Candidates,
    DistributionMetric,
    Explanation,
    Metric,
    MetricDeclaration,
    Reference,
)
from qbench.execute.as_planned import as_planned
from qbench.execute.coder import Decoded, Encoded, Form, PointDecoder, PointEncoder, Size
from qbench.execute.scoring import (
    Features,
    Outcome,
    batches,
    explain_one,
    feature_batches,
    finish_point,
    make_metric,
    original_features,
    score_batches,
    score_several,
)
from qbench.execute.sealed import tensors_hold
from qbench.execute.work import ContractError, TimingPlan
from qbench.images.image import Image
from qbench.images.sources import ImageSource, read_again
from qbench.planning.types import OperatingPoint, PlannedMetric
from qbench.records import FoundSetting
from qbench.registry.registry import Registry
from qbench.results.run import Run
from qbench.store.folder import RunFolder

P = TypeVar("P", PointEncoder, PointDecoder)
SHARED = ("uploaded", "tensor")
"""What metrics share of a batch once one of them has asked for it."""


@dataclass(frozen=True)
class Setting:
    """A codec's settings at one operating point.

    Attributes:
        found: the value of the rate parameter that was found, or is tried, for a target.
        strict: whether it must be the very version and code that was planned; not to decode what has a digest.
    """

    point: OperatingPoint
    found: float | None = None
    strict: bool = True

    @classmethod
    def of(cls, point: OperatingPoint, found: FoundSetting | None, *, strict: bool = True) -> Setting:
        """Return the settings of a point, with what was found for its target, if it has one."""
        return cls(point, None if found is None else found.value, strict)

    @property
    def key(self) -> tuple[str, float | None]:
        """What one instance of the codec is made for."""
        return self.point.id, self.found


@dataclass(frozen=True)
class Promises:
    """What a codec says of itself with these settings."""

    batch_size: int
    threads: int | None
    lossless: bool


class Desk:
    """Work of one kind, in whatever process.

    Args:
        context: for plugins; its notices are the answer's.
    """

    def __init__(self, registry: Registry, context: Context, timing: TimingPlan) -> None:
        self._registry = registry
        self._context = context
        self._timing = timing

    def observe(self, hook: str, observer: str, name: str, value: Any) -> None:
        """Tell a plugin what happens; a run is given as the path of its folder."""
        if isinstance(value, Path):
            value = Run(value, RunFolder(value).load())
        self._registry.observe(hook, observer, **{name: value})

    def close(self) -> list[str]:
        """Let plugins release what they took; return what went wrong."""
        return []


class _CodingDesk(Desk):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._instances: dict[tuple[str, float | None], tuple[Setting, Any]] = {}
        self._unusable: dict[tuple[str, float | None], Exception] = {}
        self._coded: dict[str, set[Size]] = {}

    def _instance(self, cls: type[P], setting: Setting) -> P:
        """Return the instance for a setting; made once, however many images there are, and however it fails."""
        if setting.key in self._unusable:
            raise self._unusable[setting.key]
        if setting.key not in self._instances:
            try:
                coded = self._coded.setdefault(setting.point.codec, set())
                made = coder_at(cls, self._registry, setting, self._context, self._timing, coded)
            except Exception as error:
                self._unusable[setting.key] = error
                raise
            self._instances[setting.key] = setting, made
        found: P = self._instances[setting.key][1]
        return found

    def close(self) -> list[str]:
        """Let codecs release what they took; return what went wrong."""
        failed = []
        for setting, instance in self._instances.values():
            try:
                instance.close()
            except Exception as error:
                failed.append(f"{setting.point.owner}: close failed: {type(error).__name__}: {error}")
        self._instances.clear()
        return failed


class EncodingDesk(_CodingDesk):
    """Reads originals and encodes them."""

    def read(self, source: ImageSource, sha256: str, location: str) -> Image:
        """Read an original.

        Raises:
            ImageError: it can't be read, or is not the one that was planned.
        """
        return read_again(source, sha256, location)

    def promises(self, setting: Setting) -> Promises:
        """Return what the codec says of itself."""
        encoder = self._instance(PointEncoder, setting)
        return Promises(encoder.batch_size, encoder.threads, encoder.lossless)

    def encode(self, setting: Setting, image: Image) -> tuple[Encoded, Promises]:
        """Encode an image, timed."""
        return self._instance(PointEncoder, setting).encode(image), self.promises(setting)

    def encode_batch(self, setting: Setting, images: Sequence[Image]) -> tuple[list[Encoded], Promises]:
        """Encode several images together, timed."""
        return self._instance(PointEncoder, setting).encode_batch(images), self.promises(setting)

    def try_out(self, setting: Setting, image: Image) -> bytes:
        """Encode an image once, to see what comes of a setting."""
        return self._instance(PointEncoder, setting).try_out(image)


@dataclass(frozen=True)
class Unpacked:
    """What a bitstream held.

    Attributes:
        parts: names and sizes of the bitstream's parts.
    """

    decoded: Decoded
    parts: Mapping[str, int]


class DecodingDesk(_CodingDesk):
    """Decodes. No original, and no name of one, ever comes here."""

    def decode(self, setting: Setting, bitstream: bytes, form: Form) -> Unpacked:
        """Decode a bitstream, timed."""
        return self._unpacked(setting, self._instance(PointDecoder, setting).decode(bitstream, form), bitstream)

    def decode_batch(self, setting: Setting, bitstreams: Sequence[bytes], forms: Sequence[Form]) -> list[Unpacked]:
        """Decode several bitstreams together, timed."""
        decoded = self._instance(PointDecoder, setting).decode_batch(bitstreams, forms)
        return [self._unpacked(setting, *pair) for pair in zip(decoded, bitstreams, strict=True)]

    def decode_stored(self, setting: Setting, bitstream: bytes, shape: tuple[int, ...], form: Any) -> Image:
        """Decode a bitstream once."""
        return self._instance(PointDecoder, setting).decode_stored(bitstream, shape, form)

    def complexity(self, setting: Setting, height: int, width: int) -> Complexity | None:
        """Return what coding an image of that size costs, as the codec says."""
        return self._instance(PointDecoder, setting).complexity(height, width)

    def _unpacked(self, setting: Setting, decoded: Decoded, bitstream: bytes) -> Unpacked:
        return Unpacked(decoded, dict(self._instance(PointDecoder, setting).parts(bitstream)))


class ScoringDesk(Desk):
    """Scores the reconstructions of one image at a time, by one metric after another."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._metrics: dict[str, MetricDeclaration] = {}
        self._name = ""
        self._images: tuple[Image, ...] = ()
        self._sizes: tuple[int, ...] = ()
        self._identical: tuple[bool, ...] = ()
        self._tensors: dict[tuple[int, ...], dict[str, Any]] = {}
        self._prepared: dict[str, Any] = {}
        self._largest: dict[str, int] = {}

    def check(self, planned: PlannedMetric) -> None:
        """Make a metric once.

        Raises:
            QbenchError: settings that only the metric itself can judge are wrong.
        """
        make_metric(planned, self._registry, self._context)

    def take(self, name: str, original: Image, reconstructions: Sequence[Image], sizes: Sequence[int]) -> None:
        """Take the images that are scored from now on, and the sizes of the reconstructions' bitstreams."""
        if not (name == self._name and self._images and original.equals(self._images[0])):
            self._prepared = {}  # what metrics made of another original
        self._name, self._images, self._sizes = name, (original, *reconstructions), tuple(sizes)
        self._identical = tuple(image.equals(original) for image in reconstructions)
        self._tensors = {}

    def score(self, planned: PlannedMetric, chosen: tuple[int, ...]) -> list[Outcome]:
        """Score some of the reconstructions; an outcome for each, in order."""
        metric = self._metric(planned)
        threads = self._context.threads if metric.parallel else 1
        reference, groups = self._handed_out(chosen, threads, self._largest.get(planned.label))

        def lacking(largest: int) -> None:
            self._largest[planned.label] = largest
            device = self._context.device
            self._context.notice(f"{planned.label}: {device} is out of memory; continuing with {largest} at a time")

        if isinstance(metric, Metric):
            outcomes = score_batches(metric, reference, groups, self._prepared, planned.label, lacking)
        else:
            assert isinstance(metric, DistributionMetric)
            outcomes = feature_batches(metric, groups, lacking)
        self._take_back(chosen, reference, groups)
        return outcomes

    def score_several(
        self, planned: PlannedMetric, members: Sequence[tuple[str, Image, Sequence[Image], Sequence[int]]]
    ) -> list[list[Outcome] | None]:
        """Score reconstructions of several images together.

        Args:
            members: of each image its name, the original, reconstructions, and sizes of their bitstreams.

        Returns:
            For each image an outcome for each of its reconstructions; None where it is to be scored alone.
        """
        metric = self._metric(planned)
        assert isinstance(metric, Metric)
        groups = []
        for name, original, reconstructions, sizes in members:
            reference = Reference(name, _anew(original), self._context.device)
            images = [_anew(image) for image in reconstructions]
            groups.append(Candidates(reference, images, tuple(sizes), self._context.device))
        return score_several(metric, groups)

    def features_of_original(self, planned: PlannedMetric) -> Features:
        """Return a distribution metric's features of the original."""
        reference, _ = self._handed_out(())
        metric = self._metric(planned)
        assert isinstance(metric, DistributionMetric)
        found = original_features(metric, reference)
        self._take_back((), reference, [])
        return found

    def finish(self, planned: PlannedMetric, originals: Sequence[Features], features: Sequence[Features]) -> Outcome:
        """Score an operating point from the features of all images."""
        metric = self._metric(planned)
        assert isinstance(metric, DistributionMetric)
        return finish_point(metric, originals, features)

    def explain(self, planned: PlannedMetric, index: int) -> Explanation:
        """Say what is behind a metric's scores of one of the reconstructions; by whatever version is installed."""
        reference, _ = self._handed_out(())
        metric = self._metric(planned, strict=False)
        return explain_one(metric, reference, _anew(self._images[1 + index]), self._sizes[index])

    def _metric(self, planned: PlannedMetric, *, strict: bool = True) -> MetricDeclaration:
        if planned.label not in self._metrics:
            self._metrics[planned.label] = make_metric(planned, self._registry, self._context, strict=strict)
        return self._metrics[planned.label]

    def _handed_out(
        self, chosen: tuple[int, ...], threads: int = 1, largest: int | None = None
    ) -> tuple[Reference, list[Candidates]]:
        """Return original and batches for one metric: objects of its own, whatever it does to them, of shared samples.

        Metrics that score the same reconstructions in the same batches share their tensors as well.
        """
        reference = Reference(self._name, _anew(self._images[0]), self._context.device)
        images, sizes = [_anew(self._images[1 + index]) for index in chosen], [self._sizes[index] for index in chosen]
        groups = list(batches(reference, images, sizes, threads, largest))
        for indices, group in [((), reference), *self._members(chosen, groups)]:
            if indices:
                group.__dict__["identical"] = tuple(self._identical[index] for index in indices)
            group.__dict__.update(self._tensors.get(indices, {}))
        return reference, groups

    def _take_back(self, chosen: tuple[int, ...], reference: Reference, groups: Sequence[Candidates]) -> None:
        """Keep tensors that a metric had made; raise ContractError where it wrote to them, which others read."""
        members = [((), reference), *self._members(chosen, groups)]
        handed_out = [
            (group, [self._images[1 + index].pixels for index in indices] or [self._images[0].pixels])
            for indices, group in members
            if "tensor" in group.__dict__
        ]
        if handed_out and not tensors_hold(handed_out):
            self._tensors = {}
            raise ContractError("writes to the images, which other metrics read")
        for indices, group in members:
            self._tensors[indices] = {name: group.__dict__[name] for name in SHARED if name in group.__dict__}

    @staticmethod
    def _members(chosen: tuple[int, ...], groups: Sequence[Candidates]) -> list[tuple[tuple[int, ...], Any]]:
        """Return the batches, each after the indices of its reconstructions."""
        step = len(groups[0]) if groups else 1
        return [(chosen[number * step : (number + 1) * step], group) for number, group in enumerate(groups)]


def _anew(image: Image) -> Image:
    """Return an image of the same samples that is nobody else's object."""
    return Image(image.pixels.view(), image.format, image.notes)


def coder_at(
    cls: type[P],
    registry: Registry,
    setting: Setting,
    context: Context,
    timing: TimingPlan,
    coded: set[Size],
) -> P:
    """Return an encoder or decoder at an operating point, with the setting that was found for its target.

    Args:
        coded: sizes that the codec has coded in this process.

    Raises:
        QbenchError: weights or code are not what was planned.
        Exception: whatever the codec raises when it is made and set up.
    """
    point = setting.point
    codec = registry.codecs[point.codec]
    chosen = {} if setting.found is None or point.target is None else {point.target.parameter: setting.found}
    parameters = codec.Parameters.model_validate({**point.parameters, **chosen}, strict=False)
    with as_planned(codec, parameters, point.identity, context.profile, strict=setting.strict):
        return cls(lambda: codec(parameters, context), timing, coded=coded)
