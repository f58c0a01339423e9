"""Fetching weights: resumed where it broke off, verified before it counts."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from qbench.contracts.weights import Weights, file_digest
from qbench.errors import DownloadError, ModelError
from qbench.home import model_home
from qbench.models.resolve import PIN, local_path, pinned, verify
from qbench.models.transfer import TIMEOUT_SECONDS, download, require_online


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
    try:
        require_online()
        published = _published(weights)
        partial = model_home(weights.name) / f"{published.sha256[:16] or 'file'}.part"
        download(published.address, partial, size=published.size, progress=progress)
        found = file_digest(partial)
        if not found.startswith(published.sha256):
            partial.unlink()
            raise DownloadError(
                f"{published.address} gave a file with SHA-256 {found[:16]}…, not {published.sha256[:16]}… as "
                "published; discarded"
            )
        if weights.convert is None:
            partial.replace(local_path(pinned(weights)))
        else:
            _convert(weights, partial)
    except (DownloadError, OSError) as error:
        raise ModelError(f"weights `{weights.name}`: {error}") from error
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
        DownloadError: the hub does not have the file, or declares no digest for it; no connection.
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
        raise DownloadError(f"the hub does not give {address}: {_first_line(error)}") from error
    except Exception as error:  # the hub's library passes on whatever its HTTP library raises
        raise DownloadError(f"can't fetch {weights.source}: {_first_line(error)}") from error
    if not re.fullmatch(r"[0-9a-f]{64}", declared.etag or "") or not declared.size:
        raise DownloadError(f"the hub declares no SHA-256 for {address}; it can't be verified")
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
        raise DownloadError(f"the download can't be converted: {error!r}") from error
    _pin(weights, file_digest(converted), converted.stat().st_size, address=weights.source)
    converted.replace(local_path(pinned(weights)))
    original.unlink()


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
