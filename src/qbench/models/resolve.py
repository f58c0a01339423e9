"""From a name to a verified file."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import replace
from importlib.resources import as_file, files
from pathlib import Path

from qbench.contracts.weights import Weights, file_digest
from qbench.errors import ModelError
from qbench.home import model_home

PIN = "pin.json"
"""Holds digest and size of a file that could not be registered with them: as the hub declares, or after conversion."""


def pinned(weights: Weights) -> Weights:
    """Return weights whose digest is known: as registered, or as pinned by the first pull.

    Raises:
        ModelError: neither registered nor pulled yet; the text names the command that does.
    """
    if weights.sha256 and weights.convert is None:
        return weights
    path = model_home(weights.name) / PIN
    try:
        pin = json.loads(path.read_text(encoding="utf-8"))
        return replace(weights, sha256=pin["sha256"], size=pin["size"])
    except FileNotFoundError as error:
        raise ModelError(_missing(weights)) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{path}: damaged ({error}); delete it and fetch again: qbench models pull {weights.name}"
        ) from error


def find_weights(weights: Weights) -> Path:
    """Return the file of some weights: verified when it was fetched, and unchanged since.

    Raises:
        ModelError: it is not here (the text names the command that fetches it), or not what it should be.
    """
    weights = pinned(weights)
    path = local_path(weights)
    if weights.profile != "hub":
        if not path.is_file():
            raise ModelError(_gone(weights))
        _check_size(weights, path)
        return path
    if not path.is_file():
        raise ModelError(_missing(weights))
    _check_size(weights, path)
    if _read_stamp(path) == _stamp(weights, path):
        return path
    verify(weights)
    return path


def is_here(weights: Weights) -> bool:
    """Whether the file is here (not whether it is whole)."""
    try:
        return local_path(pinned(weights)).is_file()
    except ModelError:
        return False


def verify(weights: Weights, progress: Callable[[int, int], None] = lambda done, total: None) -> Path:
    """Read the whole file and compare its SHA-256; return its path.

    Raises:
        ModelError: not here, or damaged.
    """
    weights = pinned(weights)
    path = local_path(weights)
    if not path.is_file():
        raise ModelError(_missing(weights) if weights.profile == "hub" else _gone(weights))
    _check_size(weights, path)
    found = file_digest(path, progress)
    if found != weights.sha256:
        raise ModelError(f"{path}: damaged: SHA-256 {found[:16]}…, not {weights.sha256[:16]}…{_what_to_do(weights)}")
    if weights.profile == "hub":
        with contextlib.suppress(OSError):  # without it, or with half of it, the file is hashed again
            _stamp_path(path).write_text(json.dumps(_stamp(weights, path)))
    return path


def local_path(weights: Weights) -> Path:
    """Return where the file of weights with a known digest is, or will be once fetched."""
    kind, _, rest = weights.source.partition(":")
    if kind == "file":
        return Path(rest)
    if kind == "package":
        module, _, inside = rest.partition("/")
        with as_file(files(module) / inside) as path:  # packages are installed unpacked: the path stays
            return Path(path)
    # Named by content, so that new weights under an old name never meet old ones.
    return model_home(weights.name) / f"{weights.sha256[:16]}.safetensors"


def _missing(weights: Weights) -> str:
    known = ", ".join(
        text for text in (f"{weights.size / 1e6:.0f} MB" if weights.size else "", weights.licence) if text
    )
    return (
        f"weights `{weights.name}`{f' ({known})' if known else ''} are not downloaded; download them with: "
        f"qbench models pull {weights.name}. Profile `bundled` needs no download"
    )


def _gone(weights: Weights) -> str:
    where = "from the installation" if weights.profile == "bundled" else "since it was given"
    return f"weights `{weights.name}`: {local_path(weights)} is missing {where}"


def _check_size(weights: Weights, path: Path) -> None:
    size = path.stat().st_size
    if size != weights.size:
        raise ModelError(f"{path}: damaged: {size} bytes, not {weights.size}{_what_to_do(weights)}")


def _what_to_do(weights: Weights) -> str:
    advice = {"hub": f"; fetch it again: qbench models pull {weights.name}", "bundled": "; reinstall its package"}
    return advice.get(weights.profile, "")


def _stamp_path(path: Path) -> Path:
    return path.with_suffix(".verified")


def _read_stamp(path: Path) -> object:
    try:
        return json.loads(_stamp_path(path).read_text())
    except (OSError, ValueError):  # none, or torn
        return None


def _stamp(weights: Weights, path: Path) -> dict[str, object]:
    """What proves that a large file was hashed and not touched since."""
    status = path.stat()
    return {"sha256": weights.sha256, "size": status.st_size, "modified": status.st_mtime_ns}
