"""What is checked of a class when a plugin registers it.

None of its methods is called: they may ask for what other plugins offer, which are not all registered yet.
"""

from __future__ import annotations

import inspect
import re
from typing import Any

from qbench.contracts.codec import Codec, RateParameter
from qbench.contracts.metric import MetricDeclaration
from qbench.contracts.recipe import Recipe
from qbench.contracts.weights import Weights
from qbench.errors import did_you_mean

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_+-]*")
"""Names of what plugins offer, and labels in suites."""
RESERVED_PARAMETERS = {"codec", "metric", "target"}
"""Keys that suites use beside a codec's or metric's own parameters."""


def form_problem(base: Any, cls: Any) -> str:
    """Say what is wrong with the form of something to be registered as a ``base``; empty when it can be."""
    if base is Weights:
        return cls.problem() if isinstance(cls, Weights) else "must be a qbench.plugin.Weights"
    if not (inspect.isclass(cls) and issubclass(cls, base)):
        bases = "Metric or qbench.plugin.DistributionMetric" if base is MetricDeclaration else base.__name__
        return f"must be a subclass of qbench.plugin.{bases}"
    if inspect.isabstract(cls):
        missing = ", ".join(sorted(getattr(cls, "__abstractmethods__", ())))
        return f"does not implement {missing}"
    return _class_problem(cls)


def _class_problem(cls: Any) -> str:
    needed = [name for name in ("name", "summary") if not isinstance(getattr(cls, name, None), str)]
    if needed:
        return f"lacks the class attribute {' and '.join(needed)}"
    if not NAME.fullmatch(cls.name):
        return f"the name {cls.name!r} is not accepted; accepted: letters, digits, `-`, `_` and `+`"
    if issubclass(cls, (Codec, MetricDeclaration, Recipe)):
        taken = RESERVED_PARAMETERS & set(cls.Parameters.model_fields)
        if taken:
            return f"parameter name {', '.join(sorted(taken))} is reserved for suites"
        try:
            cls.Parameters()
        except ValueError:
            return "every parameter needs a default"
    return _metric_problem(cls) if issubclass(cls, MetricDeclaration) else ""


def _metric_problem(metric: type[MetricDeclaration]) -> str:
    columns = getattr(metric, "columns", ())
    if not columns or columns[0].name != metric.name:
        return "its first column must have the metric's own name"
    if bool(metric.pooling) is (metric.pool.__func__ is MetricDeclaration.pool.__func__):  # type: ignore[attr-defined]
        return "`pool` and `pooling` belong together: how a column is aggregated, and in words"
    return ""


def rate_problem(codec: type[Codec], rate: object) -> str:
    """Say what is wrong with what a codec's ``rate_parameter`` returned; empty when nothing is."""
    if rate is None:
        return ""
    if not isinstance(rate, RateParameter):
        return f"rate_parameter returned {type(rate).__name__}, not a qbench.plugin.RateParameter"
    known = codec.Parameters.model_fields
    if rate.name not in known:
        return f"rate_parameter names `{rate.name}`, which is no parameter{did_you_mean(rate.name, known)}"
    return "" if rate.low < rate.high else f"rate_parameter goes from {rate.low} to {rate.high}"
