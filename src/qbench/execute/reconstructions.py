"""Reconstructions as images again, held to what was recorded."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from qbench.errors import LostError
from qbench.images.image import Image
from qbench.planning.types import OperatingPoint, PlannedImage
from qbench.records import CellRecord
from qbench.store.folder import RunFolder


def stored_reconstruction(
    folder: RunFolder, point: OperatingPoint, image: PlannedImage, record: CellRecord, decode: Callable[[bytes], Image]
) -> Image:
    """Return the reconstruction of a coded cell: from its PNG, else from its bitstream; the very same pixels.

    Raises:
        LostError: neither is there, or the bitstream is another one, or it decodes to other pixels here.
    """
    kept = folder.read_reconstruction(point, image)
    if kept is not None and kept.digest == record.reconstruction_sha256:
        return kept
    path = folder.bitstream_path(point, record.image)
    bitstream = folder.read_file(path)
    if bitstream is None:
        raise LostError(f"{path}: the bitstream is gone; it existed when the cell was coded")
    if hashlib.sha256(bitstream).hexdigest() != record.bitstream_sha256:
        raise LostError(
            f"{path}: the bitstream is not the one that was recorded; delete it to have the cell coded again"
        )
    reconstruction = decode(bitstream)
    if reconstruction.digest != record.reconstruction_sha256:
        raise LostError(
            f"{path}: decodes to other pixels here than where it was coded; qbench verify says how many bitstreams do"
        )
    return reconstruction
