"""Plugins and what they bring, for a terminal."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from qbench.contracts.codec import Codec
from qbench.contracts.metric import MetricDeclaration, column_id, range_text
from qbench.contracts.parameters import parameter_rows
from qbench.errors import PluginError, QbenchError, did_you_mean
from qbench.home import dataset_home
from qbench.models.resolve import is_here
from qbench.registry.catalogue import Catalogue, Offer, PluginInfo, rate_parameter
from qbench.registry.registry import Registry


def print_plugins(console: Console, registry: Registry) -> bool:
    """List plugins; return whether all are well."""
    table = _table("plugin", "package", "brings", "state")
    for info in registry.plugins:
        brings = Text("\n".join(_brought(info)) or "–")
        state = Text("ok", "green") if info.ok else Text("broken", "bold red")
        table.add_row(Text(info.name), Text(f"{info.distribution} {info.version}"), brings, state)
    console.print(table)
    for info in registry.plugins:
        if not info.ok:
            console.print(Text(f"{info}: {info.problem}", "bold red"))
            if info.trace and info.trace.strip() != "NoneType: None":
                console.print(Text(info.trace.rstrip(), "dim"))
    return all(info.ok for info in registry.plugins)


def print_offer(console: Console, registry: Registry, name: str) -> None:
    """Describe a codec, metric or anything else that plugins offer, or a plugin by its own name.

    Raises:
        PluginError: nothing of that name.
    """
    found = False
    for catalogue in registry.classes:
        if name in catalogue:
            found = True
            offer: Any = catalogue.offer(name)
            _print_class(console, catalogue.kind, offer)
    plugins = [info for info in registry.plugins if info.name == name]
    for info in plugins:
        console.print(Text(f"plugin {info}", "bold"))
        for line in _brought(info):
            console.print(f"  {line}", highlight=False)
        if not info.ok:
            console.print(Text(f"  broken: {info.problem}", "bold red"))
    if not found and not plugins:
        for catalogue in registry.classes:
            if catalogue.claimed_twice(name):
                catalogue.offer(name)  # raises, naming both
        known = [other for catalogue in registry.classes for other in catalogue]
        known += [info.name for info in registry.plugins]
        kinds = "|".join(kinds_of(registry))
        raise PluginError(f"nothing is named `{name}`{did_you_mean(name, known)} (lists: qbench plugins {kinds})")


def kinds_of(registry: Registry) -> dict[str, Catalogue[Any]]:
    """Return what plugins offer, by the plural of what it is."""
    return {_plural(catalogue.kind): catalogue for catalogue in registry.classes}


def print_kind(console: Console, registry: Registry, kind: str) -> None:
    """List everything of one kind that plugins offer.

    Raises:
        PluginError: no such kind.
    """
    kinds = kinds_of(registry)
    if kind not in kinds:
        raise PluginError(f"no kind `{kind}`{did_you_mean(kind, kinds)} (accepted: {', '.join(kinds)})")
    table = _table(kinds[kind].kind, "what it is", "plugin")
    for name in sorted(kinds[kind]):
        offer: Any = kinds[kind].offer(name)
        table.add_row(Text(name), Text(offer.cls.summary), Text(offer.plugin.name))
    console.print(table)
    console.print(
        Text("qbench plugins show NAME describes one: settings with bounds and defaults, columns, source", "dim")
    )


def _plural(kind: str) -> str:
    return {"loss": "losses"}.get(kind, f"{kind}s")


def print_datasets(console: Console, registry: Registry) -> None:
    """List datasets, and whether their images are there."""
    table = _table("dataset", "images", "what", "licence", "available")
    for name, cls in registry.datasets.items():
        there = cls().present(dataset_home(name))
        state = Text("yes", "green") if there else Text(f"no: qbench datasets pull {name}", "yellow")
        table.add_row(name, str(cls.count), cls.summary, cls.licence, state)
    console.print(table)


def _print_class(console: Console, kind: str, offer: Offer[Any]) -> None:
    cls = offer.cls
    console.print(Text.assemble((cls.name, "bold"), f"  {kind} of plugin {offer.plugin}"))
    console.print(Text(_paragraphs(cls.__doc__ or cls.summary)))
    if getattr(cls, "reference", ""):
        console.print(Text(f"reference: {cls.reference}"))
    if issubclass(cls, Codec):
        console.print(Text(f"runs on {cls.runs_on}"))
        console.print(_said(offer, _rate))
    if issubclass(cls, (Codec, MetricDeclaration)):
        console.print(_said(offer, _libraries))
    if hasattr(cls, "Parameters"):  # generators, losses and datasets have none
        rows = parameter_rows(cls.Parameters)
        if rows:
            table = _table("parameter", "accepts", "default", "what it is")
            for row in rows:
                table.add_row(row["name"], row["accepts"], row["default"], row["description"])
            console.print(table)
        else:
            console.print(Text("no parameters"))
    if issubclass(cls, MetricDeclaration):
        console.print(Text(f"scope: {cls.scope.value}"))
        table = _table("column", "better", "range", "unit", "what it is")
        for column in cls.columns:
            table.add_row(
                column_id(cls.name, cls.name, column.name),
                column.direction.value,
                range_text(column),
                column.unit or "–",
                column.summary or cls.summary,
            )
        console.print(table)


def _said(offer: Offer[Any], what: Callable[[Offer[Any]], str]) -> Text:
    try:
        return Text(what(offer))
    except QbenchError as error:  # a library that is not installed, or a plugin that breaks its contract
        return Text(str(error), "yellow")


def _rate(codec: Offer[type[Codec]]) -> str:
    rate = rate_parameter(codec, {})
    return "no targets" if rate is None else f"targets are reached with {rate.name}, {rate.low:g} to {rate.high:g}"


def _libraries(offer: Offer[Any]) -> str:
    return "libraries: " + (
        ", ".join(f"{name} {version}" for name, version in offer.ask("libraries").items()) or "none"
    )


def _brought(info: PluginInfo) -> list[str]:
    """``codecs: jpeg, png``, a line for each kind."""
    return [f"{_plural(kind)}: {', '.join(names)}" for kind, names in info.brings.items()]


def _paragraphs(docstring: str) -> str:
    """Return a docstring with its lines joined to paragraphs, for the terminal to break."""
    paragraphs = inspect.cleandoc(docstring).replace("``", "`").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def _table(*headings: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def print_models(console: Console, registry: Registry) -> None:
    """List weights, and whether they are downloaded."""
    table = _table("model", "profile", "size", "licence", "what", "available")
    for name, weights in registry.models.items():
        state = Text("yes", "green") if is_here(weights) else Text(f"no: qbench models pull {name}", "yellow")
        size = f"{weights.size / 1e6:.1f} MB" if weights.size else "?"
        table.add_row(name, weights.profile, size, weights.licence, weights.summary, state)
    console.print(table)
    if not len(registry.models):
        console.print("no plugin registers any model")
