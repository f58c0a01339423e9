"""Asking a metric what is behind its scores of one cell."""

from __future__ import annotations

from qbench.codec import Codec, Context, Pixels
from qbench.errors import NotApplicable, PluginError, QbenchError, StoreError
from qbench.execute.bench import failure_of, make_metric
from qbench.execute.coding import ContractError
from qbench.execute.kept import kept_reconstruction
from qbench.image import ImageSource
from qbench.metric import Candidates, Explanation, Metric, Reference
from qbench.plan import Plan, PlannedMetric
from qbench.records import CellRecord
from qbench.registry import Registry
from qbench.store import RunFolder


def explain_cell(
    folder: RunFolder,
    plan: Plan,
    cell: CellRecord,
    source: ImageSource,
    metric: PlannedMetric,
    registry: Registry,
    context: Context,
) -> Explanation:
    """Ask a metric to explain its scores of a coded cell.

    Raises:
        QbenchError: the original changed, the reconstruction can't be had any more, or the metric has nothing to say.
        PluginError: the metric failed.
    """
    image, point = plan.image(cell.image), plan.point(cell.point)
    picture = source.read()
    if picture.digest != image.sha256:
        raise StoreError(f"{image.location}: the image changed since the run")

    def decode(bitstream: bytes) -> Pixels:
        codec: type[Codec] = registry.codecs[point.codec]
        parameters = codec.Parameters.model_validate(dict(point.parameters), strict=False)
        return codec(parameters, context).decode(bitstream)

    try:
        reconstruction = kept_reconstruction(folder, point, cell, decode)
    except ContractError as error:
        raise PluginError(f"{point.owner}: {error}") from error
    try:
        instance = make_metric(metric, registry, context)
        if not isinstance(instance, Metric):
            raise NotApplicable(f"{metric.label} scores operating points, not single cells")
        reference = Reference(image.name, picture.pixels, context.device)
        candidate = Candidates(reference, [reconstruction], [cell.bitstream_size or 0], context.device)
        return instance.explain(candidate, instance.prepare(reference))
    except NotApplicable as reason:
        raise QbenchError(f"metric `{metric.label}`, image `{image.name}`: {reason.reason}") from reason
    except QbenchError:
        raise
    except Exception as error:
        failure = failure_of(metric.owner, error)
        raise PluginError(f"{failure.plugin} failed: {failure.message}\n{failure.traceback}") from error
