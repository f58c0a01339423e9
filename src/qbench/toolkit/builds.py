"""What an installed package carries inside: which build of which compiled files. Stable."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution

__all__ = ["build_of"]

COMPILED = (".so", ".pyd", ".dll", ".dylib")


@cache
def build_of(package: str) -> str:
    """Return a package's version, and a digest of its compiled files as its installer recorded them.

    For ``libraries()`` of a codec whose encoder can't be asked for all versions inside it: two wheels with the same
    libavif may carry different libaoms. ``"2026.3.6, build 3f0a61c2"``; empty if it is not installed.
    """
    try:
        found = distribution(package)
    except PackageNotFoundError:
        return ""
    parts = sorted(
        f"{file} {file.hash.value}"
        for file in found.files or ()
        if file.hash is not None and any(end in file.name for end in COMPILED)
    )
    if not parts:
        return found.version
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    return f"{found.version}, build {digest[:8]}"
