"""Whether what a run folder keeps is what was measured: bitstreams decoded once more, and kept pictures."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from qbench.errors import NotApplicable, QbenchError, StoreError
from qbench.execute.desks import Setting
from qbench.execute.means import Means, at_coder
from qbench.execute.stations import PluginFailedError
from qbench.execute.trust import require_trusted
from qbench.images.image import Image
from qbench.planning.types import OperatingPoint, PlannedImage
from qbench.records import CellRecord
from qbench.registry.registry import Registry
from qbench.results.state import RunState
from qbench.store.folder import RunFolder


class Verdict(StrEnum):
    """What became of a bitstream, or of a kept reconstruction."""

    SAME = "same"
    """The very pixels that were measured."""
    DIFFERS = "differs"
    """The bitstream is the one that was measured, but decodes to other pixels here."""
    ALTERED = "altered"
    """The file is not the one that was measured."""
    NOT_KEPT = "not kept"
    UNDECODABLE = "undecodable"
    """The codec is not here, has not the weights or code that the run names, or fails."""


GOOD = {Verdict.SAME, Verdict.NOT_KEPT}


@dataclass(frozen=True)
class Finding:
    """What was found of one coded cell.

    Attributes:
        bitstream, reconstruction: the verdicts on the two files; ``reconstruction`` is never ``differs``.
        reason: why a bitstream can't be decoded.
        differing, largest, rms: of a bitstream that decodes to other pixels, against the kept reconstruction: the
            number of samples that differ, by how many levels at most, and the root mean square in levels. None where no
            reconstruction is kept.
    """

    image: str
    point: str
    bitstream: Verdict
    reconstruction: Verdict
    reason: str = ""
    differing: int | None = None
    largest: int | None = None
    rms: float | None = None

    @property
    def good(self) -> bool:
        """Whether all that is kept is what was measured."""
        return self.bitstream in GOOD and self.reconstruction in GOOD


def verify_cells(means: Means, state: RunState, registry: Registry, *, trust: bool) -> Iterator[Finding]:
    """Decode every kept bitstream, and compare what comes out, and every kept reconstruction, with the records.

    Nothing is written. A codec is set up once for all images of an operating point (and of the setting found for its
    target); its failures are findings, and so is code that its settings name if that is not trusted.
    """
    plan = state.plan
    for point in plan.points:
        by_setting: dict[float | None, list[CellRecord]] = defaultdict(list)
        for image in plan.images:
            cell = state.cell(image, point)
            if cell is not None and cell.outcome == "coded":
                by_setting[cell.found.value if cell.found else None].append(cell)
        for cells in by_setting.values():
            yield from _verified(means, state, Setting.of(point, cells[0].found, strict=False), cells, registry, trust)


def _verified(
    means: Means, state: RunState, setting: Setting, cells: list[CellRecord], registry: Registry, trust: bool
) -> Iterator[Finding]:
    folder, point = means.setup.folder, setting.point
    for cell in cells:
        image = state.plan.image(cell.image)
        kept, verdict = _kept(folder, point, image, cell)
        try:
            bitstream = folder.read_file(folder.bitstream_path(point, cell.image))
        except StoreError as error:
            yield Finding(cell.image, point.id, Verdict.ALTERED, verdict, str(error))
            continue
        if bitstream is None:
            yield Finding(cell.image, point.id, Verdict.NOT_KEPT, verdict)
            continue
        if hashlib.sha256(bitstream).hexdigest() != cell.bitstream_sha256:
            yield Finding(cell.image, point.id, Verdict.ALTERED, verdict)
            continue
        try:
            if not trust:
                require_trusted(folder.path, [point], registry)
            shape = image.height, image.width, 3
            made = at_coder(means, "decode", setting, cell.image, "decode_stored", bitstream, shape, None)
        except PluginFailedError as error:
            reason = f"{error.failure.plugin}: {error.failure.error}: {error.failure.message}"
            yield Finding(cell.image, point.id, Verdict.UNDECODABLE, verdict, reason)
            continue
        except (NotApplicable, QbenchError) as error:
            yield Finding(cell.image, point.id, Verdict.UNDECODABLE, verdict, f"{point.owner}: {error}")
            continue
        decoded = made.image
        if decoded.digest == cell.reconstruction_sha256:
            yield Finding(cell.image, point.id, Verdict.SAME, verdict)
        else:
            yield Finding(cell.image, point.id, Verdict.DIFFERS, verdict, **_difference(decoded, kept))


def _kept(
    folder: RunFolder, point: OperatingPoint, image: PlannedImage, cell: CellRecord
) -> tuple[Image | None, Verdict]:
    """Return the kept reconstruction, if it is the one that was measured."""
    if not folder.reconstruction_path(point, cell.image).is_file():
        return None, Verdict.NOT_KEPT
    kept = folder.read_reconstruction(point, image)
    if kept is None or kept.digest != cell.reconstruction_sha256:
        return None, Verdict.ALTERED
    return kept, Verdict.SAME


def _difference(decoded: Image, kept: Image | None) -> Mapping[str, Any]:
    if kept is None:
        return {}
    difference = np.abs(decoded.pixels.astype(np.int64) - kept.pixels)
    return {
        "differing": int((difference > 0).sum()),
        "largest": int(difference.max()),
        "rms": math.sqrt((difference**2).mean()),
    }
