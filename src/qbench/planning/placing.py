"""Where the networks of a plan compute: results of a processor and of an accelerator are told apart by their keys."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TypeVar

from qbench.planning.types import OperatingPoint, Plan, PlannedMetric

P = TypeVar("P", OperatingPoint, PlannedMetric)


def placed(plan: Plan, kind: Mapping[str, str] | None, *, but: Collection[str] = ()) -> Plan:
    """Return a plan whose networks compute on an accelerator of a kind: that is part of their identities.

    Args:
        kind: what decides results there; None: they compute on a processor.
        but: metrics that are left as they are, by label.
    """
    on_it = {metric.label for metric in plan.metrics if metric.runs_on == "accelerator"}
    points = tuple(
        _at(point, kind if point.runs_on == "accelerator" or _measures_there(point, on_it) else None)
        for point in plan.points
    )
    metrics = tuple(
        metric if metric.label in but else _at(metric, kind if metric.runs_on == "accelerator" else None)
        for metric in plan.metrics
    )
    return replace(plan, points=points, metrics=metrics)


def with_metrics(plan: Plan, kind: Mapping[str, str] | None, known: Collection[str]) -> Plan:
    """Return a plan of a run that exists, of which only new metrics are to compute on an accelerator of a kind."""
    return replace(plan, metrics=placed(plan, kind, but=known).metrics)


def _measures_there(point: OperatingPoint, on_it: Collection[str]) -> bool:
    """Whether its target is measured by a metric that computes there."""
    return point.target is not None and point.target.metric in on_it


def _at(planned: P, kind: Mapping[str, str] | None) -> P:
    identity = {name: value for name, value in planned.identity.items() if name != "device"}
    if kind is not None:
        identity["device"] = dict(kind)
    return planned if identity == planned.identity else replace(planned, identity=identity)
