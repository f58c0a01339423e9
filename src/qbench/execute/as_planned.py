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
from qbench.execute.trust import component, parameters_of
from qbench.models.resolve import local_path, pinned
from qbench.planning.placing import placed
from qbench.planning.types import OperatingPoint, Plan, PlannedMetric
from qbench.registry.code import PLUGIN, code_digests, source_digest
from qbench.registry.registry import Registry

Stamps = dict[str, tuple[int, int]]


@contextmanager
def as_planned(
    cls: type[Codec] | type[MetricDeclaration],
    parameters: Any,
    identity: Mapping[str, Any],
    profile: str,
    *,
    strict: bool = True,
) -> Iterator[None]:
    """Check weights and code before what is made of them here, and that they did not change meanwhile.

    Args:
        strict: also check the plugin itself and its libraries; not of a decoder whose pixels are compared with a
            digest, nor of what is only looked at.

    Raises:
        ModelError, PluginError: they are not what was planned.
    """
    used = [pinned(weights) for weights in cls.weights(parameters, profile)]
    stamps = _stamps(used)
    for weights in used:
        if identity.get("weights", {}).get(weights.name) != weights.sha256:
            raise ModelError(f"weights `{weights.name}` have changed since the run was planned; run it again")
    planned = identity.get("code", {})
    for name, digest in code_digests(cls.code(parameters)).items():
        if planned.get(name) != digest:
            raise PluginError(f"the code of {name} has changed since the run was planned; run it again")
    changed = other_versions(cls, identity, parameters) if strict else []
    if changed:
        raise PluginError(f"{cls.name} is another than was planned ({'; '.join(changed)}); run it again")
    yield
    _require_unchanged(stamps)


def other_versions(
    cls: type[Codec] | type[MetricDeclaration], identity: Mapping[str, Any], parameters: Any
) -> list[str]:
    """Say in what the installed codec or metric differs from the one that a plan was made with.

    Args:
        parameters: as it is used.
    """
    planned = {cls.name: identity.get("version"), **identity.get("libraries", {})}
    here = {cls.name: cls.version, **cls.libraries()}
    if issubclass(cls, Codec):
        here |= cls.versions(parameters)
    changed = [
        f"{name} {planned.get(name, 'none')} then, {here.get(name, 'none')} now"
        for name in sorted({*planned, *here})
        if planned.get(name) != here.get(name)
    ]
    code = identity.get("code", {}).get(PLUGIN)
    if code is not None and code != source_digest(cls):
        changed.append("its code was edited")
    return changed


def not_as_planned(planned: OperatingPoint | PlannedMetric, registry: Registry) -> str:
    """Say why nothing can be made with what a plan names: it is not installed, or another here; empty if it can be."""
    try:
        cls = component(planned, registry)
        return "; ".join(other_versions(cls, planned.identity, parameters_of(planned, registry)))
    except PluginError as error:
        return str(error)


def made_elsewhere(plan: Plan, kind: Mapping[str, str] | None) -> dict[int, str]:
    """Say of which participants of a plan results would be others with networks on an accelerator of a kind, and why.

    Args:
        kind: None: networks on a processor.

    Returns:
        By the participant's ``id``.
    """
    pairs = zip(plan.participants, placed(plan, kind).participants, strict=True)
    return {
        id(each): f"networks on {_in_words(each)} then, on {_in_words(here)} now; --device chooses"
        for each, here in pairs
        if each.identity != here.identity
    }


def _in_words(planned: OperatingPoint | PlannedMetric) -> str:
    kind = planned.identity.get("device")
    return "a processor" if kind is None else " ".join(f"{key} {value}" for key, value in kind.items())


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
