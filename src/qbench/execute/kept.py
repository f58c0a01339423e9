"""Getting back a reconstruction that an earlier session or run made."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from qbench.codec import Pixels
from qbench.errors import StoreError
from qbench.execute.coding import ContractError
from qbench.image import pixels_digest
from qbench.plan import OperatingPoint
from qbench.records import CellRecord
from qbench.store import RunFolder


def kept_reconstruction(
    folder: RunFolder, point: OperatingPoint, record: CellRecord, decode: Callable[[bytes], Pixels]
) -> Pixels:
    """Return the reconstruction of a coded cell: from its PNG, else from its bitstream; the very same pixels.

    Raises:
        StoreError: neither is there, or the bitstream is another one.
        ContractError: decoding gave other pixels than when it was coded.
    """
    kept = folder.read_reconstruction(point, record.image)
    if kept is not None and pixels_digest(kept) == record.reconstruction_sha256:
        return kept
    path = folder.bitstream_path(point, record.image)
    try:
        bitstream = path.read_bytes()
    except OSError as error:
        raise StoreError(
            f"{path}: the bitstream is gone ({error.strerror}); it was kept when the cell was coded"
        ) from error
    if hashlib.sha256(bitstream).hexdigest() != record.bitstream_sha256:
        raise StoreError(
            f"{path}: the bitstream is not the one that was recorded; delete it to have the cell coded again"
        )
    reconstruction = decode(bitstream)
    if pixels_digest(reconstruction) != record.reconstruction_sha256:
        raise ContractError("decoding the stored bitstream gave other pixels than when it was coded")
    return reconstruction
