"""Scoring the reconstructions of one image with one metric: prepare once, score in batches, check the contract."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from qbench.errors import NotApplicable
from qbench.execute.coding import ContractError
from qbench.metric import Candidates, DistributionMetric, Metric, MetricDeclaration, Reference

CPU_BATCH_PIXELS = 600_000
"""Pixels scored at a time on a CPU: larger batches leave its caches (measured: up to twice as slow) and cost memory."""
GPU_BATCH_PIXELS = 64_000_000
"""Likewise on an accelerator, where small batches leave it idle."""

ROUNDING = 1e-5
"""How far float32 arithmetic may carry a value past its range. Such values are kept as they are, never clamped."""

Features = npt.NDArray[np.float32]
Outcome = dict[str, float] | Features | NotApplicable | Exception
"""What became of one reconstruction: scores, features (of a distribution metric), or why there are none."""


def batches(reference: Reference, pixels: Sequence[Any], sizes: Sequence[int]) -> Iterator[Candidates]:
    """Split an image's reconstructions into batches; every metric is given the same ones, tensors included."""
    limit = CPU_BATCH_PIXELS if reference.device == "cpu" else GPU_BATCH_PIXELS
    height, width = reference.pixels.shape[:2]
    step = max(1, limit // (height * width))
    for start in range(0, len(pixels), step):
        yield Candidates(reference, pixels[start : start + step], sizes[start : start + step], reference.device)


def score_batches(metric: Metric, reference: Reference, groups: Sequence[Candidates]) -> list[Outcome]:
    """Score all reconstructions of one image with one metric; an outcome per reconstruction, in order."""
    try:
        prepared = metric.prepare(reference)
    except Exception as problem:  # NotApplicable included
        return [problem] * sum(len(group) for group in groups)
    return _each(groups, lambda group: _score(metric, group, prepared))


def feature_batches(metric: DistributionMetric, groups: Sequence[Candidates]) -> list[Outcome]:
    """Compute a distribution metric's features of all reconstructions of one image; an outcome for each, in order."""
    return _each(groups, lambda group: list(_features(metric, group)))


def original_features(metric: DistributionMetric, reference: Reference) -> Features:
    """Compute a distribution metric's features of the original."""
    return _features(metric, Candidates(reference, [reference.pixels], [0], reference.device))[0]


def finish(
    metric: DistributionMetric, originals: Sequence[Features], reconstructions: Sequence[Features]
) -> dict[str, float]:
    """Score an operating point from its features.

    Raises:
        ContractError: the metric broke its contract.
        Exception: whatever the metric raises, NotApplicable included.
    """
    outcome = _checked(metric, metric.finish(originals, reconstructions))
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def _each(groups: Sequence[Candidates], call: Callable[[Candidates], list[Outcome]]) -> list[Outcome]:
    """Call for every batch; a batch that raises is tried again one by one, so that one bad picture harms no other."""
    outcomes: list[Outcome] = []
    for group in groups:
        try:
            outcomes.extend(call(group))
        except Exception as problem:
            if len(group) == 1:
                outcomes.append(problem)
                continue
            for index in range(len(group)):
                one = slice(index, index + 1)
                single = Candidates(group.reference, group.pixels[one], group.bitstream_sizes[one], group.device)
                try:
                    outcomes.extend(call(single))
                except Exception as own:
                    outcomes.append(own)
    return outcomes


def _score(metric: Metric, group: Candidates, prepared: Any) -> list[Outcome]:
    results = list(metric.score(group, prepared))
    if len(results) != len(group):
        raise ContractError(f"score returned {len(results)} results for {len(group)} reconstructions")
    return [result if isinstance(result, NotApplicable) else _checked(metric, result) for result in results]


def _features(metric: DistributionMetric, group: Candidates) -> Sequence[Features]:
    results = list(metric.features(group))
    if len(results) != len(group):
        raise ContractError(f"features returned {len(results)} results for {len(group)} pictures")
    for result in results:
        if not isinstance(result, np.ndarray) or result.ndim != 2 or result.dtype != np.float32:
            what = f"{result.dtype} of {result.ndim} dimensions" if isinstance(result, np.ndarray) else type(result)
            raise ContractError(f"features returned {what}, not a float32 array of samples × features")
        if not np.isfinite(result).all():
            raise ContractError("features hold NaN or infinity")
    return results


def _checked(metric: MetricDeclaration, result: Any) -> dict[str, float] | ContractError:
    declared = [column.name for column in metric.columns]
    if not hasattr(result, "keys") or sorted(result.keys()) != sorted(declared):
        given = sorted(result.keys()) if hasattr(result, "keys") else type(result).__name__
        return ContractError(f"score gave {given}; its declared columns are {declared}")
    values = {}
    for column in metric.columns:
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
