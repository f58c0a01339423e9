"""Asking a metric what is behind its scores."""

from __future__ import annotations

from collections.abc import Sequence

from qbench.codec import Codec, Context, Pixels
from qbench.errors import NotApplicable, PluginError, QbenchError, StoreError
from qbench.execute.bench import failure_of, make_metric
from qbench.execute.coding import ContractError
from qbench.execute.kept import kept_reconstruction
from qbench.image import ImageSource, Picture
from qbench.metric import Candidates, Explanation, Metric, Reference
from qbench.plan import OperatingPoint, Plan, PlannedImage, PlannedMetric
from qbench.records import CellRecord
from qbench.registry import Registry
from qbench.store import RunFolder


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
        QbenchError: the original changed, a reconstruction can't be had any more, or the metric has nothing to say.
        PluginError: the metric failed.
    """
    image = plan.image(cells[0].image)
    picture = original(source, image)
    reconstructions = [_reconstruction(folder, plan.point(cell.point), cell, registry, context) for cell in cells]
    try:
        instance = make_metric(metric, registry, context)
        if not isinstance(instance, Metric):
            raise NotApplicable(f"{metric.label} scores operating points, not single cells")
        reference = Reference(image.name, picture.pixels, context.device)
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
        failure = failure_of(metric.owner, error)
        raise PluginError(f"{failure.plugin} failed: {failure.message}\n{failure.traceback}") from error


def original(source: ImageSource, image: PlannedImage) -> Picture:
    """Read an original of a run again.

    Raises:
        ImageError: it is gone.
        StoreError: it is another one now.
    """
    picture = source.read()
    if picture.digest != image.sha256:
        raise StoreError(f"{image.location}: the image changed since the run")
    return picture


def _reconstruction(
    folder: RunFolder, point: OperatingPoint, cell: CellRecord, registry: Registry, context: Context
) -> Pixels:
    def decode(bitstream: bytes) -> Pixels:
        codec: type[Codec] = registry.codecs[point.codec]
        parameters = codec.Parameters.model_validate(dict(point.parameters), strict=False)
        return codec(parameters, context).decode(bitstream)

    try:
        return kept_reconstruction(folder, point, cell, decode)
    except ContractError as error:
        raise PluginError(f"{point.owner}: {error}") from error
