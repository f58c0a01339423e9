"""Scoring: the reconstructions of an image by one metric after another, and operating points as a whole."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Generator, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from qbench.contracts.context import Context
from qbench.contracts.metric import Candidates, DistributionMetric, Metric, MetricDeclaration, Reference
from qbench.errors import NotApplicable, QbenchError, StoreError
from qbench.execute.as_planned import as_planned
from qbench.execute.sealed import Seal, tensor_holds
from qbench.execute.stage import Stage
from qbench.execute.work import CodedImage, ContractError, Recorded, ScoringStarted, Setup, WorkEvent, told
from qbench.images.image import Image
from qbench.planning.types import OperatingPoint, Plan, PlannedImage, PlannedMetric
from qbench.records import CellRecord, Failure, ScoreRecord
from qbench.registry.registry import Registry
from qbench.results.state import RunState, score_key
from qbench.store.folder import now

CPU_BATCH_PIXELS = 600_000
"""Pixels scored at a time on a CPU: larger batches leave its caches (measured: up to twice as slow) and cost memory."""
GPU_BATCH_PIXELS = 64_000_000
"""Likewise on an accelerator, where small batches leave it idle."""

TENSOR_BYTES = 4
MOST_TENSOR_BYTES = 400_000_000
"""Of an image's reconstructions as tensors, which metrics share up to there."""
ROUNDING = 1e-5
"""How far float32 arithmetic may carry a value past its range. Such values are kept as they are, never clamped."""

Features = npt.NDArray[np.float32]
Values = dict[str, float | NotApplicable]
"""Of every column, where it applies."""
Outcome = Values | Features | NotApplicable | Exception
"""What became of one reconstruction: scores, features (of a distribution metric), or why there are none."""


class ImageScorer(Stage):
    """Scores images that :class:`~qbench.execute.coding.ImageCoder` coded."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._metrics: dict[str, MetricDeclaration] = {}

    def score(self, coded: CodedImage) -> Iterator[WorkEvent]:
        """Score the waiting reconstructions, one metric after another. Stops between metrics when asked to."""
        if coded.image is None or not coded.waiting:
            return
        image = coded.work.image
        reference = Reference(image.name, coded.image, self._context.device)
        shared: dict[tuple[int, ...], list[Candidates]] = {}
        seal = Seal([coded.image, *(reconstruction for _, _, reconstruction in coded.waiting)])
        spoilt: dict[int, ContractError] = {}
        for metric in self._plan.metrics:
            wanted = [index for index, (cell, _, _) in enumerate(coded.waiting) if metric.label in cell.metrics]
            chosen = tuple(index for index in wanted if index not in spoilt)
            if not wanted:
                continue
            if self._stopping():
                return
            yield ScoringStarted(image.name, metric.label, self._worker)
            if chosen not in shared:  # metrics that score the same cells share batches and their tensors
                images = [coded.waiting[index][2] for index in chosen]
                sizes = [coded.waiting[index][1].bitstream_size or 0 for index in chosen]
                shared[chosen] = list(batches(reference, images, sizes))
            outcomes = self._outcomes(metric, reference, shared[chosen]) if chosen else []
            broken = seal.broken()
            if broken or not (tensor_holds(reference) and all(tensor_holds(group) for group in shared[chosen])):
                # The next metric must not read what this one wrote, nor can its own values be trusted.
                outcomes = [ContractError("writes to the images, which other metrics read")] * len(outcomes)
                spoilt |= self._restore(coded, seal, broken, metric)
                reference, shared = Reference(image.name, coded.image, self._context.device), {}
            yield from told(self._notices)
            records = []
            by_index: dict[int, Outcome] = {**spoilt, **dict(zip(chosen, outcomes, strict=True))}
            for index in wanted:
                cell, record, _ = coded.waiting[index]
                outcome = by_index[index]
                if isinstance(outcome, np.ndarray):
                    path = self._folder.features_path(metric.label, cell.point, image.name)
                    self._folder.write_features(path, outcome)
                records.append(score_record(self._plan, self._session, image, record, metric, outcome))
            yield Recorded(tuple(records))

    def _restore(
        self, coded: CodedImage, seal: Seal, broken: Sequence[int], culprit: PlannedMetric
    ) -> dict[int, ContractError]:
        """Get back images that were written to, as far as they are kept; return what can't be scored any more."""
        lost: dict[int, ContractError] = {}
        error = ContractError(f"the image was overwritten by metric {culprit.label}, and is not kept")
        for index in broken:
            if not index:
                try:
                    coded.image = coded.work.source.read().frozen()
                except QbenchError:
                    return dict.fromkeys(range(len(coded.waiting)), error)
                seal.replace(0, coded.image)
                continue
            cell, record, _ = coded.waiting[index - 1]
            kept = self._folder.read_reconstruction(cell.point, coded.work.image)
            if kept is None or kept.digest != record.reconstruction_sha256:
                lost[index - 1] = error
                seal.replace(index, coded.waiting[index - 1][2])  # nobody is to blame for it again
                continue
            kept = kept.frozen()
            coded.waiting[index - 1] = (cell, record, kept)
            seal.replace(index, kept)
        return lost

    def _outcomes(self, planned: PlannedMetric, reference: Reference, groups: Sequence[Candidates]) -> list[Outcome]:
        try:
            if planned.label not in self._metrics:
                self._metrics[planned.label] = make_metric(planned, self._registry, self._context)
            metric = self._metrics[planned.label]
            if isinstance(metric, Metric):
                return score_batches(metric, reference, groups)
            assert isinstance(metric, DistributionMetric)
            path = self._folder.features_path(planned.label, None, reference.name)
            if not path.is_file():
                self._folder.write_features(path, original_features(metric, reference))
            return feature_batches(metric, groups)
        except StoreError:
            raise
        except Exception as error:
            return [error] * sum(len(group) for group in groups)


