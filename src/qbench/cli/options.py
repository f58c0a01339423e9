"""Options that several commands have: of suites, of execution, of what is shown."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

if TYPE_CHECKING:
    from qbench.reporting.look import Look

SuitePath = Annotated[Path, typer.Argument(help="The suite, a YAML file.", show_default=False)]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Override a value: codecs.jpeg.quality=[10,50]. Repeatable."),
]
Profile = Annotated[str | None, typer.Option(help="Profile instead of the suite's own: bundled, hub, …")]
Seed = Annotated[int | None, typer.Option(help="Seed instead of the suite's own.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Trust = Annotated[
    bool,
    typer.Option("--trust", help="Run code that settings in the run's folder name."),
]
PluginFiles = Annotated[
    list[Path] | None,
    typer.Option("--plugin", metavar="FILE", help="A plugin that is one Python file. Repeatable."),
]
OriginalsFolder = Annotated[
    Path | None,
    typer.Option("--originals", metavar="FOLDER", help="Where the originals are now; they are known by their pixels."),
]
EXECUTION: dict[str, tuple[Any, Any]] = {
    "jobs": (
        Annotated[
            str,
            typer.Option("--jobs", "-j", metavar="N|auto", help="How many things to do at a time: one on each core."),
        ],
        "auto",
    ),
    "device": (Device, "auto"),
    "cluster": (
        Annotated[
            str | None,
            typer.Option(
                "--cluster",
                metavar="WORKERS",
                help="local:N, tcp://HOST:PORT of a Dask scheduler or its file; slurm:N, pbs:N, … (jobs of a queue).",
                show_default=False,
            ),
        ],
        None,
    ),
    "cluster_option": (
        Annotated[
            list[str] | None,
            typer.Option(
                "--cluster-option", metavar="NAME=VALUE", help="Of the queue: queue=gpu, walltime=24:00:00. Repeatable."
            ),
        ],
        None,
    ),
    "no_cache": (
        Annotated[bool, typer.Option("--no-cache", help="Neither read nor write the cache shared across runs.")],
        False,
    ),
    "fail_fast": (Annotated[bool, typer.Option("--fail-fast", help="Stop at the first failure.")], False),
    "retry_failed": (Annotated[bool, typer.Option("--retry-failed", help="Retry earlier failures.")], False),
    "plugin": (PluginFiles, None),
    "in_process": (
        Annotated[
            bool,
            typer.Option("--in-process", help="Run codecs and metrics in this process, to debug them."),
        ],
        False,
    ),
}
"""Options of every command that executes: name → annotation and default."""
SHOWING: dict[str, tuple[Any, Any]] = {
    "columns": (
        Annotated[
            list[str] | None,
            typer.Option("--columns", metavar="NAME,…", help="Columns to show. Default: main ones, as many as fit."),
        ],
        None,
    ),
    "wide": (
        Annotated[bool, typer.Option("--wide", help="Show all columns, with standard deviations, in several blocks.")],
        False,
    ),
    "cells": (Annotated[bool, typer.Option("--cells", help="List every cell.")], False),
    "anchor": (
        Annotated[
            str | None, typer.Option(help="Codec for BD-rates. Default: jpeg where there is one.", show_default=False)
        ],
        None,
    ),
}
"""Options of every command that shows a run, likewise."""
Report = Annotated[bool, typer.Option("--report/--no-report", help="Write report.html into the run folder.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Don't print tables at the end.")]


def _gathering(
    command: Callable[..., None],
    options: Mapping[str, tuple[Any, Any]],
    parameter: str,
    gather: Callable[[dict[str, Any]], Any],
) -> Callable[..., None]:
    """Give a command further options, which it gets together as one argument.

    Args:
        options: name → annotation and default.
        parameter: of the command.
        gather: makes it of the options' values.
    """
    own = inspect.signature(command)
    hints = get_type_hints(command, localns={"ExecutionOptions": dict, "Look": object}, include_extras=True)
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, (annotation, default) in options.items()
    ]
    kept = [
        each.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[each.name])
        for each in own.parameters.values()
        if each.name != parameter
    ]

    @functools.wraps(command)
    def wrapped(**arguments: Any) -> None:
        given = {name: arguments.pop(name) for name in options}
        command(**arguments, **{parameter: gather(given)})

    wrapped.__signature__ = own.replace(parameters=[*kept, *added], return_annotation=None)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {each.name: each.annotation for each in (*kept, *added)}
    return wrapped


def executes(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of execution, which it gets as one mapping for the API, ``options``."""

    def gather(given: dict[str, Any]) -> dict[str, Any]:
        options = {**given, "jobs": _jobs(given["jobs"]), "cache": not given["no_cache"]}
        options["cluster_options"] = _named(given["cluster_option"] or ())
        options["plugins"] = given["plugin"] or ()
        del options["no_cache"], options["cluster_option"], options["plugin"]
        return options

    return _gathering(command, EXECUTION, "options", gather)


def shows(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of showing a run, which it gets as one :class:`Look`, ``look``."""

    def gather(given: dict[str, Any]) -> Look:
        from qbench.reporting.look import Look

        return Look(tuple(listed(given.pop("columns"))), **given)

    return _gathering(command, SHOWING, "look", gather)


def listed(texts: Sequence[str] | None) -> list[str]:
    """Return the names that an option gives, separated by commas, however often it is given."""
    return [name.strip() for text in texts or () for name in text.split(",") if name.strip()]


def _named(texts: Sequence[str]) -> dict[str, list[str]]:
    """Return options of a cluster by name; those that are given several times have several values."""
    from qbench.errors import ClusterError

    found: dict[str, list[str]] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name.strip() and equals):
            raise ClusterError(f"--cluster-option {text}: accepted is NAME=VALUE, such as queue=gpu")
        found.setdefault(name.strip(), []).append(value.strip())
    return found


def _jobs(text: str) -> int | str:
    return int(text) if text.isascii() and text.isdigit() else text
