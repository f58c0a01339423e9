"""Catalogues of what plugins offer, by name."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from qbench.contracts.codec import Codec
from qbench.contracts.dataset import Dataset
from qbench.contracts.exchange import Format
from qbench.contracts.generator import Generator
from qbench.contracts.loss import Loss
from qbench.contracts.metric import MetricDeclaration
from qbench.contracts.recipe import Recipe
from qbench.contracts.weights import Weights
from qbench.errors import PluginError, did_you_mean

Offered = (
    type[Codec]
    | type[MetricDeclaration]
    | type[Dataset]
    | type[Recipe]
    | type[Generator]
    | type[Loss]
    | type[Format]
    | Weights
)
T = TypeVar("T", bound=Offered)

RESERVED_PARAMETERS = {"codec", "metric", "target"}
"""Keys that suites use beside a codec's or metric's own parameters."""


@dataclass
class PluginInfo:
    """One entry point and what became of it.

    Attributes:
        name: the entry point's name.
        distribution, version: the pip package it came in.
        brings: ``kind → names`` as registered.
        problem: why it is broken, in one line; empty when all is well.
        trace: the traceback behind ``problem``, where there is one.
    """

    name: str
    distribution: str = "?"
    version: str = "?"
    brings: dict[str, list[str]] = field(default_factory=dict)
    problem: str = ""
    trace: str = ""

    @property
    def ok(self) -> bool:
        """Whether everything it offers can be used."""
        return not self.problem

    def __str__(self) -> str:
        """``classical (qbench 0.1.0)``."""
        return f"{self.name} ({self.distribution} {self.version})"


@dataclass(frozen=True)
class Offer(Generic[T]):
    """A class that a plugin registered, or a model's weights."""

    cls: T
    plugin: PluginInfo


class Catalogue(Mapping[str, T], Generic[T]):
    """All things of one kind, by name. Looking up a wrong name raises :class:`PluginError` with advice."""

    def __init__(self, kind: str, base: type, plugins: list[PluginInfo]) -> None:
        self.kind = kind
        self._base = base
        self._plugins = plugins
        self._offers: dict[str, list[Offer[T]]] = {}

    def add(self, cls: T, plugin: PluginInfo) -> None:
        """Register a class for a plugin, after checking that it keeps the contract's form.

        Raises:
            PluginError: not a usable subclass; the text says what is wrong with it.
        """
        problem = self.form_problem(cls)
        if problem:
            raise PluginError(f"{self.kind} {getattr(cls, '__qualname__', repr(cls))}: {problem}")
        offers = self._offers.setdefault(cls.name, [])
        offers.append(Offer(cls, plugin))
        plugin.brings.setdefault(self.kind, []).append(cls.name)
        if len(offers) > 1:
            owners = " and ".join(str(offer.plugin) for offer in offers)
            for offer in offers:
                offer.plugin.problem = f"{self.kind} `{cls.name}` is registered by both {owners}"

    def form_problem(self, cls: Any) -> str:
        """Say what is wrong with the form of something to be registered; empty when it can be."""
        if self._base is Weights:
            return cls.problem() if isinstance(cls, Weights) else "must be a qbench.plugin.Weights"
        if not (inspect.isclass(cls) and issubclass(cls, self._base)):
            bases = (
                "Metric or qbench.plugin.DistributionMetric" if self._base is MetricDeclaration else self._base.__name__
            )
            return f"must be a subclass of qbench.plugin.{bases}"
        if inspect.isabstract(cls):
            missing = ", ".join(sorted(getattr(cls, "__abstractmethods__", ())))
            return f"does not implement {missing}"
        needed = [name for name in ("name", "summary") if not isinstance(getattr(cls, name, None), str)]
        if needed:
            return f"lacks the class attribute {' and '.join(needed)}"
        if issubclass(cls, MetricDeclaration):
            columns = getattr(cls, "columns", ())
            if not columns or columns[0].name != cls.name:
                return "its first column must have the metric's own name"
        if issubclass(cls, (Codec, MetricDeclaration, Recipe)):
            taken = RESERVED_PARAMETERS & set(cls.Parameters.model_fields)
            if taken:
                return f"parameter name {', '.join(sorted(taken))} is reserved for suites"
            try:
                cls.Parameters()
            except ValueError:
                return "every parameter needs a default"
        return ""

    def __getitem__(self, name: str) -> T:
        """Return the class of that name.

        Raises:
            PluginError: unknown name (with the nearest one), or a name that two plugins claim.
        """
        return self.offer(name).cls

    def offer(self, name: str) -> Offer[T]:
        """Like indexing, with the plugin it comes from."""
        offers = self._offers.get(name, [])
        if len(offers) > 1:
            owners = " and ".join(str(offer.plugin) for offer in offers)
            raise PluginError(f"{self.kind} `{name}` is registered by both {owners}; uninstall one of them")
        if not offers:
            known = ", ".join(sorted(self._offers)) or "none"
            broken = [plugin for plugin in self._plugins if not plugin.ok]
            hint = "".join(f"\n  note: plugin {plugin} is broken: {plugin.problem}" for plugin in broken)
            raise PluginError(f"unknown {self.kind} `{name}`{did_you_mean(name, self._offers)} (known: {known}){hint}")
        return offers[0]

    def __contains__(self, name: object) -> bool:
        """Whether the name can be used."""
        return len(self._offers.get(str(name), [])) == 1

    def __iter__(self) -> Iterator[str]:
        """Iterate over usable names, sorted."""
        return iter(sorted(name for name, offers in self._offers.items() if len(offers) == 1))

    def __len__(self) -> int:
        """Count usable names."""
        return sum(1 for _ in self)