# -- one metric, called and checked -------------------------------------------------------------------------------


def make_metric(
    planned: PlannedMetric, registry: Registry, context: Context, *, strict: bool = True
) -> MetricDeclaration:
    """Make the instance of a planned metric; if ``strict``, of the very version and code that was planned.

    Raises:
        QbenchError: weights or code are not what was planned.
        Exception: whatever the metric raises.
    """
    cls = registry.metrics[planned.metric]
    parameters = cls.Parameters.model_validate(dict(planned.parameters), strict=False)
    with as_planned(cls, parameters, planned.identity, context.profile, strict=strict):
        return cls(parameters, context)


def require_format(metric: MetricDeclaration, reference: Reference) -> None:
    """Raise NotApplicable if the metric does not accept images of the original's format."""
    if not metric.accepts(reference.image.format):
        raise NotApplicable(f"{metric.name} does not accept {reference.image.format} images")


def batches(reference: Reference, images: Sequence[Image], sizes: Sequence[int]) -> Iterator[Candidates]:
    """Split an image's reconstructions into batches; every metric is given the same ones, tensors included."""
    limit = CPU_BATCH_PIXELS if reference.device == "cpu" else GPU_BATCH_PIXELS
    step = max(1, limit // (reference.image.height * reference.image.width))
    for start in range(0, len(images), step):
        yield Candidates(reference, images[start : start + step], sizes[start : start + step], reference.device)


def score_batches(metric: Metric, reference: Reference, groups: Sequence[Candidates]) -> list[Outcome]:
    """Score all reconstructions of one image with one metric; an outcome per reconstruction, in order."""
    try:
        require_format(metric, reference)
        prepared = metric.prepare(reference)
    except Exception as problem:  # NotApplicable included
        return [problem] * sum(len(group) for group in groups)
    return _each(groups, lambda group: score_batch(metric, group, prepared))


def feature_batches(metric: DistributionMetric, groups: Sequence[Candidates]) -> list[Outcome]:
    """Compute a distribution metric's features of all reconstructions of one image; an outcome for each, in order."""
    return _each(groups, lambda group: list(feature_batch(metric, group)))


def original_features(metric: DistributionMetric, reference: Reference) -> Features:
    """Compute a distribution metric's features of the original."""
    require_format(metric, reference)
    return feature_batch(metric, Candidates(reference, [reference.image], [0], reference.device))[0]


def finish_point(
    metric: DistributionMetric, originals: Sequence[Features], reconstructions: Sequence[Features]
) -> Values:
    """Score an operating point from its features.

    Raises:
        ContractError: the metric broke its contract.
        Exception: whatever the metric raises, NotApplicable included.
    """
    outcome = checked_scores(metric, metric.finish(originals, reconstructions))
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def _each(groups: Sequence[Candidates], call: Callable[[Candidates], list[Outcome]]) -> list[Outcome]:
    """Call for every batch; a batch that raises is tried again one by one, so that one bad image harms no other."""
    outcomes: list[Outcome] = []
    large = TENSOR_BYTES * sum(image.size for group in groups for image in group.images) > MOST_TENSOR_BYTES
    for group in groups:
        if large:
            group = replace(group)  # whose tensor goes when it is scored: all together would take too much memory
        try:
            outcomes.extend(call(group))
        except Exception as problem:
            if len(group) == 1:
                outcomes.append(problem)
                continue
            for index in range(len(group)):
                try:
                    outcomes.extend(call(group.one(index)))
                except Exception as own:
                    outcomes.append(own)
    return outcomes


def score_batch(metric: Metric, group: Candidates, prepared: Any) -> list[Outcome]:
    """Score one batch of reconstructions.

    Raises:
        ContractError: not one result per reconstruction; what is wrong with a single result is its outcome.
        Exception: whatever the metric raises.
    """
    results = list(metric.score(group, prepared))
    if len(results) != len(group):
        raise ContractError(f"score returned {len(results)} results for {len(group)} reconstructions")
    return [result if isinstance(result, NotApplicable) else checked_scores(metric, result) for result in results]


def feature_batch(metric: DistributionMetric, group: Candidates) -> Sequence[Features]:
    """Compute the features of one batch of images.

    Raises:
        ContractError: not one array per image, or arrays of another form.
        Exception: whatever the metric raises.
    """
    results = list(metric.features(group))
    if len(results) != len(group):
        raise ContractError(f"features returned {len(results)} results for {len(group)} images")
    for result in results:
        if not isinstance(result, np.ndarray) or result.ndim != 2 or result.dtype != np.float32:
            what = f"{result.dtype} of {result.ndim} dimensions" if isinstance(result, np.ndarray) else type(result)
            raise ContractError(f"features returned {what}, not a float32 array of samples × features")
        if not np.isfinite(result).all():
            raise ContractError("features hold NaN or infinity")
    return results


def checked_scores(metric: MetricDeclaration, result: Any) -> Values | ContractError:
    """Return a result's values, or what its contract doesn't allow."""
    declared = [column.name for column in metric.columns]
    if not hasattr(result, "keys") or sorted(result.keys()) != sorted(declared):
        given = sorted(result.keys()) if hasattr(result, "keys") else type(result).__name__
        return ContractError(f"score gave {given}; its declared columns are {declared}")
    values: Values = {}
    for column in metric.columns:
        if isinstance(result[column.name], NotApplicable) and column.name != metric.name:
            values[column.name] = result[column.name]
            continue
        try:
            value = float(result[column.name])
        except (TypeError, ValueError):
            return ContractError(f"column {column.name} is {result[column.name]!r}, not one number")
        if math.isnan(value):
            return ContractError(
                f"column {column.name} is NaN; a metric that can't be computed says why it is not applicable"
            )
        low = -math.inf if column.lower is None else column.lower
        high = math.inf if column.upper is None else column.upper
        if not low - ROUNDING <= value <= high + ROUNDING:
            return ContractError(f"column {column.name} is {value}, outside its declared range [{low}, {high}]")
        values[column.name] = value
    return values


# -- records ------------------------------------------------------------------------------------------------------


def score_record(
    plan: Plan,
    session: str,
    image: PlannedImage,
    cell: CellRecord,
    metric: PlannedMetric,
    outcome: Outcome | Failure,
) -> ScoreRecord:
    """Return the record of a metric on a coded cell."""
    return _record(session, score_key(plan, metric, image, cell), image.name, cell.point, metric, outcome)


def failed_score(
    plan: Plan, session: str, image: PlannedImage, cell: CellRecord, label: str, failure: Failure
) -> ScoreRecord:
    """Return the record of the metric of that label on a coded cell that something else prevented."""
    metric = next(metric for metric in plan.metrics if metric.label == label)
    return score_record(plan, session, image, cell, metric, failure)


def _record(
    session: str, key: str, image: str, point: str, metric: PlannedMetric, outcome: Outcome | Failure
) -> ScoreRecord:
    fields: dict[str, Any]
    if isinstance(outcome, Exception) and not isinstance(outcome, NotApplicable):
        outcome = Failure.of(metric.owner, outcome)
    if isinstance(outcome, NotApplicable):
        fields = {"outcome": "not-applicable", "reason": outcome.reason}
    elif isinstance(outcome, Failure):
        fields = {"outcome": "failed", "failure": outcome, "reason": outcome.message}
    else:  # a distribution metric's features are in the run folder; their record has no values
        columns = {} if isinstance(outcome, np.ndarray) else outcome
        absent = {name: value.reason for name, value in columns.items() if isinstance(value, NotApplicable)}
        values = {name: value for name, value in columns.items() if name not in absent}
        fields = {"outcome": "scored", "values": values, "absent": absent}
    return ScoreRecord(key=key, image=image, point=point, metric=metric.label, session=session, at=now(), **fields)


# -- operating points as a whole ------------------------------------------------------------------------------------


class PointScorer:
    """Scores operating points by distribution metrics, once all their cells are coded and have their features."""

    def __init__(self, setup: Setup, registry: Registry, *, retry_failed: bool, left: Container[str] = ()) -> None:
        self._plan = setup.plan
        self._folder = setup.folder
        self._session = setup.session
        self._context = setup.context
        self._registry = registry
        self._retry_failed = retry_failed
        self._left = left

    def ready(self, state: RunState) -> list[tuple[PlannedMetric, OperatingPoint]]:
        """List what can be scored now: every image's features are available, and there is no result yet."""
        found = []
        for planned in self._plan.metrics:
            for point in self._plan.points:
                if planned.label in self._left:
                    continue
                if planned.per_point and lacks_point_score(self._plan, planned, point, state, self._retry_failed):
                    scores = [state.score(self._plan, planned, image, point) for image in self._plan.images]
                    if all(score is not None and score.outcome == "scored" for score in scores):
                        found.append((planned, point))
        return found

    def score(self, state: RunState) -> Generator[WorkEvent]:
        """Yield a record for everything that is ready."""
        for planned, point in self.ready(state):
            yield ScoringStarted("all images", planned.label)
            key = state.point_score_key(self._plan, planned, point)
            yield Recorded((_record(self._session, key, "", point.id, planned, self._outcome(planned, point)),))

    def _outcome(self, planned: PlannedMetric, point: OperatingPoint) -> Outcome:
        try:
            metric = make_metric(planned, self._registry, self._context)
            assert isinstance(metric, DistributionMetric)
            images = [image.name for image in self._plan.images]
            read = self._folder.read_features
            originals = [read(self._folder.features_path(planned.label, None, name)) for name in images]
            features = [read(self._folder.features_path(planned.label, point, name)) for name in images]
            return finish_point(metric, originals, features)
        except StoreError:
            raise
        except Exception as error:  # NotApplicable included
            return error


def lacks_point_score(plan: Plan, planned: PlannedMetric, point: OperatingPoint, state: RunState, retry: bool) -> bool:
    """Whether an operating point still lacks a distribution metric's result, and may come to have one.

    It never will where a cell, or its features, failed or is not applicable: a distribution without some of its
    images is another one.
    """
    record = state.point_score(plan, planned, point)
    if record is not None and not (retry and record.outcome == "failed"):
        return False
    for image in plan.images:
        cell, score = state.cell(image, point), state.score(plan, planned, image, point)
        for made, good in ((cell, "coded"), (score, "scored")):
            if made is not None and made.outcome != good and not (retry and made.outcome == "failed"):
                return False
    return True
