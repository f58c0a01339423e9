"""Commands that look at one run or several: report, plot, compare, correlate."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from qbench.cli.options import OriginalsFolder, listed
from qbench.cli.runs import RunName, RunNames, complete_run
from qbench.cli.sheets import Format, Output, require_format, show_sheet
from qbench.cli.streams import put, say

if TYPE_CHECKING:
    from qbench.reporting.bd import Method
    from qbench.reporting.figure_look import Legend


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command("report")(report_command)
    app.command("correlate")(correlate_command)
    app.command("plot")(plot_command)
    app.command("compare")(compare_command)
    app.command("bd")(bd_command)
    app.command("votes")(votes_command)


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
    cells, found = correlate(runs, human, everything=everything)
    console = Console()
    console.print(correlation_view(cells, found, method, console.width))
    if output is not None:
        write_correlations(output, cells, found, method)


def plot_command(
    runs: RunNames,
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write: .pdf, .svg or .png.")],
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            "-m",
            help="Column to plot against bits per pixel, repeatable: a panel each. Default: the first that is no rate.",
        ),
    ] = None,
    width: Annotated[
        str, typer.Option(metavar="column|page|INCHES", help="How wide the figure is printed; text has 8 points then.")
    ] = "column",
    codecs: Annotated[
        list[str] | None, typer.Option(metavar="LABEL,…", help="Codecs to draw, by their labels. Default: all.")
    ] = None,
    rename: Annotated[
        list[str] | None, typer.Option(metavar="LABEL=NAME", help="What a codec is called. Repeatable.")
    ] = None,
    legend: Annotated[str, typer.Option(help="auto, ends (of the lines), outside (below the axes) or none.")] = "auto",
    xlim: Annotated[
        str | None, typer.Option(metavar="LOW,HIGH", help="Ends of the rate axis, in bits per pixel.")
    ] = None,
    ylim: Annotated[
        list[str] | None,
        typer.Option(metavar="[METRIC=]LOW,HIGH", help="Ends of the axis of all metrics, or of one. Repeatable."),
    ] = None,
    linear: Annotated[bool, typer.Option("--linear", help="Linear rate axis instead of a logarithmic one.")] = False,
    bands: Annotated[bool, typer.Option("--bands", help="Draw 95 % intervals of means over images.")] = False,
    dark: Annotated[bool, typer.Option("--dark", help="Light on dark, for slides.")] = False,
    caption: Annotated[
        bool, typer.Option("--caption/--no-caption", help="Write below the figure what one must know to read it.")
    ] = True,
    mixed: Annotated[
        bool, typer.Option("--mixed", help="Draw a column even if its models or settings differ between runs.")
    ] = False,
) -> None:
    """Draw rate–distortion curves for a paper."""
    from qbench.api.reporting import plot

    plot(
        runs,
        output,
        metric or (),
        width=width,
        codecs=listed(codecs),
        rename=dict(_pair("--rename", text, "jpeg=JPEG") for text in rename or ()),
        legend=cast("Legend", legend),
        rate_limits=None if xlim is None else _limits("--xlim ", xlim),
        limits=dict(map(_metric_limits, ylim or ())),
        linear=linear,
        bands=bands,
        dark=dark,
        caption=caption,
        mixed=mixed,
        notice=lambda text: say(f"note: {text}", error=True),
    )


def _pair(option: str, text: str, example: str) -> tuple[str, str]:
    from qbench.errors import QbenchError

    name, equals, value = text.rpartition("=") if option == "--ylim" else text.partition("=")
    if not (equals and name.strip() and value.strip()):
        raise QbenchError(f"{option} {text}: accepted is NAME=VALUE, such as {example}")
    return name.strip(), value.strip()


def _metric_limits(text: str) -> tuple[str, tuple[float, float]]:
    name, ends = _pair("--ylim", text, "psnr=30,45") if "=" in text else ("", text)
    return name, _limits(f"--ylim {name}=" if name else "--ylim ", ends)


def _limits(option: str, text: str) -> tuple[float, float]:
    """Return the ends of an axis."""
    import math

    from qbench.errors import QbenchError

    try:
        low, high = map(float, text.split(","))
    except ValueError:
        low = high = math.nan
    if not (low < high and math.isfinite(high - low)):
        raise QbenchError(f"{option}{text}: accepted are two numbers, the lower first, such as 0.1,2")
    return low, high


def bd_command(
    runs: RunNames,
    anchor: Annotated[
        str | None,
        typer.Option("--anchor", help="Codec to compare with, by its label. Default: jpeg where there is one."),
    ] = None,
    metric: Annotated[
        list[str] | None, typer.Option(help="Column, repeatable. Default: every metric's main one.")
    ] = None,
    method: Annotated[str, typer.Option(help="Interpolation of curves: pchip, akima or cubic.")] = "pchip",
    form: Format = "table",
    output: Output = None,
) -> None:
    """Show how many bytes each codec saves at equal quality (BD-rates), within a run or across several."""
    from qbench.api.reporting import savings
    from qbench.reporting.savings import savings_sheet, sentences

    require_format(form)
    found = savings(runs, anchor, metric or (), method=cast("Method", method))
    show_sheet(savings_sheet(found), form, output, sentences(found))


def votes_command(
    files: Annotated[
        list[Path],
        typer.Argument(help="Files that reports export; or CSV: first, second, choice.", show_default=False),
    ],
    run: Annotated[
        str | None, typer.Option(help="The run that the votes must be of.", autocompletion=complete_run)
    ] = None,
    by: Annotated[str, typer.Option(help="Rank codecs or operating points: codec or point.")] = "codec",
    mixed: Annotated[bool, typer.Option("--mixed", help="Take votes of different runs together.")] = False,
    form: Format = "table",
    output: Output = None,
) -> None:
    """Rank codecs by people's votes in the blind test of a report (Bradley-Terry, Elo's scale, with intervals)."""
    from qbench.api.voting import votes
    from qbench.reporting.ranking_table import ranking_sheet

    require_format(form)
    show_sheet(ranking_sheet(votes(files, run=run, by=by, mixed=mixed)), form, output)


def compare_command(
    first: RunName,
    second: Annotated[
        str,
        typer.Argument(help="The run to compare with it.", show_default=False, autocompletion=complete_run),
    ],
    metric: Annotated[
        list[str] | None,
        typer.Option(help="Column for BD-rates, repeatable. Default: every metric's main one."),
    ] = None,
    method: Annotated[str, typer.Option(help="Interpolation of curves: pchip, akima or cubic.")] = "pchip",
    fail_if: Annotated[
        list[str] | None,
        typer.Option(
            help="Exit with code 1 if the condition holds: `cjxl: bd-rate(ssim) > 1%`, `psnr < -0.05`, "
            "`encode-time > 10%`; or can't be judged. May be repeated."
        ),
    ] = None,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Let --fail-if pass what can't be judged: failures, missing images.")
    ] = False,
    form: Annotated[str, typer.Option("--format", "-f", help="table, json, markdown or junit.")] = "table",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write to a file.")] = None,
    mixed: Annotated[
        bool, typer.Option("--mixed", help="Compare columns even if their models or settings differ between runs.")
    ] = False,
    everything: Annotated[bool, typer.Option("--all", help="List every difference.")] = False,
) -> None:
    """Compare two runs: two versions of a codec, two machines, two sets of settings."""
    from qbench.api.reporting import compare
    from qbench.api.runs import load_run
    from qbench.errors import QbenchError, did_you_mean
    from qbench.reporting.comparison_table import comparison_markdown, print_comparison
    from qbench.reporting.conditions import comparison_json, judge, judgements_junit, parse_condition
    from qbench.reporting.console import Console
    from qbench.reporting.curves import main_columns

    forms = ("table", "json", "markdown", "junit")
    if form not in forms:
        raise QbenchError(f"unknown format `{form}`{did_you_mean(form, forms)} (accepted: {', '.join(forms)})")
    one, other = load_run(first), load_run(second)
    conditions = [parse_condition(text, one, other) for text in fail_if or []]
    both = [name for name in one.columns if name in other.columns]
    main = [name for name in main_columns(one) if name in both and name in main_columns(other)]
    named = dict.fromkeys([*(metric or main), *(each.metric for each in conditions if each.metric in both)])
    found = compare(one, other, list(named), method=cast("Method", method), mixed=mixed)
    judgements = [judge(each, found) for each in conditions]
    if form == "table":
        kept = None if output is None else io.StringIO()
        print_comparison(Console(file=kept), one, other, found, everything=everything)
        text = "" if kept is None else kept.getvalue()
    elif form == "json":
        text = comparison_json(found, judgements, allow_missing=allow_missing)
    elif form == "markdown":
        text = comparison_markdown(one, other, found, judgements, allow_missing=allow_missing)
    else:
        text = judgements_junit(found, judgements, allow_missing=allow_missing)
    if text:
        put(text, output)
    for line in found.changed if judgements and form != "table" else ():
        say(f"changed: {line}", error=True)
    for each in judgements:
        for reason in each.violations:
            say(f"failed: {each.condition.text}: {reason}", error=True)
        for reason in each.unjudged:
            state = "passed over" if allow_missing else "failed"
            say(f"{state}: {each.condition.text}: can't be judged: {reason}", error=True)
    if any(each.failed(allow_missing=allow_missing) for each in judgements):
        raise typer.Exit(1)
