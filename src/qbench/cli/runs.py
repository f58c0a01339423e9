"""Commands that manage runs: list them, and exchange them with other tools. And completion of their names."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from qbench.cli.streams import say


def complete_run(incomplete: str) -> list[str]:
    """Return the names below ``runs/`` that begin so, for the shell's completion."""
    from qbench.api.finding import RUNS
    from qbench.records import JOURNAL

    return sorted(path.name for path in RUNS.glob(f"{incomplete}*") if (path / JOURNAL).is_file())


RunName = Annotated[
    str,
    typer.Argument(help="A run: its folder, or its name below runs/.", show_default=False, autocompletion=complete_run),
]
RunNames = Annotated[
    list[str],
    typer.Argument(help="Runs: their folders, or names below runs/.", show_default=False, autocompletion=complete_run),
]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command("runs")(runs_command)
    app.command("import")(import_command)
    app.command("export")(export_command)


def runs_command() -> None:
    """List local runs, the latest first."""
    from qbench.api.finding import RUNS
    from qbench.api.runs import runs
    from qbench.reporting.console import Console
    from qbench.reporting.runs import runs_table

    found = runs(notice=partial(say, error=True))
    if not found:
        say(f"no runs in {RUNS}/ yet: qbench run SUITE makes one")
        return
    console = Console()
    console.print(runs_table(found, console.width))


def import_command(
    files: Annotated[list[Path], typer.Argument(help="JSON files of another tool.", show_default=False)],
    name: Annotated[str, typer.Option("--as", metavar="RUN", help="Name of the new run.")],
    form: Annotated[str | None, typer.Option("--format", "-f", help="File format; detected by default.")] = None,
) -> None:
    """Import another tool's results as a run, e.g. to plot published curves with your own."""
    from qbench.api.runs import import_results

    run = import_results(files, name, form=form)
    for note in run.sessions[0].provenance["notes"]:
        say(f"note: {note}", error=True)
    say(f"run folder: {run.path}")


def export_command(
    run: RunName,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the files.")],
    form: Annotated[
        str | None, typer.Option("--format", "-f", help="The format; `qbench plugins` lists them.", show_default=False)
    ] = None,
    baseline: Annotated[
        bool, typer.Option("--baseline", help="Write the run's records only: a small folder to compare with later.")
    ] = False,
) -> None:
    """Write a run in another tool's format, or as a baseline for `qbench compare`."""
    from qbench.api.runs import export, export_baseline
    from qbench.errors import QbenchError

    if baseline == (form is not None):
        raise QbenchError("name either a --format or --baseline")
    if form is None:
        say(export_baseline(run, output))
        return
    for path in export(run, form, output):
        say(path)
