"""What would make every cell fail in the same way, found before anything is coded."""

from __future__ import annotations

from collections.abc import Sequence

from qbench.contracts.codec import Codec
from qbench.contracts.context import Context
from qbench.contracts.metric import MetricDeclaration
from qbench.contracts.weights import hashing_once
from qbench.errors import QbenchError
from qbench.execute.scoring import make_metric
from qbench.models.resolve import find_weights
from qbench.planning.types import OperatingPoint, PlannedMetric
from qbench.registry.registry import Registry


@hashing_once()
def preflight(
    points: Sequence[OperatingPoint], metrics: Sequence[PlannedMetric], registry: Registry, context: Context
) -> None:
    """Check that all weights are available, and that every metric accepts its settings.

    Raises:
        QbenchError: some weights are not available, or settings that only the metric itself can judge are wrong.
    """
    used: list[tuple[type[Codec] | type[MetricDeclaration], OperatingPoint | PlannedMetric]] = [
        *((registry.codecs[point.codec], point) for point in points),
        *((registry.metrics[metric.metric], metric) for metric in metrics),
    ]
    for cls, planned in used:
        target = planned.target if isinstance(planned, OperatingPoint) else None
        needed = {
            weights.name: weights
            for chosen in ([{}] if target is None else target.some_settings)
            for weights in cls.weights(
                cls.Parameters.model_validate({**planned.parameters, **chosen}, strict=False), context.profile
            )
        }
        for weights in needed.values():
            find_weights(weights)
    for metric in metrics:
        try:
            make_metric(metric, registry, context)
        except QbenchError:
            raise
        except Exception:  # the plugin's failure: recorded, with its traceback, at every cell
            continue
