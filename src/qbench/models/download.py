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
from dataclasses import replace
from pathlib import Path

from qbench.errors import ModelError
from qbench.home import model_home
from qbench.models.resolve import PIN, local_path, pinned, verify
from qbench.models.weights import CHUNK, Weights, file_digest

TIMEOUT_SECONDS = 60
SPARE_BYTES = 50_000_000
"""Left free on the disk."""


def pull(weights: Weights, progress: Callable[[int, int], None] = lambda done, total: None) -> Path:
    """Fetch weights, unless they are here and whole; return the file.

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
            f"weights `{weights.name}` are not here, and HF_HUB_OFFLINE or QBENCH_OFFLINE forbids fetching them"
        )
    try:
        address, weights = _located(weights)
        path = local_path(weights)
        path.unlink(missing_ok=True)
        partial = path.with_suffix(".part")
        partial.parent.mkdir(parents=True, exist_ok=True)
        _make_sure_of_room(weights, partial)
        _download(address, weights, partial, progress)
        found = file_digest(partial)
        if found != weights.sha256:
            partial.unlink()
            raise ModelError(
                f"weights `{weights.name}`: {address} gave a file with SHA-256 {found[:16]}…, not "
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


def _located(weights: Weights) -> tuple[str, Weights]:
    """Return the address to fetch from, and the weights with the digest to expect there.

    Raises:
        ModelError: the hub does not have the file, or declares no digest for it.
        OSError: no connection.
    """
    kind, _, rest = weights.source.partition(":")
    if kind != "hf":
        return weights.source, weights
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import HfHubHTTPError

    owner, repository, file = rest.split("/", 2)
    address = hf_hub_url(f"{owner}/{repository}", file, endpoint=os.environ.get("HF_ENDPOINT") or None)
    if weights.sha256:
        return address, weights
    known = model_home(weights.name) / PIN
    if known.is_file():
        return address, pinned(weights)
    try:
        declared = get_hf_file_metadata(address, timeout=TIMEOUT_SECONDS)
    except HfHubHTTPError as error:
        raise ModelError(f"weights `{weights.name}`: the hub does not give {address}: {_first_line(error)}") from error
    except Exception as error:  # the hub's library passes on whatever its HTTP library raises
        raise OSError(_first_line(error)) from error
    if not re.fullmatch(r"[0-9a-f]{64}", declared.etag or "") or not declared.size:
        raise ModelError(f"weights `{weights.name}`: the hub declares no SHA-256 for {address}; it can't be verified")
    pin = {"sha256": declared.etag, "size": declared.size, "commit": declared.commit_hash, "address": address}
    known.parent.mkdir(parents=True, exist_ok=True)
    known.write_text(json.dumps(pin, indent=1), encoding="utf-8")
    return address, replace(weights, sha256=str(declared.etag), size=declared.size)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _download(address: str, weights: Weights, partial: Path, progress: Callable[[int, int], None]) -> None:
    there = partial.stat().st_size if partial.is_file() else 0
    if there > weights.size:
        partial.unlink()
        there = 0
    if there == weights.size:
        return
    request = urllib.request.Request(address, headers={"Range": f"bytes={there}-"} if there else {})
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
