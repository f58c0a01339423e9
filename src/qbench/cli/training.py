"""The command that trains: train."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qbench.cli.options import Device
from qbench.cli.running import INTERRUPTED
from qbench.cli.streams import say


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("train")(train_command)


def train_command(
    name: Annotated[str, typer.Argument(help="Name of the recipe, such as vit.", show_default=False)],
    data: Annotated[Path, typer.Option(help="Folder with the training data.", show_default=False)],
    work: Annotated[Path, typer.Option(help="Folder for state and results; resumes from the state found there.")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A setting of the recipe. Repeatable.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed.", min=0)] = 0,
    device: Device = "auto",
) -> None:
    """Train a model, or resume an interrupted training."""
    from qbench.cli.running import interruptible
    from qbench.contracts.context import Context
    from qbench.execute.accelerators import resolve_device
    from qbench.registry.registry import default_registry
    from qbench.reporting.console import Console
    from qbench.reporting.progress import TrainingDisplay
    from qbench.suite.load import load_settings

    cls = default_registry().recipes[name]
    parameters = load_settings(cls.Parameters, overrides or ())
    recipe = cls(parameters, Context(resolve_device(device), seed))
    console = Console(stderr=True)
    with TrainingDisplay(console, name) as display, interruptible(display.say) as stop:
        trained = recipe.train(data, work, display.on_step, stop.is_set)
    if trained is None:
        console.print("stopped; rerun the same command to resume", highlight=False)
        raise typer.Exit(INTERRUPTED)
    say(f"weights: {trained}")
