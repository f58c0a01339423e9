"""Downloading one file: only where downloads are allowed and there is room, and resumed where it broke off."""

from __future__ import annotations

import http.client
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from qbench.contracts.weights import CHUNK
from qbench.errors import DownloadError

TIMEOUT_SECONDS = 60
SPARE_BYTES = 50_000_000
"""Left free on the disk."""


def download(
    address: str, path: Path, *, size: int = 0, progress: Callable[[int, int], None] = lambda done, total: None
) -> None:
    """Download a file; where a part of it is in place already, only the rest.

    The caller verifies what came. ``HF_HUB_OFFLINE`` or ``QBENCH_OFFLINE`` forbids downloads.

    Args:
        address: an ``http`` or ``https`` address.
        path: the file; its folder is made.
        size: in bytes; 0 if not known beforehand.
        progress: called with (bytes here, bytes in total).

    Raises:
        DownloadError: forbidden, no network, no room, an address that is gone, or a server that broke off. What came
            so far is kept.
    """
    require_online()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _download(address, path, size, progress)
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, urllib.error.HTTPError):
            reason = f"HTTP {error.code} {error.reason}"
        else:
            reason = str(getattr(error, "reason", None) or error)
        raise DownloadError(
            f"can't fetch {address}: {reason}. The partial download is kept; rerun the same command to resume"
        ) from error


def require_online() -> None:
    """Raise DownloadError where the environment forbids downloads."""
    for name in ("HF_HUB_OFFLINE", "QBENCH_OFFLINE"):
        if os.environ.get(name, "").lower() not in ("", "0", "false", "no"):
            raise DownloadError(f"not downloaded, and {name} forbids downloads")


def _download(address: str, path: Path, size: int, progress: Callable[[int, int], None]) -> None:
    there = path.stat().st_size if path.is_file() else 0
    if size and there > size:
        path.unlink()
        there = 0
    if size and there == size:
        return
    if size:
        _require_room(size - there, path.parent)
    request = urllib.request.Request(address, headers={"Range": f"bytes={there}-"} if there else {})
    try:
        opened = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if there > 0 and error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # a complete file whose size was not announced
        raise
    with opened as response:
        # A server that does not resume answers 200 and begins at the beginning.
        resumed = there > 0 and response.status == http.client.PARTIAL_CONTENT
        done = there if resumed else 0
        total = size or done + int(response.headers.get("Content-Length") or 0)
        if not size:
            _require_room(total - done, path.parent)
        with path.open("ab" if resumed else "wb") as file:
            while chunk := response.read(CHUNK):
                file.write(chunk)
                done += len(chunk)
                progress(done, total)
    if done < total or (size and done != size):
        raise http.client.IncompleteRead(b"", total - done)


def _require_room(missing: int, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    needed = missing + SPARE_BYTES
    if free < needed:
        raise DownloadError(
            f"the download needs {needed / 1e6:.0f} MB in {folder}, where {free / 1e6:.0f} MB are free; make room, "
            "or set QBENCH_HOME to another place"
        )
