"""Commands that tell how a run was made, and what is here: info, doctor."""

from __future__ import annotations

from typing import Annotated

import typer

from qbench.cli.runs import RunName
from qbench.cli.sheets import Output
from qbench.cli.streams import put


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command("info")(info_command)
    app.command("doctor")(doctor_command)


def info_command(
    run: RunName,
    anonymous: Annotated[
        bool, typer.Option("--anonymous", help="Leave out names of hosts and folders, for a double-blind review.")
    ] = False,
    form: Annotated[str, typer.Option("--format", "-f", help="table or json.")] = "table",
    output: Output = None,
) -> None:
    """Say who made a run of what, where and when: settings, versions, weights, machine, and what is missing."""
    import io
    import json

    from qbench.api.finding import read_run
    from qbench.errors import QbenchError
    from qbench.reporting.console import Console
    from qbench.reporting.information import information, print_information

    if form not in ("table", "json"):
        raise QbenchError(f"unknown format `{form}` (accepted: table, json)")
    found = information(read_run(run), anonymous=anonymous)
    if form == "json":
        put(json.dumps(found, indent=1, ensure_ascii=False, default=str) + "\n", output)
        return
    kept = None if output is None else io.StringIO()
    print_information(Console(file=kept), found)
    if kept is not None:
        put(kept.getvalue(), output)


def doctor_command(
    form: Annotated[str, typer.Option("--format", "-f", help="text or json.")] = "text",
    output: Output = None,
) -> None:
    """Say what is here: versions, devices, space, plugins, programs. Paste it into a report of a bug."""
    import json

    from qbench.api.doctor import examine
    from qbench.errors import QbenchError

    if form not in ("text", "json"):
        raise QbenchError(f"unknown format `{form}` (accepted: text, json)")
    found = examine()
    if form == "json":
        put(json.dumps(found, indent=1, ensure_ascii=False) + "\n", output)
        return
    blocks = [
        "\n".join([section, *(f"  {name}: {value}" for name, value in values.items())])
        for section, values in found.items()
    ]
    put("\n\n".join(blocks) + "\n", output)
    if any(state.startswith("broken") for state in found["plugins"].values()):
        raise typer.Exit(1)
