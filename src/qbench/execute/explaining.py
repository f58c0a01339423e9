"""Asking a metric what is behind its scores."""

from __future__ import annotations

from collections.abc import Sequence

from qbench.contracts.metric import Explanation
from qbench.errors import NotApplicable, QbenchError, StoreError
from qbench.execute.desks import Setting
from qbench.execute.means import Means, at_coder, at_metric
from qbench.execute.reconstructions import stored_reconstruction
from qbench.execute.shared import SharedImage
from qbench.execute.stations import PluginFailedError
from qbench.execute.trust import require_trusted
from qbench.images.image import Image
from qbench.images.sources import ImageSource
from qbench.planning.types import PlannedMetric
from qbench.records import CellRecord
from qbench.registry.registry import Registry


def explain_cells(
    means: Means,
    cells: Sequence[CellRecord],
    source: ImageSource,
    metric: PlannedMetric,
    registry: Registry,
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
    plan, folder = means.setup.plan, means.setup.folder
    if not trust:
        require_trusted(folder.path, [metric], registry)
    image = plan.image(cells[0].image)
    held: list[SharedImage] = []
    try:
        original = means.read(source, image)
        held.append(original)
        for cell in cells:
            held.append(_reconstruction(means, cell, original, registry, decode=decode, trust=trust))
        sizes = [cell.bitstream_size or 0 for cell in cells]
        with at_metric(means, metric, image.name, None, (original, held[1:], sizes)) as ask:
            return [ask("explain", metric, index) for index in range(len(cells))]
    except NotApplicable as reason:
        raise QbenchError(f"metric `{metric.label}`, image `{image.name}`: {reason.reason}") from reason
    except PluginFailedError as error:
        raise error.told() from error
    finally:
        for shared in held:
            shared.close()


def _reconstruction(
    means: Means, cell: CellRecord, original: SharedImage, registry: Registry, *, decode: bool, trust: bool
) -> SharedImage:
    plan, folder = means.setup.plan, means.setup.folder
    point = plan.point(cell.point)
    shape, form, _ = original.description

    def decoded(bitstream: bytes) -> Image:
        if not decode:
            raise StoreError(
                f"{point.id}, {cell.image}: no reconstruction is kept, and a report decodes nothing; "
                "qbench explain does, with the codec that is installed here"
            )
        if not trust:
            require_trusted(folder.path, [point], registry)
        setting = Setting.of(point, cell.found, strict=False)
        made: SharedImage = at_coder(means, "decode", setting, cell.image, "decode_stored", bitstream, shape, form)
        return made.image

    return SharedImage.of(stored_reconstruction(folder, point, plan.image(cell.image), cell, decoded))
