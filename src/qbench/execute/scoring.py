"""Scoring the reconstructions of an image by one metric: calling it, checking what it gives, recording that."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from qbench.contracts.context import Context
from qbench.contracts.metric import (
    Candidates,
    DistributionMetric,
    Explanation,
    ExplanationTable,
    Metric,
    MetricDeclaration,
    Reference,
)
from qbench.errors import NotApplicable
from qbench.execute.accelerators import free_bytes, release_memory
from qbench.execute.as_planned import as_planned
from qbench.execute.coder import checked_artifacts
from qbench.execute.work import ContractError
from qbench.images.image import Image
from qbench.planning.types import Plan, PlannedImage, PlannedMetric
from qbench.records import CellRecord, Failure, ScoreRecord
from qbench.registry.registry import Registry
from qbench.results.state import score_key
from qbench.store.folder import now

CPU_BATCH_PIXELS = 600_000
"""Pixels scored at a time on a CPU: larger batches leave its caches (measured: up to twice as slow) and cost memory."""
GPU_BATCH_PIXELS = 64_000_000
"""Likewise on an accelerator, where small batches leave it idle, if it has the memory."""
GPU_BYTES_PER_PIXEL = 200
"""That metrics take of it: SSIM some 100; half as much again is left alone."""

TENSOR_BYTES = 4
MOST_TENSOR_BYTES = 400_000_000
"""Of an image's reconstructions as tensors, which metrics share up to there."""
ROUNDING = 1e-5
"""How far float32 arithmetic may carry a value past its range. Such values are kept as they are, never clamped."""

Features = npt.NDArray[np.float32]
Values = dict[str, float | NotApplicable]
"""Of every column, where it applies."""
Lacking = Callable[[int], None]
Outcome = Values | Features | NotApplicable | Exception
"""What became of one reconstruction: scores, features (of a distribution metric), or why there are none."""


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


