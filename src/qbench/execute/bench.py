"""The work bench: codes and scores one image after another, in whatever process it was set up in."""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from qbench.codec import Codec, Context, Pixels
from qbench.errors import ImageError, NotApplicable, StoreError
from qbench.execute.batching import BatchEncoder
from qbench.execute.coding import PointCoder, TimingPlan
from qbench.execute.events import CellStarted, Notice, Recorded, ScoringStarted, WorkEvent
from qbench.execute.kept import kept_reconstruction
from qbench.execute.scoring import Outcome, batches, feature_batches, original_features, score_batches
from qbench.execute.targeting import Measure, TargetCoder
from qbench.image import ImageSource, Picture
from qbench.metric import Candidates, DistributionMetric, Metric, MetricDeclaration, Reference
from qbench.plan import OperatingPoint, Plan, PlannedImage, PlannedMetric, Target
from qbench.records import ArtifactNote, CellRecord, Failure, ScoreRecord
from qbench.registry import Registry
from qbench.store import RunFolder, now, score_key


@dataclass(frozen=True)
class CellWork:
    """What is left to do at one operating point of one image.

    Attributes:
        coded: the cell's record if it is coded already and only scores are missing.
        metrics: labels of the metrics to score it with.
    """

    point: OperatingPoint
    key: str
    coded: CellRecord | None
    metrics: tuple[str, ...]


@dataclass(frozen=True)
class ImageWork:
    """What is left to do for one image: the unit that is handed to a worker."""

    image: PlannedImage
    source: ImageSource
    cells: tuple[CellWork, ...]


@dataclass
class CodedImage:
    """An image with the reconstructions that wait to be scored."""

    work: ImageWork
    picture: Picture | None = None
    waiting: list[tuple[CellWork, CellRecord, Pixels]] = field(default_factory=list)


@dataclass(frozen=True)
class Setup:
    """What a bench needs to know, all of it picklable."""

    plan: Plan
    folder: RunFolder
    session: str
    context: Context
    timing: TimingPlan


