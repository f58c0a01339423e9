"""What is known of a model's weights before they are loaded."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from qbench.errors import ModelError

CHUNK = 1 << 20


@dataclass(frozen=True)
class Weights:
    """A file of weights in safetensors form; nothing is ever unpickled.

    Attributes:
        name: how suites and ``qbench models`` call it: letters, digits, dots, hyphens, underscores and slashes.
        summary: one line; tables show it as the model behind a column.
        source: ``package:my_plugin/weights/model.safetensors`` for a file that a package ships,
            ``hf:owner/repository/model.safetensors`` for one on the Hugging Face hub, an https address,
            or ``file:/a/path`` (see :meth:`local`).
        sha256: of the file, hexadecimal. May be left empty for ``hf:`` sources: then the digest that the hub declares
            is taken when the file is first fetched, and it is held to that ever after.
        size: of the file in bytes; 0 where it is not known either.
        licence: what may be done with it.
        provenance: who trained it on what, and where that is written down.
        metadata: what its plugin needs to build the model: architecture, labels, preprocessing.
        convert: for files published in another form than safetensors: writes what is in the first path, the file as it
            came, to the second, as safetensors. Then ``sha256`` is of the file as published, and may be its first
            eight or more digits alone (as torch's file names tell them); the converted file is held to its own.
    """

    name: str
    summary: str
    source: str
    sha256: str
    size: int
    licence: str
    provenance: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    convert: Callable[[Path, Path], None] | None = field(default=None, compare=False, repr=False)

    @classmethod
    def local(cls, path: Path, summary: str, metadata: Mapping[str, Any] | None = None) -> Weights:
        """Describe a file of the user's own; reads it whole, for its digest.

        Raises:
            ModelError: it can't be read.
        """
        try:
            digest, size = known_digest(path), path.stat().st_size
        except OSError as error:
            raise ModelError(f"{path}: can't read the weights: {error.strerror or error}") from error
        source = f"file:{path.resolve()}"
        return cls(path.name, summary, source, digest, size, "", f"given as {path}", dict(metadata or {}))

    @classmethod
    def file_or(cls, file: str | None, default: Weights, what: str) -> Weights:
        """Return the user's own file where a setting names one, else the default.

        Args:
            file: path as the user gave it; ``~`` is expanded.
            what: the file is expected to hold, for its summary: ``"autoencoder"``.

        Raises:
            ModelError: the file can't be read.
        """
        if file is None:
            return default
        path = Path(file).expanduser()
        return cls.local(path, f"{what} in {path}")

    @property
    def profile(self) -> Literal["bundled", "hub", "local"]:
        """Where it comes from: shipped with a package, fetched, or the user's own file."""
        kind = self.source.partition(":")[0]
        return "bundled" if kind == "package" else "local" if kind == "file" else "hub"

    def problem(self) -> str:
        """Say what is wrong with the declaration; empty when it can be used."""
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*", self.name):
            return "its name must be letters, digits, dots, hyphens and underscores, with slashes between parts"
        if not re.match(r"package:[A-Za-z0-9_.]+/.|https?://.|hf:[^/]+/[^/]+/.|file:.", self.source):
            return "its source must be package:module/path, hf:owner/repository/file or an https address"
        declared = self.source.startswith("hf:")  # the hub declares digests; what else comes could not be verified
        pinned_later = self.convert is not None or (declared and not self.sha256)
        digits = "8,64" if self.convert is not None else "64"
        if not re.fullmatch(rf"[0-9a-f]{{{digits}}}", self.sha256) and not (declared and not self.sha256):
            return f"its sha256 must be {digits.replace(',', ' to ')} hexadecimal digits"
        if not pinned_later and self.size <= 0:
            return "its size must be in bytes"
        return ""


_hashed: ContextVar[dict[tuple[str, int, int], str] | None] = ContextVar("hashed", default=None)


@contextlib.contextmanager
def hashing_once() -> Iterator[None]:
    """Let files be hashed once in this block unless written to: every value of a setting asks for its weights."""
    token = _hashed.set({})
    try:
        yield
    finally:
        _hashed.reset(token)


def known_digest(path: Path) -> str:
    """Return a file's SHA-256 (hex), hashed once within :func:`hashing_once`."""
    known = _hashed.get()
    if known is None:
        return file_digest(path)
    status = path.stat()
    key = str(path), status.st_mtime_ns, status.st_size
    if key not in known:
        known[key] = file_digest(path)
    return known[key]


def file_digest(path: Path, progress: Any = lambda done, total: None) -> str:
    """Return the SHA-256 (hex) of a file; ``progress`` is called with bytes done and total bytes."""
    digest = hashlib.sha256()
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):  # a pipe or a device might never end
        raise OSError(errno.EINVAL, "not a regular file")
    total, done = status.st_size, 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            done += len(chunk)
            progress(done, total)
    return digest.hexdigest()
