"""Whether code that a run folder names may be run here.

A suite is the user's own; a run folder may be anybody's. Settings in it that name code (a factory to import, a file of
TorchScript) would run as the user who only wanted to look, so that has to be allowed.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from qbench.contracts.codec import Codec
from qbench.contracts.metric import MetricDeclaration
from qbench.errors import PluginError, QbenchError
from qbench.planning.types import OperatingPoint, PlannedMetric
from qbench.registry.hookspecs import PROJECT
from qbench.registry.registry import Registry


def component(planned: OperatingPoint | PlannedMetric, registry: Registry) -> type[Codec] | type[MetricDeclaration]:
    """Return the installed codec or metric that a plan names.

    Raises:
        PluginError: it is not installed.
    """
    if isinstance(planned, OperatingPoint):
        return registry.codecs[planned.codec]
    return registry.metrics[planned.metric]


def code_named_by(planned: OperatingPoint | PlannedMetric, registry: Registry) -> tuple[str, ...]:
    """Return the modules or files that the settings of a planned codec or metric name as code to run.

    Raises:
        PluginError: it is not installed, or does not accept the settings.
    """
    return tuple(component(planned, registry).code(parameters_of(planned, registry)))


def parameters_of(planned: OperatingPoint | PlannedMetric, registry: Registry) -> Any:
    """Return the settings of a planned codec or metric.

    Raises:
        PluginError: it is not installed, or does not accept the settings.
    """
    try:
        return component(planned, registry).Parameters.model_validate(dict(planned.parameters), strict=False)
    except ValueError as error:  # a ValidationError is one
        raise PluginError(f"{planned.owner}: does not accept the run's settings: {error}") from error


def family(planned: OperatingPoint | PlannedMetric, registry: Registry) -> str:
    """Return what a codec or metric may share a process with: whatever is of the same package, but nothing that runs
    code which its settings name.

    What a plugin does to its process then harms nobody else's results. Empty for qbench's own.
    """
    try:
        if code_named_by(planned, registry):
            return planned.label
    except QbenchError:
        pass  # it will fail with its reason
    package = planned.plugin.rpartition("(")[2].partition(" ")[0]
    return "" if package.lower() == PROJECT else package


def require_trusted(folder: Path, used: Iterable[OperatingPoint | PlannedMetric], registry: Registry) -> None:
    """Refuse codecs and metrics whose settings name code.

    Raises:
        PluginError: naming the code; or a codec or metric that is not installed.
    """
    for planned in used:
        named = code_named_by(planned, registry)
        if named:
            raise PluginError(
                f"{folder}: {planned.owner} runs code that this run's settings name ({', '.join(named)}); if you trust "
                "whoever made the folder, use --trust (in Python: trust=True)"
            )
