"""Asking a metric what is behind its scores."""

from __future__ import annotations

from collections.abc import Sequence

from qbench.contracts.context import Context
from qbench.contracts.metric import Candidates, Explanation, Metric, Reference
from qbench.errors import NotApplicable, PluginError, QbenchError, StoreError
from qbench.execute.coder import UNTIMED, PointDecoder, check_artifacts
from qbench.execute.desks import Setting, coder_at
from qbench.execute.originals import stored_reconstruction
from qbench.execute.scoring import make_metric, require_format
from qbench.execute.trust import require_trusted
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
    *,
    decode: bool,
    trust: bool,
) -> list[Explanation]:
    """Ask a metric to explain its scores of coded cells of one image.

    Args:
        decode: decode bitstreams of cells without a kept reconstruction, by the codec that the run names.
        trust: let codecs and metrics work whose settings name code to run.

    Raises:
        QbenchError: the original has changed, a reconstruction is gone, code is not trusted, or the metric has nothing
            to say.
        PluginError: the metric failed.
    """
    if not trust:
        require_trusted(folder.path, [metric], registry)
    image = plan.image(cells[0].image)
    reference = Reference(image.name, original(source, image), context.device)
    reconstructions = [
        _reconstruction(
            folder, plan.point(cell.point), image, cell, registry, context, reference.image, decode=decode, trust=trust
        )
        for cell in cells
    ]
    try:
        instance = make_metric(metric, registry, context, strict=False)
        if not isinstance(instance, Metric):
            raise NotApplicable(f"{metric.label} scores operating points, not single cells")
        require_format(instance, reference)
        prepared = instance.prepare(reference)
        return [
            check_explanation(
                instance.explain(
                    Candidates(reference, [reconstruction], [cell.bitstream_size or 0], context.device), prepared
                )
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
    folder: RunFolder,
    point: OperatingPoint,
    planned: PlannedImage,
    cell: CellRecord,
    registry: Registry,
    context: Context,
    like: Image,
    *,
    decode: bool,
    trust: bool,
) -> Image:
    def decoded(bitstream: bytes) -> Image:
        if not decode:
            raise StoreError(
                f"{point.id}, {cell.image}: no reconstruction is kept, and a report decodes nothing; "
                "qbench explain does, with the codec that is installed here"
            )
        if not trust:
            require_trusted(folder.path, [point], registry)
        setting = Setting.of(point, cell.found, strict=False)
        decoder = coder_at(PointDecoder, registry, setting, context, UNTIMED)
        try:
            return decoder.decode_stored(bitstream, like.shape, like.format)
        finally:
            decoder.close()

    try:
        return stored_reconstruction(folder, point, planned, cell, decoded)
    except QbenchError:
        raise
    except Exception as error:
        failure = Failure.of(point.owner, error)
        raise PluginError(f"{failure.plugin} failed: {failure.message}\n{failure.traceback}") from error


def check_explanation(found: object) -> Explanation:
    """Return an explanation that can be shown.

    Raises:
        ContractError: it is something else.
    """
    if not isinstance(found, Explanation):
        raise ContractError(f"explain returned {type(found).__name__}, not a qbench.plugin.Explanation")
    values = [*found.facts.values()]
    for table in found.tables:
        if any(len(row) != len(table.columns) for row in table.rows):
            raise ContractError(f"explain: a row of the table `{table.title}` doesn't have one value per column")
        values += [value for row in table.rows for value in row]
    for value in values:
        if not isinstance(value, str | int | float):
            raise ContractError(f"explain gave {value!r}, a {type(value).__name__}; accepted: text and numbers")
    check_artifacts("explain", found.artifacts)
    return found
