"""Whether what a process works with is what was planned: weights as they are read, code as it is imported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from qbench.contracts.codec import Codec
from qbench.contracts.metric import MetricDeclaration
from qbench.contracts.weights import Weights
from qbench.errors import ModelError, PluginError
from qbench.models.resolve import local_path, pinned
from qbench.registry.code import code_digests

Stamps = dict[str, tuple[int, int]]


@contextmanager
def as_planned(
    cls: type[Codec] | type[MetricDeclaration], parameters: Any, identity: Mapping[str, Any], profile: str
) -> Iterator[None]:
    """Check weights and code before what is made of them here, and that they did not change meanwhile.

    Raises:
        ModelError, PluginError: they are not what was planned.
    """
    used = [pinned(weights) for weights in cls.weights(parameters, profile)]
    stamps = _stamps(used)
    for weights in used:
        if identity["weights"].get(weights.name) != weights.sha256:
            raise ModelError(f"weights `{weights.name}` have changed since the run was planned; run it again")
    planned = identity.get("code", {})
    for name, digest in code_digests(cls.code(parameters)).items():
        if planned.get(name) != digest:
            raise PluginError(f"the code of {name} has changed since the run was planned; run it again")
    yield
    _require_unchanged(stamps)


def _stamps(used: list[Weights]) -> Stamps:
    """Return when the user's own files of weights were last written, and their sizes."""
    found = {}
    for weights in used:
        if weights.profile == "local":
            path = local_path(weights)
            status = path.stat()
            found[str(path)] = (status.st_mtime_ns, status.st_size)
    return found


def _require_unchanged(stamps: Stamps) -> None:
    """Refuse results of weights that may have been read after they were written anew.

    Raises:
        ModelError: naming the file.
    """
    for name, stamp in stamps.items():
        try:
            status = Path(name).stat()
        except OSError:
            continue  # it was there when it was read
        if (status.st_mtime_ns, status.st_size) != stamp:
            raise ModelError(f"{name} was overwritten while it was read; run it again")
