"""Checks of what computes on an accelerator, on one that is only pretended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from qbench.contracts.codec import Codec
from qbench.contracts.context import Context
from qbench.contracts.metric import DistributionMetric, Metric, MetricDeclaration, Reference
from qbench.execute.accelerators import exactly
from qbench.execute.scoring import Outcome, batches, feature_batches, score_batches
from qbench.images.image import Image
from qbench.testing.accelerator import DEVICE, Costs, pretended_accelerator

REAL = "cuda:0"
"""Whose settings are made, so that TF32 is off as it is in a run."""


def check_metric_on_accelerator(
    cls: type[MetricDeclaration],
    original: Image,
    reconstructions: Sequence[Image],
    parameters: Mapping[str, Any] | None = None,
    *,
    tolerance: float = 1e-5,
) -> Costs:
    """Check that a metric gives there what it gives on the processor, and return what scoring asks for.

    Networks are carried there before: what is returned is what every further image asks for.

    Args:
        tolerance: absolute, and as a share of the value.

    Raises:
        AssertionError: values differ, or TF32 would round what convolutions take.
        RuntimeError: places are mixed.
    """
    settings = cls.Parameters.model_validate(dict(parameters or {}))
    expected = _scored(cls(settings, Context()), original, reconstructions, "cpu")
    with exactly(REAL), pretended_accelerator() as costs:
        metric = cls(settings, Context(DEVICE))
        _scored(metric, original, reconstructions, DEVICE)
        costs.clear()
        found = _scored(metric, original, reconstructions, DEVICE)
    for index, (here, there) in enumerate(zip(expected, found, strict=True)):
        assert type(here) is type(there), f"reconstruction {index}: {here} on the processor, {there} there"
        values: Any = here if isinstance(here, dict) else {"it": here}
        others: Any = there if isinstance(there, dict) else {"it": there}
        for name, value in values.items():
            if not isinstance(value, Exception):
                alike = np.allclose(value, others[name], rtol=tolerance, atol=tolerance)
                assert alike, f"reconstruction {index}: {name} is {value} on the processor, {others[name]} there"
    assert not costs.rounded, "switches TF32 on, which keeps ten bits of what convolutions take"
    return costs


def check_codec_on_accelerator(
    cls: type[Codec], image: Image, parameters: Mapping[str, Any] | None = None, *, levels: int = 1
) -> tuple[Costs, Costs]:
    """Check that a codec gives there what it gives on the processor; return what encoding and decoding ask for.

    Args:
        levels: by how many steps samples may differ.

    Raises:
        AssertionError: bytes or pixels differ.
        RuntimeError: places are mixed.
    """
    settings = cls.Parameters.model_validate(dict(parameters or {}))
    with pretended_accelerator():
        pass  # there before gradients are computed
    here = cls(settings, Context())
    here.setup()
    bitstream = here.encode(image)
    expected = here.decode(bitstream)
    here.close()
    with exactly(REAL), pretended_accelerator() as encoding:
        there = cls(settings, Context(DEVICE))
        there.setup()
        there.decode(there.encode(image))
        encoding.clear()
        made = there.encode(image)
        there.close()
    with exactly(REAL), pretended_accelerator() as decoding:
        there = cls(settings, Context(DEVICE))
        there.setup()
        there.decode(bitstream)
        decoding.clear()
        found = there.decode(bitstream)
        there.close()
    assert made == bitstream, f"{len(made)} bytes there are not the {len(bitstream)} of the processor"
    apart = int(np.abs(found.pixels.astype(int) - expected.pixels.astype(int)).max())
    assert apart <= levels, f"samples differ by up to {apart}"
    return encoding, decoding


def _scored(metric: MetricDeclaration, original: Image, reconstructions: Sequence[Image], device: str) -> list[Outcome]:
    reference = Reference("original", original, device)
    groups = list(batches(reference, reconstructions, [1] * len(reconstructions)))
    if isinstance(metric, DistributionMetric):
        return feature_batches(metric, groups)
    assert isinstance(metric, Metric)
    return score_batches(metric, reference, groups)
