"""Checks of the metric contract."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from qbench.contracts.context import Context
from qbench.contracts.metric import (
    Candidates,
    Direction,
    DistributionMetric,
    Metric,
    MetricDeclaration,
    Reference,
    Scope,
)
from qbench.errors import NotApplicable
from qbench.images.image import Image
from qbench.testing.images import test_images

TOLERANCE = 1e-5
"""How much a value may depend on the batch it is computed in, relative to its size."""


def check_metric(
    cls: type[Metric],
    *,
    parameters: Mapping[str, Any] | None = None,
    images: Mapping[str, Image] | None = None,
) -> None:
    """Check that a metric keeps its contract.

    Every image gives all declared columns, in range, or *not applicable*; never NaN; a value does not depend on the
    rest of the batch; a full-reference metric finds nothing better than the original itself.

    Raises:
        AssertionError: which promise was broken, on which image.
    """
    metric = cls(cls.Parameters.model_validate(dict(parameters or {})), Context())
    scored = 0
    for name, image in (images or _images()).items():
        reference = Reference(name, image)
        try:
            prepared = metric.prepare(reference)
        except NotApplicable as reason:
            if not reason.reason:
                raise AssertionError(f"{name}: not applicable without a reason") from reason
            continue
        candidates = [image, *_distorted(image)]
        sizes = [max(1, image.size // 8)] * len(candidates)
        together = metric.score(Candidates(reference, candidates, sizes), prepared)
        assert len(together) == len(candidates), f"{name}: {len(together)} results for {len(candidates)} candidates"
        for index, result in enumerate(together):
            alone = metric.score(Candidates(reference, candidates[index : index + 1], sizes[:1]), prepared)[0]
            _check_result(cls, name, result, alone)
        scored += 1
        if cls.scope is Scope.FULL_REFERENCE:
            _check_identity(cls, name, together)
    assert scored, "the metric was not applicable to any image"


def check_distribution_metric(
    cls: type[DistributionMetric],
    *,
    parameters: Mapping[str, Any] | None = None,
    images: Sequence[Image] | None = None,
) -> None:
    """Check that a distribution metric keeps its contract.

    Features are float32 of shape n×d with one d for all images, and don't depend on the batch; scores have every
    declared column, in range; the originals themselves score no worse than noisy ones.

    Args:
        images: at least as many images as the metric needs; eight variations of one by default.

    Raises:
        AssertionError: which promise was broken.
    """
    metric = cls(cls.Parameters.model_validate(dict(parameters or {})), Context())
    waves = _images()["waves"]
    originals = list(images) if images is not None else [Image(np.roll(waves, 13 * n, axis=1)) for n in range(8)]
    distorted = [_distorted(image)[0] for image in originals]

    def features(given: Sequence[Image]) -> list[Any]:
        made = []
        for original, image in zip(originals, given, strict=True):
            pair = Candidates(Reference("image", original), [image, original], [1, 1])
            both = metric.features(pair)
            assert len(both) == 2, f"features returned {len(both)} results for 2 images"
            alone = metric.features(Candidates(pair.reference, [image], [1]))[0]
            assert both[0].dtype == np.float32, f"features are {both[0].dtype}, not float32"
            assert both[0].ndim == 2, f"features have {both[0].ndim} dimensions, not samples × features"
            assert np.allclose(both[0], alone, rtol=1e-3, atol=1e-4), "features depend on the rest of the batch"
            made.append(alone)
        assert len({array.shape[1] for array in made}) == 1, "images have different numbers of features"
        return made

    reference = features(originals)
    same, worse = metric.finish(reference, reference), metric.finish(reference, features(distorted))
    for result in (same, worse):
        _check_result(cls, "all images", result, result)
    column = cls.columns[0]
    own, other = float(same[column.name]), float(worse[column.name])
    ordered = own >= other if column.direction is Direction.HIGHER else own <= other
    assert ordered, f"{column.name} prefers distorted images ({other}) to the originals themselves ({own})"


def _images() -> dict[str, Image]:
    rows, columns = np.mgrid[0:200, 0:260]
    waves = 128 + 80 * np.sin(rows / 7) * np.cos(columns / 11)
    large = np.stack([waves, np.roll(waves, 9, axis=1), 255 - waves], axis=2).astype(np.uint8)
    return {**test_images(), "waves": Image(large)}


def _distorted(image: Image) -> list[Image]:
    rng = np.random.default_rng(7)
    noise = rng.normal(0, 12, image.shape)
    noisy = np.clip(image.pixels + noise, 0, 255).round().astype(np.uint8)
    flat = np.full_like(image.pixels, image.pixels.mean(axis=(0, 1)).round())
    return [Image(noisy), Image(flat)]


def _check_result(cls: type[MetricDeclaration], name: str, result: Any, alone: Any) -> None:
    if isinstance(result, NotApplicable):
        assert isinstance(alone, NotApplicable), f"{name}: not applicable in a batch, but applicable alone"
        return
    declared = sorted(column.name for column in cls.columns)
    assert sorted(result) == declared, f"{name}: gave {sorted(result)}, declares {declared}"
    for column in cls.columns:
        value = float(result[column.name])
        assert not math.isnan(value), f"{name}: column {column.name} is NaN"
        low = -math.inf if column.lower is None else column.lower
        high = math.inf if column.upper is None else column.upper
        assert low - TOLERANCE <= value <= high + TOLERANCE, f"{name}: {column.name} {value} not in [{low}, {high}]"
        same = value == alone[column.name] or math.isclose(
            value, alone[column.name], rel_tol=TOLERANCE, abs_tol=TOLERANCE
        )
        assert same, f"{name}: {column.name} is {value} in a batch, {alone[column.name]} alone"


def _check_identity(cls: type[Metric], name: str, results: Sequence[Any]) -> None:
    if any(isinstance(result, NotApplicable) for result in results):
        return
    for column in cls.columns:
        own, *others = (float(result[column.name]) for result in results)
        worse = [
            value <= own + TOLERANCE if column.direction is Direction.HIGHER else value >= own - TOLERANCE
            for value in others
        ]
        assert all(worse), f"{name}: {column.name} prefers a distorted image to the original itself"
