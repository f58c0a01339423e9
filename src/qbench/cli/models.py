"""Commands on weights: models list, pull, verify, path."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Annotated

import typer

from qbench.cli.streams import put, say

models_app = typer.Typer(help="List, download, verify and locate model weights.", invoke_without_command=True)

Name = Annotated[str, typer.Argument(help="Name of the model.", show_default=False)]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.add_typer(models_app, name="models")


@models_app.callback()
def models_command(context: typer.Context) -> None:
    """List the weights that plugins register."""
    if context.invoked_subcommand is None:
        list_command()


@models_app.command("list")
def list_command() -> None:
    """List the weights that plugins register."""
    from qbench.registry.registry import default_registry
    from qbench.reporting.console import Console
    from qbench.reporting.plugins import print_models

    print_models(Console(), default_registry())


@models_app.command("pull")
def pull_command(name: Name) -> None:
    """Download and verify a model's weights, or resume an interrupted download."""
    from qbench.models.download import pull
    from qbench.registry.registry import default_registry

    weights = default_registry().model(name)
    with _bar(name) as progress:
        path = pull(weights, progress)
    say(path)


@models_app.command("verify")
def verify_command(
    name: Annotated[str | None, typer.Argument(help="Name of the model; by default every downloaded one.")] = None,
) -> None:
    """Compare a file's SHA-256 with the registered one."""
    from qbench.models.resolve import is_here, verify
    from qbench.registry.registry import default_registry

    registry = default_registry()
    here = [weights for weights in registry.models.values() if is_here(weights)]
    chosen = [registry.model(name)] if name is not None else here
    for weights in chosen:
        with _bar(weights.name) as progress:
            path = verify(weights, progress)
        say(f"{weights.name}: as registered, {path}")


@models_app.command("path")
def path_command(name: Name) -> None:
    """Print where a model's weights are."""
    from qbench.models.resolve import find_weights
    from qbench.registry.registry import default_registry

    put(f"{find_weights(default_registry().model(name))}\n")


@contextlib.contextmanager
def _bar(name: str) -> Iterator[Callable[[int, int], None]]:
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    from qbench.reporting.console import Console

    columns = (TextColumn(name), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
