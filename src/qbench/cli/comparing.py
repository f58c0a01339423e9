"""Commands that look at one run or several: report, plot, compare, correlate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qbench.cli.runs import RunName, RunNames, complete_run


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
        bool, typer.Option("--explain/--no-explain", help="Ask metrics what is behind their scores; takes their time.")
    ] = True,
) -> None:
    """Write an HTML report: tables, curves, and pictures to look at, in one file that opens offline."""
    from qbench import api
    from qbench.report.page import write_page

    loaded = [api.load_run(run) for run in runs]
    path = output or loaded[0].path / "report.html"
    explanations = {
        run.name: api.explain_all(run, notice=lambda text: typer.echo(text, err=True)) for run in loaded if explain
    }
    for written in write_page(path, loaded, api.original, explanations):
        typer.echo(written)


def correlate_command(
    runs: RunNames,
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
    runs: RunNames,
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write: .pdf, .svg or .png.")],
    metric: Annotated[
        str | None, typer.Option(help="Column to draw over bits per pixel; by default the first that is no rate.")
    ] = None,
    linear: Annotated[bool, typer.Option("--linear", help="A linear axis for rates, not a logarithmic one.")] = False,
    mixed: Annotated[bool, typer.Option("--mixed", help="Draw a column of different models or settings.")] = False,
) -> None:
    """Draw rate–distortion curves for a paper."""
    from qbench import api
    from qbench.report.curves import curve_metrics, curves
    from qbench.report.figures import rate_figure
    from qbench.report.same_columns import check_same_columns

    loaded = [api.load_run(run) for run in runs]
    drawn = metric or next(iter(curve_metrics(loaded[0])), "")
    own = [run for run in loaded if not run.imported]
    if not mixed:
        check_same_columns(own, [drawn])
    if 0 < len(own) < len(loaded):
        names = ", ".join(run.name for run in loaded if run.imported)
        typer.echo(f"note: {drawn} of {names} was computed by another program, over images of its own", err=True)
    rate_figure(output, [(run.name, curves(run, drawn)) for run in loaded], linear=linear)


def compare_command(
    first: RunName,
    second: Annotated[
        str,
        typer.Argument(help="The run to compare with it.", show_default=False, autocompletion=complete_run),
    ],
    metric: Annotated[
        list[str] | None,
        typer.Option(help="Column of which BD-rates are taken, repeatable; by default the first in both."),
    ] = None,
    method: Annotated[str, typer.Option(help="Interpolation of curves: akima or pchip.")] = "akima",
    fail_if: Annotated[
        list[str] | None,
        typer.Option(help="Exit with code 1 if this is so: `bd-rate > 1%`, `psnr < -0.05`. May be repeated."),
    ] = None,
    mixed: Annotated[bool, typer.Option("--mixed", help="Compare columns of different models or settings.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Every difference, however many there are.")] = False,
) -> None:
    """Compare two runs: two versions of a codec, two machines, two sets of settings."""
    from rich.console import Console

    from qbench import api
    from qbench.errors import QbenchError
    from qbench.report.bd import METHODS
    from qbench.report.comparison import compare, parse_condition
    from qbench.report.comparison_table import print_comparison

    chosen = next((known for known in METHODS if known == method), None)
    if chosen is None:
        raise QbenchError(f"unknown method `{method}` (accepted: {', '.join(METHODS)})")
    one, other = api.load_run(first), api.load_run(second)
    columns = [name for name in one.cell_columns if name in other.cell_columns]
    conditions = [parse_condition(text, columns) for text in fail_if or []]
    found = compare(one, other, metric or (), method=chosen, mixed=mixed)
    print_comparison(Console(), one, other, found, everything=everything)
    violated = [(each.text, reason) for each in conditions for reason in each.violations(found)]
    for text, reason in violated:
        typer.echo(f"failed: {text}: {reason}", err=True)
    if violated:
        raise typer.Exit(1)
