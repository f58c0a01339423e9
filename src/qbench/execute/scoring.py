"""Scoring the reconstructions of one image with one metric: prepare once, score in batches, check the contract."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from qbench.errors import NotApplicable
from qbench.execute.coding import ContractError
from qbench.metric import Candidates, Metric, Reference

CPU_BATCH_PIXELS = 600_000
"""Pixels scored at a time on a CPU: larger batches leave its caches (measured: up to twice as slow) and cost memory."""
GPU_BATCH_PIXELS = 64_000_000
"""Likewise on an accelerator, where small batches leave it idle."""

ROUNDING = 1e-5
"""How far float32 arithmetic may carry a value past its range. Such values are kept as they are, never clamped."""

Outcome = dict[str, float] | NotApplicable | Exception


def batches(reference: Reference, pixels: Sequence[Any], sizes: Sequence[int]) -> Iterator[Candidates]:
    """Split an image's reconstructions into batches; every metric is given the same ones, tensors included."""
    limit = CPU_BATCH_PIXELS if reference.device == "cpu" else GPU_BATCH_PIXELS
    height, width = reference.pixels.shape[:2]
    step = max(1, limit // (height * width))
    for start in range(0, len(pixels), step):
        yield Candidates(reference, pixels[start : start + step], sizes[start : start + step], reference.device)


def score_batches(metric: Metric, reference: Reference, groups: Sequence[Candidates]) -> list[Outcome]:
    """Score all reconstructions of one image with one metric.

    Returns:
        An outcome per reconstruction, in order. A batch that raises is scored again one by one, so that one bad
        reconstruction does not take its neighbours along.
    """
    try:
        prepared = metric.prepare(reference)
    except Exception as problem:  # NotApplicable included
        return [problem] * sum(len(group) for group in groups)
    outcomes: list[Outcome] = []
    for group in groups:
        try:
            outcomes.extend(_score(metric, group, prepared))
        except Exception as problem:
            if len(group) == 1:
                outcomes.append(problem)
                continue
            for index in range(len(group)):
                single = Candidates(
                    reference, group.pixels[index : index + 1], group.bitstream_sizes[index : index + 1], group.device
                )
                try:
                    outcomes.extend(_score(metric, single, prepared))
                except Exception as own:
                    outcomes.append(own)
    return outcomes


def _score(metric: Metric, group: Candidates, prepared: Any) -> list[Outcome]:
    results = list(metric.score(group, prepared))
    if len(results) != len(group):
        raise ContractError(f"score returned {len(results)} results for {len(group)} reconstructions")
    return [result if isinstance(result, NotApplicable) else _checked(metric, result) for result in results]


def _checked(metric: Metric, result: Any) -> Outcome:
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
