"""Asking a metric what is behind its scores."""

from __future__ import annotations

from collections.abc import Sequence

from qbench.contracts.context import Context
from qbench.contracts.metric import Candidates, Explanation, Metric, Reference
from qbench.errors import NotApplicable, PluginError, QbenchError, StoreError
from qbench.execute.coding import stored_reconstruction
from qbench.execute.scoring import make_metric, require_format
from qbench.execute.work import ContractError
from qbench.images.image import Image
from qbench.images.sources import ImageSource
from qbench.planning.types import OperatingPoint, Plan, PlannedImage, PlannedMetric
from qbench.records import CellRecord, Failure
from qbench.registry.registry import Registry
from qbench.store.folder import RunFolder


def explain_cells(
    folder: RunFolder,
    plan: Plan,
    cells: Sequence[CellRecord],
    source: ImageSource,
    metric: PlannedMetric,
    registry: Registry,
    context: Context,
) -> list[Explanation]:
    """Ask a metric to explain its scores of coded cells of one image.

    Raises:
        QbenchError: the original has changed, a reconstruction is gone, or the metric has nothing to say.
        PluginError: the metric failed.
    """
    image = plan.image(cells[0].image)
    reference = Reference(image.name, original(source, image), context.device)
    reconstructions = [_reconstruction(folder, plan.point(cell.point), cell, registry, context) for cell in cells]
    try:
        instance = make_metric(metric, registry, context)
        if not isinstance(instance, Metric):
            raise NotApplicable(f"{metric.label} scores operating points, not single cells")
        require_format(instance, reference)
        prepared = instance.prepare(reference)
        return [
            instance.explain(
                Candidates(reference, [reconstruction], [cell.bitstream_size or 0], context.device), prepared
            )
            for cell, reconstruction in zip(cells, reconstructions, strict=True)
        ]
    except NotApplicable as reason:
        raise QbenchError(f"metric `{metric.label}`, image `{image.name}`: {reason.reason}") from reason
    except QbenchError:
        raise
    except Exception as error:
        failure = Failure.of(metric.owner, error)
        raise PluginError(f"{failure.plugin} failed: {failure.message}\n{failure.traceback}") from error


def original(source: ImageSource, planned: PlannedImage) -> Image:
    """Read an original of a run again.

    Raises:
        ImageError: it is gone.
        StoreError: it has changed.
    """
    image = source.read()
    if image.digest != planned.sha256:
        raise StoreError(f"{planned.location}: the image has changed since the run")
    return image


def _reconstruction(
    folder: RunFolder, point: OperatingPoint, cell: CellRecord, registry: Registry, context: Context
) -> Image:
    def decode(bitstream: bytes) -> Image:
        codec = registry.codecs[point.codec]
        chosen = {} if cell.found is None else {cell.found.parameter: cell.found.value}
        parameters = codec.Parameters.model_validate({**point.parameters, **chosen}, strict=False)
        return codec(parameters, context).decode(bitstream)

    try:
        return stored_reconstruction(folder, point, cell, decode)
    except ContractError as error:
        raise PluginError(f"{point.owner}: {error}") from error
