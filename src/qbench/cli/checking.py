"""The command that checks installed codecs and metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from qbench.cli.options import PluginFiles

if TYPE_CHECKING:
    from rich.console import Console

    from qbench.testing.checking import Checked


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("check")(check_command)


def check_command(
    name: Annotated[str, typer.Argument(help="A codec or metric.", show_default=False)],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A setting to check it with, in place of the default."),
    ] = None,
    count: Annotated[int, typer.Option("--random", metavar="N", min=0, help="Further settings, drawn at random.")] = 3,
    seed: Annotated[int, typer.Option(help="For these.")] = 0,
    seconds: Annotated[float, typer.Option(help="That each check may take.", min=1)] = 300,
    plugin: PluginFiles = None,
) -> None:
    """Check that an installed codec or metric keeps its promises, at its default settings and at random ones.

    Exit code 0: all promises are kept; 1: one is not, or its check is not finished in time.
    """
    from qbench.registry.registry import registry_with
    from qbench.reporting.console import Console
    from qbench.suite.load import load_settings
    from qbench.testing.checking import checks, found

    console = Console()
    registry = registry_with(plugin or ())
    kind, cls = found(name, registry)
    given = load_settings(cls.Parameters, settings).model_dump(mode="json", exclude_unset=True) if settings else {}
    _print_heading(console, kind, name, cls.summary)
    failed = 0
    for checked in checks(name, [given], count, seed, seconds, registry):
        _print_check(console, checked)
        failed += bool(checked.broken or checked.unfinished)
    if failed:
        raise typer.Exit(1)


def _print_heading(console: Console, kind: str, name: str, summary: str) -> None:
    """Say what is checked."""
    from rich.text import Text

    console.print(Text.assemble((f"{kind} {name}", "bold"), (f"  {summary}", "dim")))


def _print_check(console: Console, checked: Checked) -> None:
    """Show one check: the settings, then each promise."""
    from rich.text import Text

    from qbench.errors import shown

    settings = ", ".join(f"{name}={value}" for name, value in checked.settings.items()) or "default settings"
    console.print(Text.assemble("\n", (shown(settings), "bold"), (f"  {checked.seconds:.1f} s", "dim")))
    for promise in checked.kept:
        console.print(Text.assemble(("  ✓ ", "green"), shown(promise)))
    if checked.broken:
        first, *rest = checked.broken.splitlines()
        console.print(Text.assemble(("  ✗ ", "bold red"), (shown(first), "red")))
        for line in rest:
            console.print(Text(f"    {shown(line)}", "dim"))
    elif checked.unfinished:
        console.print(Text("  … not finished in time; --seconds gives it more", "yellow"))
