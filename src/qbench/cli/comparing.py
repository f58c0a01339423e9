"""Commands that look at several runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command("correlate")(correlate_command)
    app.command("plot")(plot_command)


def correlate_command(
    runs: Annotated[list[str], typer.Argument(help="Runs: their folders, or names below runs/.", show_default=False)],
    human: Annotated[
        Path | None,
        typer.Option(help="CSV of people's scores: columns image, point, and score, mos or dmos.", show_default=False),
    ] = None,
    method: Annotated[str, typer.Option(help="spearman, kendall or pearson: for the heat map and order.")] = "spearman",
    resamples: Annotated[int, typer.Option(min=20, max=100_000, help="For the intervals.")] = 200,
    everything: Annotated[bool, typer.Option("--all", help="Every column, not only each metric's main one.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Also write to a file: .svg, .html, .csv or .json.")
    ] = None,
) -> None:
    """Show how far metrics agree with one another over the cells of runs, or with people."""
    from rich.console import Console

    from qbench import api
    from qbench.errors import QbenchError, did_you_mean
    from qbench.report.correlation import METHODS, collect, correlate
    from qbench.report.correlation_table import correlation_view, write_correlations

    if method not in METHODS:
        raise QbenchError(f"unknown method `{method}`{did_you_mean(method, METHODS)} (accepted: {', '.join(METHODS)})")
    cells = collect([api.load_run(run) for run in runs], human, everything=everything)
    if len(cells.columns) < 2:
        raise QbenchError("two columns at least are needed to correlate; these runs have one value per cell")
    found = correlate(cells, resamples)
    console = Console()
    console.print(correlation_view(cells, found, method, console.width))
    if output is not None:
        write_correlations(output, cells, found, method)


def plot_command(
    runs: Annotated[list[str], typer.Argument(help="Runs: their folders, or names below runs/.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write: .pdf, .svg or .png.")],
    metric: Annotated[str, typer.Option(help="Column to draw over bits per pixel.")] = "psnr",
    linear: Annotated[bool, typer.Option("--linear", help="A linear axis for rates, not a logarithmic one.")] = False,
) -> None:
    """Draw rate–distortion curves for a paper."""
    from qbench import api
    from qbench.report.curves import curves
    from qbench.report.figures import rate_figure

    loaded = [api.load_run(run) for run in runs]
    rate_figure(output, [(run.name, curves(run, metric)) for run in loaded], linear=linear)
