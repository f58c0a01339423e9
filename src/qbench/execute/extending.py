"""What must hold before a finished run is scored further, so that nothing is written into it in vain."""

from __future__ import annotations

from collections.abc import Sequence

from qbench.errors import StoreError
from qbench.execute.trust import code_named_by, require_trusted
from qbench.planning.originals import require_originals
from qbench.planning.types import OperatingPoint, Plan, PlannedMetric
from qbench.registry.registry import Registry
from qbench.results.state import RunState
from qbench.store.folder import RunFolder


def require_extendable(
    folder: RunFolder, plan: Plan, state: RunState, further: Sequence[PlannedMetric], registry: Registry, *, trust: bool
) -> None:
    """Refuse to go on with a run by its folder, before anything is recorded.

    Args:
        plan: the run's, with the places of originals that are to be used.
        further: metrics that are new.
        trust: whether code that the folder names may be run.

    Raises:
        StoreError: cells to be scored are not kept.
        PluginError: code that is named and not trusted.
        ImageError: originals that are gone or have changed.
    """
    if further:
        _require_kept(folder, plan, state)
    if not trust:
        to_decode = [point for point in plan.points if _needs_codec(folder, plan, point, state, registry)]
        require_trusted(folder.path, [*to_decode, *plan.metrics], registry)
    require_originals(plan, registry)


def _require_kept(folder: RunFolder, plan: Plan, state: RunState) -> None:
    gone = [
        cell
        for image, point, _ in plan.iter_cells()
        if (cell := state.cell(image, point)) is not None
        and cell.outcome == "coded"
        and not folder.keeps(point, image.name)
    ]
    if gone:
        raise StoreError(
            f"{folder.path}: of {len(gone)} cells neither bitstream nor reconstruction is kept (see `keep` "
            "in its suite), so they can't be scored; run the suite again with the metrics in it"
        )


def _needs_codec(folder: RunFolder, plan: Plan, point: OperatingPoint, state: RunState, registry: Registry) -> bool:
    """Whether a codec whose settings name code will have to encode or decode."""
    if point.codec not in registry.codecs or not code_named_by(point, registry):
        return False
    for image in plan.images:
        cell = state.cell(image, point)
        if cell is None:
            return True
        if cell.outcome == "coded":
            kept = folder.read_reconstruction(point, image)
            if kept is None or kept.digest != cell.reconstruction_sha256:
                return True
    return False
