"""The command that verifies runs."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Annotated

import typer

from qbench.cli.options import Device, PluginFiles, Trust
from qbench.cli.runs import RunName
from qbench.cli.streams import put


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("verify")(verify_command)


def verify_command(
    run: RunName,
    form: Annotated[str, typer.Option("--format", "-f", help="table or json.")] = "table",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write to a file.")] = None,
    trust: Trust = False,
    device: Device = "auto",
    plugin: PluginFiles = None,
) -> None:
    """Decode all bitstreams that a run keeps, and compare them and its pictures with what was measured.

    Nothing is written into the run. Exit code 0: all that is kept is what was measured; 1: something is not, or nothing
    is kept.
    """
    from rich.progress import Progress

    from qbench.api.verifying import verify
    from qbench.errors import QbenchError
    from qbench.execute.verifying import Finding
    from qbench.reporting.console import Console
    from qbench.reporting.verification import print_verification, verification_json

    if form not in ("table", "json"):
        raise QbenchError(f"unknown format `{form}` (accepted: table, json)")
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("decoding", total=None)

        def advance(finding: Finding, total: int) -> None:
            progress.update(task, total=total, advance=1)

        found = verify(run, device=device, trust=trust, plugins=plugin or (), on_finding=advance)
    what = found.findings, found.other_versions, found.device
    if form == "json":
        put(verification_json(*what), output)
    else:
        kept = None if output is None else io.StringIO()
        print_verification(Console(file=kept), *what)
        if kept is not None:
            put(kept.getvalue(), output)
    if not found.good:
        raise typer.Exit(1)
