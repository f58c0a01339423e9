"""Checks of the metric contract."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
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
from qbench.execute.scoring import Values, checked_explanation, feature_batch, finish_point, score_batch
from qbench.execute.sealed import Seal, tensors_hold
from qbench.images.image import Image, Samples
from qbench.registry.catalogue import Offer, PluginInfo
from qbench.registry.forms import form_problem
from qbench.reporting.aggregate import pooled_value
from qbench.testing.images import test_images
from qbench.testing.promises import TOLERANCE, close, promised, require_same


def check_metric(
    cls: type[Metric],
    *,
    parameters: Mapping[str, Any] | None = None,
    images: Mapping[str, Image] | None = None,
    passed: Callable[[str], None] = lambda promise: None,
) -> None:
    """Check that a metric keeps its contract.

    Every image gives all declared columns, in range, or *not applicable*; never NaN; a value does not depend on the
    rest of the batch; a full-reference metric finds nothing better than the original itself; ``pool`` of one image, or
    of equal ones, is their value; ``explain`` gives what can be shown.

    Args:
        passed: called with each promise once it is seen to be kept.

    Raises:
        AssertionError: which promise was broken, on which image.
    """
    metric = _made(cls, parameters)
    assert isinstance(metric, Metric), f"{cls.__name__} is no qbench.plugin.Metric"
    scored = 0
    for name, image in (images or _images()).items():
        reference = Reference(name, image)
        original = Seal([image])
        try:
            prepared = metric.prepare(reference)
        except NotApplicable as reason:
            if not reason.reason:
                raise AssertionError(f"{name}: not applicable without a reason") from reason
            continue
        candidates = Candidates(reference, [image, *_distorted(image)], [max(1, image.size // 8)] * 3)
        seal = Seal(candidates.images)
        with promised(name):
            together = _scores(metric, candidates, prepared)
            assert not original.broken(), "score or prepare writes to the original, which other metrics read"
            assert not seal.broken(), "score writes to the reconstructions, which other metrics read"
            assert _whole(reference, [reference.pixels]), (
                "score or prepare writes to the original's tensor, which other metrics read"
            )
            assert _whole(candidates, candidates.pixels), (
                "score writes to the reconstructions' tensor, which other metrics read"
            )
            for index, result in enumerate(together):
                require_same(result, _scores(metric, candidates.one(index), prepared)[0], "alone")
            if cls.scope is Scope.FULL_REFERENCE:
                _check_identity(cls, together)
            for result in together:
                if not isinstance(result, NotApplicable):
                    _check_pool(cls, result, image.height * image.width)
            if type(metric).explain is not Metric.explain:
                with contextlib.suppress(NotApplicable):
                    checked_explanation(metric.explain(candidates.one(1), prepared))
        scored += 1
    assert scored, "the metric was not applicable to any image"
    passed(f"gives every column, in its range, for {scored} images")
    passed("a value depends neither on the batch nor on its order, and images are left alone")
    if cls.scope is Scope.FULL_REFERENCE:
        passed("nothing is better than the original itself")


def check_distribution_metric(
    cls: type[DistributionMetric],
    *,
    parameters: Mapping[str, Any] | None = None,
    images: Sequence[Image] | None = None,
    passed: Callable[[str], None] = lambda promise: None,
) -> None:
    """Check that a distribution metric keeps its contract.

    Features are float32 of shape n×d with one d for all images, and don't depend on the batch; scores have every
    declared column, in range; the originals themselves score no worse than noisy ones.

    Args:
        images: at least as many images as the metric needs; eight variations of one by default.
        passed: called with each promise once it is seen to be kept.

    Raises:
        AssertionError: which promise was broken.
    """
    metric = _made(cls, parameters)
    assert isinstance(metric, DistributionMetric), f"{cls.__name__} is no qbench.plugin.DistributionMetric"
    waves = _images()["waves"]
    originals = list(images) if images is not None else [Image(np.roll(waves, 13 * n, axis=1)) for n in range(8)]
    distorted = [_distorted(image)[0] for image in originals]

    def features(given: Sequence[Image]) -> list[Any]:
        made = []
        for original, image in zip(originals, given, strict=True):
            pair = Candidates(Reference("image", original), [image, original], [1, 1])
            seal = Seal(pair.images)
            both = feature_batch(metric, pair)
            assert _whole(pair, pair.pixels), "features writes to the images' tensor, which other metrics read"
            assert not seal.broken(), "features writes to the images, which other metrics read"
            alone = feature_batch(metric, pair.one(0))[0]
            assert both[0].shape == alone.shape, f"features have shape {both[0].shape} in a batch, {alone.shape} alone"
            assert np.allclose(both[0], alone, rtol=1e-3, atol=1e-4), "features depend on the rest of the batch"
            made.append(alone)
        assert len({array.shape[1] for array in made}) == 1, "images have different numbers of features"
        return made

    with promised("all images"):
        reference = features(originals)
        same, worse = finish_point(metric, reference, reference), finish_point(metric, reference, features(distorted))
    column = cls.columns[0]
    own, other = float(same[column.name]), float(worse[column.name])  # type: ignore[arg-type]  # the main column applies
    ordered = own >= other if column.direction is Direction.HIGHER else own <= other
    assert ordered, f"{column.name} prefers distorted images ({other}) to the originals themselves ({own})"
    passed("features are finite and of one kind, whatever the batch; images are left alone")
    passed("the originals themselves score no worse than noisy ones")


def _made(cls: type[MetricDeclaration], parameters: Mapping[str, Any] | None) -> MetricDeclaration:
    problem = form_problem(MetricDeclaration, cls)
    assert not problem, problem
    return cls(cls.Parameters.model_validate(dict(parameters or {})), Context())


def _scores(metric: Metric, candidates: Candidates, prepared: Any) -> list[Values | NotApplicable]:
    found: list[Values | NotApplicable] = []
    for outcome in score_batch(metric, candidates, prepared):
        if not isinstance(outcome, (dict, NotApplicable)):
            raise outcome if isinstance(outcome, Exception) else TypeError(outcome)
        found.append(outcome)
    return found


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


def _check_pool(cls: type[Metric], result: Values, pixels: int) -> None:
    offer = Offer[type[MetricDeclaration]](cls, PluginInfo("tested"))
    for column in cls.columns if cls.pooling else ():
        for count in (1, 2):
            value = result[column.name]
            if isinstance(value, NotApplicable):
                continue
            found = pooled_value(offer, column.name, [value] * count, [pixels] * count)
            assert found is None or close(found, value), f"pool of {count} × {value} is {found} in {column.name}"


def _check_identity(cls: type[Metric], results: Sequence[Any]) -> None:
    if any(isinstance(result, NotApplicable) for result in results):
        return
    for column in cls.columns:
        own, *others = (float(result[column.name]) for result in results)
        worse = [
            value <= own + TOLERANCE if column.direction is Direction.HIGHER else value >= own - TOLERANCE
            for value in others
        ]
        assert all(worse), f"{column.name} prefers a distorted image to the original itself"


def _whole(images: Reference | Candidates, pixels: Sequence[Samples]) -> bool:
    """Whether the tensor of images, if they have one, holds their samples."""
    return "tensor" not in images.__dict__ or tensors_hold([(images, pixels)])
