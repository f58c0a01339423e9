"""Fetching weights: resumed where it broke off, verified before it counts."""

from __future__ import annotations

import http.client
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from qbench.errors import ModelError
from qbench.models.resolve import CHUNK, file_digest, local_path, verify
from qbench.models.weights import Weights

TIMEOUT_SECONDS = 60
SPARE_BYTES = 50_000_000
"""Left free on the disk."""


def pull(weights: Weights, progress: Callable[[int, int], None] = lambda done, total: None) -> Path:
    """Fetch weights, unless they are here and whole; return the file.

    What a broken download left is taken up again. ``HF_HUB_OFFLINE`` (or ``QBENCH_OFFLINE``) forbids any download.

    Raises:
        ModelError: no network, no room, an address that is gone, or a file that is not the one that was published.
    """
    path = local_path(weights)
    if path.is_file():
        try:
            return verify(weights, progress)
        except ModelError:
            if weights.profile == "bundled":
                raise
            path.unlink()
    if weights.profile == "bundled":
        raise ModelError(f"weights `{weights.name}`: {path} is missing from the installation")
    if _offline():
        raise ModelError(
            f"weights `{weights.name}` are not here, and HF_HUB_OFFLINE or QBENCH_OFFLINE forbids fetching them"
        )
    partial = path.with_suffix(".part")
    try:
        partial.parent.mkdir(parents=True, exist_ok=True)
        _make_sure_of_room(weights, partial)
        _download(weights, partial, progress)
        found = file_digest(partial)
        if found != weights.sha256:
            partial.unlink()
            raise ModelError(
                f"weights `{weights.name}`: {weights.source} gave a file with SHA-256 {found[:16]}…, not "
                f"{weights.sha256[:16]}… as published; it was thrown away"
            )
        partial.replace(path)
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        reason = getattr(error, "reason", None) or error
        raise ModelError(
            f"weights `{weights.name}`: can't fetch {weights.source}: {reason}. "
            "What came is kept; the same command goes on"
        ) from error
    return verify(weights)


def _download(weights: Weights, partial: Path, progress: Callable[[int, int], None]) -> None:
    there = partial.stat().st_size if partial.is_file() else 0
    if there > weights.size:
        partial.unlink()
        there = 0
    if there == weights.size:
        return
    request = urllib.request.Request(weights.source, headers={"Range": f"bytes={there}-"} if there else {})
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
        # A server that does not resume answers 200 and begins at the beginning.
        resumed = there > 0 and response.status == http.client.PARTIAL_CONTENT
        done = there if resumed else 0
        with partial.open("ab" if resumed else "wb") as file:
            while chunk := response.read(CHUNK):
                file.write(chunk)
                done += len(chunk)
                progress(done, weights.size)
    if done != weights.size:
        raise http.client.IncompleteRead(b"", weights.size - done)


def _make_sure_of_room(weights: Weights, partial: Path) -> None:
    there = partial.stat().st_size if partial.is_file() else 0
    free = shutil.disk_usage(partial.parent).free
    needed = weights.size - there + SPARE_BYTES
    if free < needed:
        raise ModelError(
            f"weights `{weights.name}` need {needed / 1e6:.0f} MB in {partial.parent}, where {free / 1e6:.0f} MB are "
            "free; make room, or set QBENCH_HOME to another place"
        )


def _offline() -> bool:
    values = (os.environ.get(name, "").lower() for name in ("HF_HUB_OFFLINE", "QBENCH_OFFLINE"))
    return any(value not in ("", "0", "false", "no") for value in values)