def batches(
    reference: Reference,
    images: Sequence[Image],
    sizes: Sequence[int],
    threads: int = 1,
    largest: int | None = None,
) -> Iterator[Candidates]:
    """Split an image's reconstructions into batches.

    Args:
        threads: that score one reconstruction each, on a processor.
        largest: reconstructions, where more were too many for the device's memory.
    """
    limit = CPU_BATCH_PIXELS * threads
    if reference.device != "cpu":
        free = free_bytes(reference.device)
        limit = GPU_BATCH_PIXELS if free is None else min(GPU_BATCH_PIXELS, free // GPU_BYTES_PER_PIXEL)
    step = max(threads if reference.device == "cpu" else 1, limit // (reference.image.height * reference.image.width))
    step = min(step, largest or step)
    for start in range(0, len(images), step):
        chosen = slice(start, start + step)
        yield Candidates(reference, tuple(images[chosen]), tuple(sizes[chosen]), reference.device)


def score_batches(
    metric: Metric,
    reference: Reference,
    groups: Sequence[Candidates],
    prepared: dict[str, Any] | None = None,
    label: str = "",
    lacking: Lacking = lambda largest: None,
) -> list[Outcome]:
    """Score all reconstructions of one image with one metric; an outcome per reconstruction, in order.

    Args:
        prepared: what metrics have made of this original, by label; takes what this one makes of it.
        label: the metric's.
        lacking: told how many are tried at a time from now on, where more were too many for the device's memory.
    """
    known = {} if prepared is None else prepared
    try:
        require_format(metric, reference)
        if label not in known:
            known[label] = metric.prepare(reference)
    except Exception as problem:  # NotApplicable included
        return [problem] * sum(len(group) for group in groups)
    return _each(groups, lambda group: score_batch(metric, group, known[label]), lacking)


def feature_batches(
    metric: DistributionMetric, groups: Sequence[Candidates], lacking: Lacking = lambda largest: None
) -> list[Outcome]:
    """Compute a distribution metric's features of all reconstructions of one image; an outcome for each, in order."""
    return _each(groups, lambda group: list(feature_batch(metric, group)), lacking)


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


def _each(groups: Sequence[Candidates], call: Callable[[Candidates], list[Outcome]], lacking: Lacking) -> list[Outcome]:
    """Call for every batch; a batch that raises is tried again one by one, so that one bad image harms no other."""
    outcomes: list[Outcome] = []
    large = TENSOR_BYTES * sum(image.size for group in groups for image in group.images) > MOST_TENSOR_BYTES
    for group in groups:
        if large:
            group = replace(group)  # whose tensor goes when it is scored: all together would take too much memory
        outcomes += _tried(group, call, lacking)
    return outcomes


def _tried(group: Candidates, call: Callable[[Candidates], list[Outcome]], lacking: Lacking) -> list[Outcome]:
    """Call for a batch; if it raises, for its halves where memory is lacking, else one by one."""
    try:
        return call(group)
    except Exception as problem:
        if len(group) == 1:
            return [problem]
        short = type(problem).__name__ == "OutOfMemoryError"  # torch's; it need not be loaded here
    # Only here, where what the failed call held is gone, can its memory be given back.
    size = 1
    if short:
        group.__dict__.pop("tensor", None)
        release_memory(group.device)
        size = len(group) // 2
        lacking(size)
    parts = [group.part(first, first + size) for first in range(0, len(group), size)]
    return [outcome for part in parts for outcome in _tried(part, call, lacking)]


def score_batch(metric: Metric, group: Candidates, prepared: Any) -> list[Outcome]:
    """Score one batch of reconstructions.

    Raises:
        ContractError: not one result per reconstruction; what is wrong with a single result is its outcome.
        Exception: whatever the metric raises.
    """
    results = list(metric.score(group, prepared))
    if len(results) != len(group):
        raise ContractError(f"score returned {len(results)} results for {len(group)} reconstructions")
    return [_outcome(metric, result) for result in results]


def score_several(metric: Metric, groups: Sequence[Candidates]) -> list[list[Outcome] | None]:
    """Score batches of several images together; outcomes for each batch, or None where it is to be scored alone.

    Whatever is not as it should be is found out so: by which image it is, and what is to be said of it.
    """
    found: list[list[Outcome] | None] = [None] * len(groups)
    works: dict[int, tuple[Candidates, Any]] = {}
    for number, group in enumerate(groups):
        try:
            require_format(metric, group.reference)
            works[number] = group, metric.prepare(group.reference)
        except Exception:  # NotApplicable included
            continue
    try:
        results = list(metric.score_several(list(works.values())))
    except Exception:
        return found
    if len(results) == len(works):
        for number, result in zip(works, results, strict=True):
            if len(result) == len(groups[number]):
                found[number] = [_outcome(metric, each) for each in result]
    return found


def _outcome(metric: Metric, result: Any) -> Outcome:
    return result if isinstance(result, NotApplicable) else checked_scores(metric, result)


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
            if isinstance(result[column.name], str | bytes | bool):
                raise TypeError
            value = float(result[column.name])
        except (TypeError, ValueError, OverflowError):
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
    return outcome_record(session, score_key(plan, metric, image, cell), image.name, cell.point, metric, outcome)


def failed_score(
    plan: Plan, session: str, image: PlannedImage, cell: CellRecord, label: str, failure: Failure
) -> ScoreRecord:
    """Return the record of the metric of that label on a coded cell that something else prevented."""
    metric = next(metric for metric in plan.metrics if metric.label == label)
    return score_record(plan, session, image, cell, metric, failure)


def outcome_record(
    session: str, key: str, image: str, point: str, metric: PlannedMetric, outcome: Outcome | Failure
) -> ScoreRecord:
    """Return the record of what became of a cell's score, or (without an image) of an operating point's."""
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


def explain_one(metric: MetricDeclaration, reference: Reference, reconstruction: Image, size: int) -> Explanation:
    """Ask a metric what is behind its scores of a reconstruction, whose bitstream has so many bytes.

    Raises:
        NotApplicable: it has nothing to say of it.
        ContractError: what it says is no explanation.
        Exception: whatever the metric raises.
    """
    if not isinstance(metric, Metric):
        raise NotApplicable(f"{metric.name} scores operating points, not single cells")
    require_format(metric, reference)
    candidates = Candidates(reference, [reconstruction], [size], reference.device)
    return checked_explanation(metric.explain(candidates, metric.prepare(reference)))


def checked_explanation(found: object) -> Explanation:
    """Return an explanation that can be shown, of plain text and numbers.

    Raises:
        ContractError: it is something else.
    """
    if not isinstance(found, Explanation):
        raise ContractError(f"explain returned {type(found).__name__}, not a qbench.plugin.Explanation")
    for table in found.tables:
        if any(len(row) != len(table.columns) for row in table.rows):
            raise ContractError(f"explain: a row of the table `{table.title}` doesn't have one value per column")
    artifacts = checked_artifacts("explain", found.artifacts)
    return Explanation(
        {str(name): _plain(value) for name, value in found.facts.items()},
        tuple(
            ExplanationTable(
                str(table.title), tuple(map(str, table.columns)), tuple(tuple(map(_plain, row)) for row in table.rows)
            )
            for table in found.tables
        ),
        artifacts,
    )


def _plain(value: object) -> str | int | float:
    for kind in (str, int, float):  # a plugin's own kinds of them don't travel
        if isinstance(value, kind):
            return value if isinstance(value, bool) else kind(value)
    raise ContractError(f"explain gave {value!r}, a {type(value).__name__}; accepted: text and numbers")