class Bench:
    """Codes and scores. Coding and scoring may be called from two different threads."""

    def __init__(
        self, setup: Setup, registry: Registry, stopping: Callable[[], bool] = lambda: False, worker: int = 0
    ) -> None:
        self._plan = setup.plan
        self._folder = setup.folder
        self._session = setup.session
        # Plugins may tell something from either thread; it goes out with the next event.
        self._notices: deque[str] = deque()
        self._context = replace(setup.context, notice=self._notices.append)
        self._timing = setup.timing
        self._registry = registry
        self._stopping = stopping
        self._worker = worker
        self._coders: dict[str, PointCoder | TargetCoder] = {}
        self._batches = BatchEncoder(self._coder, stopping)
        self._metrics: dict[str, MetricDeclaration] = {}

    # -- coding ---------------------------------------------------------------------------------------------------

    def groups(self, works: Sequence[ImageWork]) -> Iterator[Sequence[ImageWork]]:
        """Split work into images that :meth:`encode_ahead` is to be given together."""
        return self._batches.groups(works)

    def encode_ahead(self, group: Sequence[ImageWork]) -> Iterator[WorkEvent]:
        """Encode several images at once where codecs can; :meth:`code` goes on from there."""
        yield from self._batches.encode(group)
        yield from self._told()

    def code(self, work: ImageWork, coded: CodedImage) -> Iterator[WorkEvent]:
        """Code an image's cells, filling ``coded`` with what is to be scored. Stops between cells when asked to."""
        try:
            picture = self._batches.picture(work)
        except ImageError as error:
            failure = Failure(plugin=f"image {work.image.name}", error="ImageError", message=str(error))
            yield Recorded(tuple(self._all_failed(work, failure)))
            return
        coded.picture = picture
        for cell in work.cells:
            if self._stopping():
                return
            yield CellStarted(work.image.name, cell.point.id, self._worker)
            try:
                record, reconstruction = self._cell(work, cell, picture.pixels)
            except NotApplicable as reason:
                record, reconstruction = self._cell_record(work, cell, "not-applicable", reason=reason.reason), None
            except StoreError:
                raise
            except Exception as error:
                failure = failure_of(cell.point.owner, error)
                record, reconstruction = self._failed(work, cell, failure), None
            yield from self._told()
            if cell.coded is None or record.outcome != "coded":
                yield Recorded((record,))
            if reconstruction is not None and cell.metrics:
                coded.waiting.append((cell, record, reconstruction))

    def _cell(self, work: ImageWork, cell: CellWork, pixels: Pixels) -> tuple[CellRecord, Pixels]:
        name = work.image.name
        if cell.coded is not None:
            return cell.coded, self._reconstruct(name, cell, cell.coded, pixels)
        made = self._coder(cell.point).code(pixels, self._batches.encoded(work, cell))
        self._folder.write_file(self._folder.bitstream_path(cell.point, name), made.bitstream)
        if self._plan.keep["reconstructions"]:
            self._folder.write_reconstruction(cell.point, name, made.reconstruction)
        for artifact in made.artifacts:
            self._folder.write_file(self._folder.artifact_path(cell.point, name, artifact.name), artifact.data)
        record = self._cell_record(
            work,
            cell,
            "coded",
            bitstream_size=len(made.bitstream),
            bitstream_sha256=made.bitstream_sha256,
            reconstruction_sha256=made.reconstruction_sha256,
            timing=made.timing,
            artifacts=[ArtifactNote(name=artifact.name, summary=artifact.summary) for artifact in made.artifacts],
            found=made.found,
        )
        return record, made.reconstruction

    def _reconstruct(self, name: str, cell: CellWork, record: CellRecord, pixels: Pixels) -> Pixels:
        """Get back what an earlier session or run made; what had to be decoded is kept if it is to be kept."""
        decoded: list[Pixels] = []

        def decode(bitstream: bytes) -> Pixels:
            decoded.append(self._coder(cell.point).decode(bitstream, pixels))
            return decoded[0]

        found = kept_reconstruction(self._folder, cell.point, record, decode)
        if decoded and self._plan.keep["reconstructions"]:
            self._folder.write_reconstruction(cell.point, name, found)
        return found

    def _coder(self, point: OperatingPoint) -> PointCoder | TargetCoder:
        if point.id not in self._coders:
            codec = self._registry.codecs[point.codec]

            def make(chosen: Mapping[str, float]) -> Codec:
                parameters = codec.Parameters.model_validate({**point.parameters, **chosen}, strict=False)
                return codec(parameters, self._context)

            self._coders[point.id] = (
                PointCoder(lambda: make({}), self._timing)
                if point.target is None
                else TargetCoder(point.target, make, self._measure(point.target), self._timing)
            )
        return self._coders[point.id]

    def _measure(self, target: Target) -> Measure:
        """Return what measures a target; with an instance of the metric that no other thread uses."""
        planned = next(metric for metric in self._plan.metrics if metric.label == target.metric)
        metric = make_metric(planned, self._registry, self._context)
        assert isinstance(metric, Metric)  # of distributions the suite accepts no targets

        def measure(original: Pixels, reconstruction: Pixels, size: int) -> float:
            reference = Reference("", original, self._context.device)
            (outcome,) = score_batches(metric, reference, list(batches(reference, [reconstruction], [size])))
            if isinstance(outcome, Exception):
                raise outcome
            assert isinstance(outcome, dict)
            return outcome[target.column]

        return measure

    # -- scoring --------------------------------------------------------------------------------------------------

    def score(self, coded: CodedImage) -> Iterator[WorkEvent]:
        """Score what :meth:`code` left waiting, one metric after another. Stops between metrics when asked to."""
        if coded.picture is None or not coded.waiting:
            return
        image = coded.work.image
        reference = Reference(image.name, coded.picture.pixels, self._context.device)
        shared: dict[tuple[int, ...], list[Candidates]] = {}
        for metric in self._plan.metrics:
            chosen = [index for index, (cell, _, _) in enumerate(coded.waiting) if metric.label in cell.metrics]
            if not chosen:
                continue
            if self._stopping():
                return
            yield ScoringStarted(image.name, metric.label, self._worker)
            if tuple(chosen) not in shared:  # metrics that score the same cells share batches and their tensors
                pixels = [coded.waiting[index][2] for index in chosen]
                sizes = [coded.waiting[index][1].bitstream_size or 0 for index in chosen]
                shared[tuple(chosen)] = list(batches(reference, pixels, sizes))
            outcomes = self._outcomes(metric, reference, shared[tuple(chosen)])
            yield from self._told()
            for index, outcome in zip(chosen, outcomes, strict=True):
                if isinstance(outcome, np.ndarray):
                    path = self._folder.features_path(metric.label, coded.waiting[index][0].point, image.name)
                    self._folder.write_features(path, outcome)
            yield Recorded(
                tuple(
                    self._score_record(metric, image, *coded.waiting[index][:2], outcome)
                    for index, outcome in zip(chosen, outcomes, strict=True)
                )
            )

    def _outcomes(self, planned: PlannedMetric, reference: Reference, groups: Sequence[Candidates]) -> list[Outcome]:
        try:
            if planned.label not in self._metrics:
                self._metrics[planned.label] = make_metric(planned, self._registry, self._context)
            metric = self._metrics[planned.label]
            if isinstance(metric, Metric):
                return score_batches(metric, reference, groups)
            assert isinstance(metric, DistributionMetric)
            path = self._folder.features_path(planned.label, None, reference.image)
            if not path.is_file():
                self._folder.write_features(path, original_features(metric, reference))
            return feature_batches(metric, groups)
        except StoreError:
            raise
        except Exception as error:
            return [error] * sum(len(group) for group in groups)

    def _told(self) -> Iterator[Notice]:
        while self._notices:
            yield Notice(self._notices.popleft())

    # -- records --------------------------------------------------------------------------------------------------

    def _cell_record(self, work: ImageWork, cell: CellWork, outcome: str, **fields: object) -> CellRecord:
        return CellRecord.model_validate(
            {
                "key": cell.key,
                "image": work.image.name,
                "point": cell.point.id,
                "outcome": outcome,
                "session": self._session,
                "at": now(),
                **fields,
            }
        )

    def _failed(self, work: ImageWork, cell: CellWork, failure: Failure) -> CellRecord:
        return self._cell_record(work, cell, "failed", failure=failure, reason=failure.message)

    def _all_failed(self, work: ImageWork, failure: Failure) -> Iterator[CellRecord | ScoreRecord]:
        """Fail everything that was to be done for an image: its cells, or the scores of cells coded before."""
        for cell in work.cells:
            if cell.coded is None:
                yield self._failed(work, cell, failure)
            else:
                for metric in self._plan.metrics:
                    if metric.label in cell.metrics:
                        yield self._score_record(metric, work.image, cell, cell.coded, failure)

    def _score_record(
        self, metric: PlannedMetric, image: PlannedImage, cell: CellWork, record: CellRecord, outcome: Outcome | Failure
    ) -> ScoreRecord:
        return ScoreRecord.model_validate(
            {
                "key": score_key(self._plan, metric, image, record),
                "image": image.name,
                "point": cell.point.id,
                "metric": metric.label,
                "session": self._session,
                "at": now(),
                **outcome_fields(metric, outcome),
            }
        )


def make_metric(planned: PlannedMetric, registry: Registry, context: Context) -> MetricDeclaration:
    """Make the instance of a planned metric."""
    cls = registry.metrics[planned.metric]
    return cls(cls.Parameters.model_validate(dict(planned.parameters), strict=False), context)


def outcome_fields(metric: PlannedMetric, outcome: Outcome | Failure) -> dict[str, object]:
    """Return the fields of a score's record that say what became of it."""
    if isinstance(outcome, NotApplicable):
        return {"outcome": "not-applicable", "reason": outcome.reason}
    if isinstance(outcome, Exception):
        outcome = failure_of(metric.owner, outcome)
    if isinstance(outcome, Failure):
        return {"outcome": "failed", "failure": outcome, "reason": outcome.message}
    # A distribution metric's features are in the run folder; their record has no values.
    return {"outcome": "scored", "values": {} if isinstance(outcome, np.ndarray) else outcome}


def failure_of(plugin: str, error: BaseException) -> Failure:
    """Describe an exception that came out of a plugin."""
    return Failure(
        plugin=plugin,
        error=type(error).__name__,
        message=str(error) or type(error).__name__,
        traceback="".join(traceback.format_exception(error)),
    )
