"""Catalogues of what plugins offer, by name."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, cast

from qbench.contracts.codec import Codec, RateParameter
from qbench.contracts.dataset import Dataset
from qbench.contracts.exchange import Format
from qbench.contracts.generator import Generator
from qbench.contracts.loss import Loss
from qbench.contracts.metric import MetricDeclaration
from qbench.contracts.recipe import Recipe
from qbench.contracts.weights import Weights
from qbench.errors import PluginError, QbenchError, did_you_mean
from qbench.registry.forms import form_problem, rate_problem

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


@dataclass
class PluginInfo:
    """One entry point and what became of it.

    Attributes:
        name: the entry point's name.
        distribution, version: the pip package it came in.
        brings: ``kind → names`` as registered.
        versioned: whether the package's version tells its code: not of one that is being worked on, installed in
            editable mode, nor of what a program registers by itself.
        problem: why it is broken, in one line; empty when all is well.
        trace: the traceback behind ``problem``, where there is one.
    """

    name: str
    distribution: str = "?"
    version: str = "?"
    brings: dict[str, list[str]] = field(default_factory=dict)
    versioned: bool = False
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

    def ask(self, method: str, *arguments: Any) -> Any:
        """Return what one of its class methods says.

        Raises:
            QbenchError: it raised that.
            PluginError: it raised something else; the text names the plugin and has the traceback.
        """
        try:
            return getattr(self.cls, method)(*arguments)
        except QbenchError:
            raise
        except BaseException as error:  # also one that would end the program
            raise self.broken(method, traceback.format_exc()) from error

    def parameters(self, values: Mapping[str, Any]) -> Any:
        """Return settings, as they are planned, as a codec's or metric's parameters."""
        return self.cls.Parameters.model_validate(dict(values), strict=False)  # type: ignore[union-attr]

    def broken(self, method: str, problem: str) -> PluginError:
        """Return the error to raise where a class method breaks its contract."""
        return PluginError(f"{self.cls.name}, plugin {self.plugin}: {method} failed:\n{problem.rstrip()}")


def rate_parameter(codec: Offer[type[Codec]], settings: Mapping[str, Any]) -> RateParameter | None:
    """Return the setting that a codec reaches a target with, the others being as planned.

    Raises:
        PluginError: the codec's answer breaks the contract.
    """
    rate = codec.ask("rate_parameter", codec.parameters(settings))
    problem = rate_problem(codec.cls, rate)
    if problem:
        raise codec.broken("rate_parameter", problem)
    return cast("RateParameter | None", rate)


class Catalogue(Mapping[str, T], Generic[T]):
    """All things of one kind, by name. Looking up a wrong name raises :class:`PluginError` with advice."""

    def __init__(self, kind: str, base: type, plugins: list[PluginInfo]) -> None:
        self.kind = kind
        self.base = base
        self._plugins = plugins
        self._offers: dict[str, list[Offer[T]]] = {}

    def add(self, cls: T, plugin: PluginInfo) -> None:
        """Register a class for a plugin, after checking that it keeps the contract's form.

        Raises:
            PluginError: not a usable subclass; the text says what is wrong with it.
        """
        problem = form_problem(self.base, cls)
        if problem:
            raise PluginError(f"{self.kind} {getattr(cls, '__qualname__', repr(cls))}: {problem}")
        offers = self._offers.setdefault(cls.name, [])
        offers.append(Offer(cls, plugin))
        plugin.brings.setdefault(self.kind, []).append(cls.name)
        if len(offers) > 1:
            owners = " and ".join(str(offer.plugin) for offer in offers)
            for offer in offers:
                offer.plugin.problem = f"{self.kind} `{cls.name}` is registered by both {owners}"

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

    def claimed_twice(self, name: str) -> bool:
        """Whether several plugins claim a name, so that none can be used."""
        return len(self._offers.get(name, [])) > 1

    def __contains__(self, name: object) -> bool:
        """Whether the name can be used."""
        return len(self._offers.get(str(name), [])) == 1

    def __iter__(self) -> Iterator[str]:
        """Iterate over usable names, sorted."""
        return iter(sorted(name for name, offers in self._offers.items() if len(offers) == 1))

    def __len__(self) -> int:
        """Count usable names."""
        return sum(1 for _ in self)
