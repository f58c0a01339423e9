"""From a name to a verified file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from importlib.resources import as_file, files
from pathlib import Path

from qbench.errors import ModelError
from qbench.home import model_home
from qbench.models.weights import Weights

CHUNK = 1 << 20


def find_weights(weights: Weights) -> Path:
    """Return the file of some weights: verified when it was fetched, and unchanged since.

    Raises:
        ModelError: it is not here (the text names the command that fetches it), or not what it should be.
    """
    path = local_path(weights)
    if weights.profile == "bundled":
        if not path.is_file():
            raise ModelError(f"weights `{weights.name}`: {path} is missing from the installation")
        _check_size(weights, path)
        return path
    if not path.is_file():
        raise ModelError(
            f"weights `{weights.name}` ({weights.size / 1e6:.0f} MB, {weights.licence}) are not here; fetch them with: "
            f"qbench models pull {weights.name}. Profile `bundled` needs no download"
        )
    _check_size(weights, path)
    if _stamp_path(path).is_file() and json.loads(_stamp_path(path).read_text()) == _stamp(weights, path):
        return path
    verify(weights)
    return path


def verify(weights: Weights, progress: Callable[[int, int], None] = lambda done, total: None) -> Path:
    """Read the whole file and compare its SHA-256; return its path.

    Raises:
        ModelError: not here, or damaged.
    """
    path = local_path(weights)
    if not path.is_file():
        raise ModelError(f"weights `{weights.name}` are not here; fetch them with: qbench models pull {weights.name}")
    _check_size(weights, path)
    found = file_digest(path, progress)
    if found != weights.sha256:
        raise ModelError(
            f"{path}: damaged: SHA-256 {found[:16]}…, not {weights.sha256[:16]}…; "
            + (f"fetch it again: qbench models pull {weights.name}" if weights.profile == "hub" else "reinstall qbench")
        )
    if weights.profile == "hub":
        _stamp_path(path).write_text(json.dumps(_stamp(weights, path)))
    return path


def local_path(weights: Weights) -> Path:
    """Return where the file is, or will be once fetched."""
    if weights.profile == "bundled":
        module, _, inside = weights.source.removeprefix("package:").partition("/")
        with as_file(files(module) / inside) as path:  # packages are installed unpacked: the path stays
            return Path(path)
    # Named by content, so that new weights under an old name never meet old ones.
    return model_home(weights.name) / f"{weights.sha256[:16]}.safetensors"


def file_digest(path: Path, progress: Callable[[int, int], None] = lambda done, total: None) -> str:
    """Return the SHA-256 (hex) of a file."""
    digest = hashlib.sha256()
    total, done = path.stat().st_size, 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            done += len(chunk)
            progress(done, total)
    return digest.hexdigest()


def _check_size(weights: Weights, path: Path) -> None:
    size = path.stat().st_size
    if size != weights.size:
        raise ModelError(
            f"{path}: damaged: {size} bytes, not {weights.size}; fetch it again: qbench models pull {weights.name}"
        )


def _stamp_path(path: Path) -> Path:
    return path.with_suffix(".verified")


def _stamp(weights: Weights, path: Path) -> dict[str, object]:
    """What proves that a large file was hashed and not touched since."""
    status = path.stat()
    return {"sha256": weights.sha256, "size": status.st_size, "modified": status.st_mtime_ns}
