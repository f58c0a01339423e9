"""What would make every cell fail in the same way, found before anything is coded."""

from __future__ import annotations

from collections.abc import Sequence

from qbench.contracts.codec import Codec
from qbench.contracts.context import Context
from qbench.contracts.metric import MetricDeclaration
from qbench.contracts.weights import hashing_once
from qbench.errors import QbenchError
from qbench.execute.answering import Request
from qbench.execute.limits import Limits
from qbench.execute.pool import StationPool
from qbench.execute.stations import PluginFailedError
from qbench.execute.trust import family
from qbench.models.resolve import find_weights
from qbench.planning.types import OperatingPoint, PlannedMetric
from qbench.registry.registry import Registry


@hashing_once()
def require_weights(
    points: Sequence[OperatingPoint], metrics: Sequence[PlannedMetric], registry: Registry, context: Context
) -> None:
    """Check that all weights are available.

    Raises:
        QbenchError: some are not.
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


def require_settings(metrics: Sequence[PlannedMetric], pool: StationPool, registry: Registry, limits: Limits) -> None:
    """Check that every metric accepts its settings.

    Raises:
        QbenchError: settings that only the metric itself can judge are wrong.
    """
    for metric in metrics:
        with pool.lease("score", family=family(metric, registry), accelerator=pool.on_accelerator(metric)) as station:
            try:
                station.ask(Request("check", (metric,), metric.owner, f"{metric.label} · settings"), limits)
            except PluginFailedError as error:  # the metric's failure will be recorded at every cell
                if isinstance(error.__cause__, QbenchError):
                    raise error.__cause__ from None
