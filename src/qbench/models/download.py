"""Fetching weights: resumed where it broke off, verified before it counts."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from qbench.contracts.weights import CHUNK, Weights, file_digest
from qbench.errors import ModelError
from qbench.home import model_home
from qbench.models.resolve import PIN, local_path, pinned, verify

TIMEOUT_SECONDS = 60
SPARE_BYTES = 50_000_000
"""Left free on the disk."""


def pull(weights: Weights, progress: Callable[[int, int], None] = lambda done, total: None) -> Path:
    """Download weights unless they are complete already; return the file.

    What a broken download left is taken up again. ``HF_HUB_OFFLINE`` (or ``QBENCH_OFFLINE``) forbids any download.
    Weights registered without a digest are pinned: the digest that the hub declares is kept beside them.

    Raises:
        ModelError: no network, no room, an address that is gone, or a file that is not the one that was published.
    """
    if weights.profile != "hub":
        return verify(weights, progress)
    try:
        return verify(weights, progress)
    except ModelError:  # not here, or damaged: fetched (anew) below
        pass
    if _offline():
        raise ModelError(
            f"weights `{weights.name}` are not downloaded, and HF_HUB_OFFLINE or QBENCH_OFFLINE forbids a download"
        )
    try:
        published = _published(weights)
        partial = model_home(weights.name) / f"{published.sha256[:16] or 'file'}.part"
        partial.parent.mkdir(parents=True, exist_ok=True)
        _download(published, weights.name, partial, progress)
        found = file_digest(partial)
        if not found.startswith(published.sha256):
            partial.unlink()
            raise ModelError(
                f"weights `{weights.name}`: {published.address} gave a file with SHA-256 {found[:16]}…, not "
                f"{published.sha256[:16]}… as published; discarded"
            )
        if weights.convert is None:
            partial.replace(local_path(pinned(weights)))
        else:
            _convert(weights, partial)
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        reason = getattr(error, "reason", None) or error
        raise ModelError(
            f"weights `{weights.name}`: can't fetch {weights.source}: {reason}. "
            "The partial download is kept; rerun the same command to resume"
        ) from error
    return verify(weights)


@dataclass(frozen=True)
class _Published:
    """A file on a server: its SHA-256 (or the beginning of it) and size, as far as known beforehand."""

    address: str
    sha256: str
    size: int


def _published(weights: Weights) -> _Published:
    """Find out what to fetch and what to expect; pins what a hub declares.

    Raises:
        ModelError: the hub does not have the file, or declares no digest for it.
        OSError: no connection.
    """
    kind, _, rest = weights.source.partition(":")
    if kind != "hf":
        return _Published(weights.source, weights.sha256, weights.size)
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import HfHubHTTPError

    owner, repository, file = rest.split("/", 2)
    address = hf_hub_url(f"{owner}/{repository}", file, endpoint=os.environ.get("HF_ENDPOINT") or None)
    if weights.sha256:
        return _Published(address, weights.sha256, weights.size)
    known = model_home(weights.name) / PIN
    if known.is_file() and weights.convert is None:
        earlier = pinned(weights)
        return _Published(address, earlier.sha256, earlier.size)
    try:
        declared = get_hf_file_metadata(address, timeout=TIMEOUT_SECONDS)
    except HfHubHTTPError as error:
        raise ModelError(f"weights `{weights.name}`: the hub does not give {address}: {_first_line(error)}") from error
    except Exception as error:  # the hub's library passes on whatever its HTTP library raises
        raise OSError(_first_line(error)) from error
    if not re.fullmatch(r"[0-9a-f]{64}", declared.etag or "") or not declared.size:
        raise ModelError(f"weights `{weights.name}`: the hub declares no SHA-256 for {address}; it can't be verified")
    if weights.convert is None:
        _pin(weights, str(declared.etag), declared.size, commit=declared.commit_hash, address=address)
    return _Published(address, str(declared.etag), declared.size)


def _pin(weights: Weights, sha256: str, size: int, **more: str | None) -> None:
    path = model_home(weights.name) / PIN
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"sha256": sha256, "size": size, **more}, indent=1), encoding="utf-8")


def _convert(weights: Weights, original: Path) -> None:
    """Write the safetensors file, pin it, and put it in its place; the file as it came is not kept."""
    assert weights.convert is not None
    converted = original.with_suffix(".converting")
    try:
        weights.convert(original, converted)
    except Exception as error:
        raise ModelError(f"weights `{weights.name}`: the download can't be converted: {error!r}") from error
    _pin(weights, file_digest(converted), converted.stat().st_size, address=weights.source)
    converted.replace(local_path(pinned(weights)))
    original.unlink()


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _download(published: _Published, name: str, partial: Path, progress: Callable[[int, int], None]) -> None:
    there = partial.stat().st_size if partial.is_file() else 0
    if published.size and there > published.size:
        partial.unlink()
        there = 0
    if published.size and there == published.size:
        return
    if published.size:
        _make_sure_of_room(name, published.size - there, partial.parent)
    request = urllib.request.Request(published.address, headers={"Range": f"bytes={there}-"} if there else {})
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
        size = published.size or done + int(response.headers.get("Content-Length") or 0)
        if not published.size:
            _make_sure_of_room(name, size - done, partial.parent)
        with partial.open("ab" if resumed else "wb") as file:
            while chunk := response.read(CHUNK):
                file.write(chunk)
                done += len(chunk)
                progress(done, size)
    if done < size or (published.size and done != size):
        raise http.client.IncompleteRead(b"", size - done)


def _make_sure_of_room(name: str, missing: int, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    needed = missing + SPARE_BYTES
    if free < needed:
        raise ModelError(
            f"weights `{name}` need {needed / 1e6:.0f} MB in {folder}, where {free / 1e6:.0f} MB are free; make room, "
            "or set QBENCH_HOME to another place"
        )


def _offline() -> bool:
    values = (os.environ.get(name, "").lower() for name in ("HF_HUB_OFFLINE", "QBENCH_OFFLINE"))
    return any(value not in ("", "0", "false", "no") for value in values)
