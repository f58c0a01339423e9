"""Commands that look at one run or several: report, plot, compare, correlate."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from qbench.cli.running import OriginalsFolder
from qbench.cli.runs import RunName, RunNames, complete_run
from qbench.cli.streams import say

if TYPE_CHECKING:
    from qbench.reporting.bd import Method


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command("report")(report_command)
    app.command("correlate")(correlate_command)
    app.command("plot")(plot_command)
    app.command("compare")(compare_command)


def report_command(
    runs: RunNames,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The HTML file. Default: report.html in the (first) run.")
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain/--no-explain", help="Also ask metrics to explain their scores; slower.")
    ] = True,
    originals: OriginalsFolder = None,
) -> None:
    """Write an HTML report: tables, curves, and images to look at, in one file that opens offline."""
    from qbench.api.reporting import report

    for written in report(runs, output, explain=explain, originals=originals, notice=partial(say, error=True)):
        say(written)


def correlate_command(
    runs: RunNames,
    human: Annotated[
        Path | None,
        typer.Option(help="CSV of human scores: columns image, point, and score, mos or dmos.", show_default=False),
    ] = None,
    method: Annotated[str, typer.Option(help="spearman, kendall or pearson: for the heat map and order.")] = "spearman",
    resamples: Annotated[
        int, typer.Option(min=20, max=100_000, help="Number of resamples for the bootstrap intervals.")
    ] = 200,
    everything: Annotated[bool, typer.Option("--all", help="Every column, not only each metric's main one.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Also write to a file: .svg, .html, .csv or .json.")
    ] = None,
) -> None:
    """Show how well metrics agree with one another, or with human scores, across the cells of runs."""
    from qbench.api.reporting import correlate
    from qbench.errors import QbenchError, did_you_mean
    from qbench.reporting.console import Console
    from qbench.reporting.correlation import METHODS
    from qbench.reporting.correlation_table import correlation_view, write_correlations

    if method not in METHODS:
        raise QbenchError(f"unknown method `{method}`{did_you_mean(method, METHODS)} (accepted: {', '.join(METHODS)})")
    cells, found = correlate(runs, human, everything=everything, resamples=resamples)
    console = Console()
    console.print(correlation_view(cells, found, method, console.width))
    if output is not None:
        write_correlations(output, cells, found, method)


def plot_command(
    runs: RunNames,
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write: .pdf, .svg or .png.")],
    metric: Annotated[
        str | None, typer.Option(help="Column to plot against bits per pixel; by default the first that is not a rate.")
    ] = None,
    linear: Annotated[bool, typer.Option("--linear", help="Linear rate axis instead of a logarithmic one.")] = False,
    mixed: Annotated[
        bool, typer.Option("--mixed", help="Draw a column even if its models or settings differ between runs.")
    ] = False,
) -> None:
    """Draw rate–distortion curves for a paper."""
    from qbench.api.reporting import plot

    plot(runs, output, metric, linear=linear, mixed=mixed, notice=lambda text: say(f"note: {text}", error=True))


def compare_command(
    first: RunName,
    second: Annotated[
        str,
        typer.Argument(help="The run to compare with it.", show_default=False, autocompletion=complete_run),
    ],
    metric: Annotated[
        list[str] | None,
        typer.Option(help="Column for BD-rates, repeatable; by default the first in both runs."),
    ] = None,
    method: Annotated[str, typer.Option(help="Interpolation of curves: akima or pchip.")] = "akima",
    fail_if: Annotated[
        list[str] | None,
        typer.Option(help="Exit with code 1 if the condition holds: `bd-rate > 1%`, `psnr < -0.05`. May be repeated."),
    ] = None,
    mixed: Annotated[
        bool, typer.Option("--mixed", help="Compare columns even if their models or settings differ between runs.")
    ] = False,
    everything: Annotated[bool, typer.Option("--all", help="List every difference.")] = False,
) -> None:
    """Compare two runs: two versions of a codec, two machines, two sets of settings."""
    from qbench.api.reporting import compare
    from qbench.api.runs import load_run
    from qbench.reporting.comparison import parse_condition
    from qbench.reporting.comparison_table import print_comparison
    from qbench.reporting.console import Console

    one, other = load_run(first), load_run(second)
    columns = [name for name in one.cell_columns if name in other.cell_columns]
    conditions = [parse_condition(text, columns) for text in fail_if or []]
    found = compare(one, other, metric or (), method=cast("Method", method), mixed=mixed)
    print_comparison(Console(), one, other, found, everything=everything)
    violated = [(each.text, reason) for each in conditions for reason in each.violations(found)]
    for text, reason in violated:
        say(f"failed: {text}: {reason}", error=True)
    if violated:
        raise typer.Exit(1)
