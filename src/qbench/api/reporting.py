"""Judging and showing runs: comparisons, BD-rates, correlations, figures, the HTML report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING

from qbench.api.arguments import names, require_one_of
from qbench.api.explaining import explain_all, original
from qbench.api.finding import AnyRun, all_opened, opened
from qbench.errors import QbenchError
from qbench.planning.originals import with_originals
from qbench.registry.registry import default_registry
from qbench.reporting.appearance import appearances
from qbench.reporting.bd import METHODS, BdRate, Method
from qbench.reporting.bd import bd_rates as rates_against
from qbench.reporting.comparison import Comparison
from qbench.reporting.comparison import compare as compare_runs
from qbench.reporting.correlation import Cells, Correlation, collect
from qbench.reporting.correlation import correlate as correlate_cells
from qbench.reporting.curves import curve_metrics, curves
from qbench.reporting.notation import written
from qbench.reporting.page.writing import is_current, write_page
from qbench.reporting.runs import told_apart
from qbench.reporting.savings import Savings
from qbench.reporting.savings_of_runs import savings as savings_against
from qbench.reporting.savings_of_runs import usual_anchor
from qbench.reporting.together import together
from qbench.results.comparability import check_same_columns
from qbench.results.run import Run

if TYPE_CHECKING:
    from qbench.reporting.figure_look import Legend, Limits
    from qbench.reporting.figures import Drawing


def compare(
    first: AnyRun, second: AnyRun, metrics: str | Sequence[str] = (), *, method: Method = "pchip", mixed: bool = False
) -> Comparison:
    """Compare two runs: paired differences by image, and BD-rates.

    Args:
        metrics: columns of which BD-rates are computed; by default the first that both runs have.
        method: interpolation of the curves, ``"pchip"``, ``"akima"`` or ``"cubic"``.
        mixed: compare columns of different models or settings.

    Raises:
        QbenchError: nothing in common, a column that one lacks, or columns that can't be compared.
    """
    require_one_of("method", method, METHODS)
    return compare_runs(opened(first), opened(second), names(metrics), method=method, mixed=mixed)


def bd_rates(
    run: AnyRun, metric: str, anchor: str, *, method: Method = "pchip", intervals: bool = True
) -> list[BdRate]:
    """Return the rate that every other codec of a run saves against an anchor at equal quality.

    Args:
        metric: the column that quality is measured by.
        anchor: label of a codec.
        method: interpolation of the curves, ``"pchip"``, ``"akima"`` or ``"cubic"``.
        intervals: whether to compute 95 % intervals over images.

    Raises:
        QbenchError: no such column, or no curve of the anchor that can be compared with.
    """
    require_one_of("method", method, METHODS)
    return rates_against(curves(opened(run), metric), anchor, method, intervals=intervals)


def savings(
    runs: AnyRun | Sequence[AnyRun],
    anchor: str | None = None,
    metrics: str | Sequence[str] = (),
    *,
    method: Method = "pchip",
    methods: bool = True,
) -> Savings:
    """Return the rate that codecs save against an anchor at equal quality, by several metrics, and what that takes.

    Args:
        runs: where there are several, of the images that all have.
        anchor: label of a codec; by default one that plugins say is customary, or else the first without a network.
        metrics: columns; by default every metric's main one.
        method: interpolation of the curves, ``"pchip"``, ``"akima"`` or ``"cubic"``.
        methods: whether to say where interpolations disagree.

    Raises:
        QbenchError: no such metric or anchor, columns that differ between runs, no images in common, or a run of one
            codec.
    """
    require_one_of("method", method, METHODS)
    loaded = all_opened(runs)
    chosen = anchor or usual_anchor(loaded, _usual())
    if chosen is None:
        raise QbenchError(f"{loaded[0].path}: has one codec, and nothing to compare it with")
    found = list(zip(told_apart(loaded), loaded, strict=True))
    return savings_against(found, chosen, names(metrics), method=method, methods=methods)


def savings_of(run: Run, anchor: str | None = None) -> Savings | None:
    """Return what the codecs of a run save against an anchor, without looking at further interpolations; None where
    nothing can be compared.

    Raises:
        QbenchError: the anchor that is asked for is not there.
    """
    chosen = anchor or usual_anchor([run], _usual())
    if chosen is None:
        return None
    try:
        return savings_against([(run.name, run)], chosen, methods=False)
    except QbenchError:
        if anchor is not None:
            raise
        return None


def _usual() -> set[str]:
    """Return the names of codecs that others are customarily compared with."""
    codecs = default_registry().codecs
    return {name for name in codecs if codecs[name].usual_anchor}


def plot(
    runs: AnyRun | Sequence[AnyRun],
    output: str | Path | None = None,
    metrics: str | Sequence[str] = (),
    *,
    width: str | float = "column",
    codecs: str | Sequence[str] = (),
    rename: Mapping[str, str] | None = None,
    legend: Legend = "auto",
    rate_limits: Limits | None = None,
    limits: Limits | Mapping[str, Limits] | None = None,
    linear: bool = False,
    bands: bool = False,
    dark: bool = False,
    caption: bool = True,
    mixed: bool = False,
    notice: Callable[[str], None] = lambda text: None,
) -> Drawing:
    """Draw rate–distortion curves for a paper, with text of 8 points.

    Args:
        runs: where there are several, curves are over the images that all have.
        output: a file to write, with suffix ``.pdf``, ``.svg`` or ``.png``.
        metrics: the columns to draw, a panel for each; by default the first that is no rate.
        width: ``"column"`` (3.5 inches) or ``"page"`` (7.16) of a paper in two columns, or inches.
        codecs: labels of those to draw; by default all.
        rename: label of a codec → what it is called in the figure.
        legend: ``"ends"`` writes labels at the ends of lines, ``"outside"`` below the axes, ``"none"`` nowhere;
            ``"auto"`` at the ends of up to six lines, where that covers nothing.
        rate_limits: ends of the axis of rates, in bits per pixel.
        limits: ends of the metric's axis, or column → ends.
        linear: a linear axis for rates instead of a logarithmic one.
        bands: draw 95 % intervals of means over images around curves.
        dark: light on dark.
        caption: write what one must know to read the figure below it.
        mixed: draw a column of different models or settings.
        notice: called with what one must know to read the figure.

    Returns:
        The figure, which notebooks show; its ``save`` writes it.

    Raises:
        QbenchError: no such column or codec, nothing to draw, no images in common, or columns that can't be compared.
    """
    from qbench.reporting.figure_look import LEGENDS, FigureLook, figure_width
    from qbench.reporting.figures import Panel, check_form, rate_figure

    if output is not None:
        check_form(Path(output))
    require_one_of("legend", legend, LEGENDS)
    loaded = all_opened(runs)
    drawn = (
        names(metrics) or [name for name in curve_metrics(loaded[0]) if all(name in run.columns for run in loaded)][:1]
    )
    if not drawn:
        raise QbenchError("the runs have no metric in common")
    own = [run for run in loaded if not run.imported]
    if not mixed:
        check_same_columns(own, drawn)
    labels = list(dict.fromkeys(point.label for run in loaded for point in run.plan.points))
    for label in (*(wanted := names(codecs)), *(rename or {})):
        require_one_of("codec", label, labels)
    found = list(zip(told_apart(loaded), loaded, strict=True))
    curves_of = {each: together(found, each, wanted) for each in drawn}
    panels = [Panel(written(loaded[0], each), each_drawn) for each, each_drawn in curves_of.items()]
    ends = limits if isinstance(limits, Mapping) else {"": limits} if limits is not None else {}
    for name in ends:
        if name:
            require_one_of("metric of limits", name, drawn)
    look = FigureLook(
        figure_width(width), legend, rename or {}, rate_limits, ends, linear, bands, dark=dark, caption=caption
    )
    made = rate_figure(panels, appearances(loaded), look)
    for line in made.notes:
        notice(line)
    if output is not None:
        made.save(output)
    return made


def report(
    runs: AnyRun | Sequence[AnyRun],
    output: str | Path | None = None,
    *,
    explain: bool = True,
    originals: str | Path | None = None,
    notice: Callable[[str], None] = lambda text: None,
) -> list[Path]:
    """Write the HTML report of one or several runs; return the file, and the folder beside it if there is one.

    Args:
        output: the file; by default ``report.html`` in the (first) run's folder, where a report with originals is not
            replaced by one that lacks some.
        originals: a folder that originals are found in (by their pixels) if they are no longer where they were.
        explain: ask metrics what is behind their scores, which takes their time.
        notice: called with what could not be explained.

    Raises:
        QbenchError: a run can't be read, or the file can't be written.
    """
    loaded = [_with_originals(run, originals) for run in all_opened(runs)]
    path = Path(output) if output is not None else loaded[0].path / "report.html"
    explanations = [explain_all(run, notice=notice) if explain else {} for run in loaded]
    return write_page(path, loaded, original, explanations, keep_fuller=output is None, usual=_usual())


def report_is_current(run: Run) -> bool:
    """Whether a run's own report is there, made by this version of qbench of all its records, and lacks nothing."""
    return is_current(run.path / "report.html", run)


def _with_originals(run: Run, folder: str | Path | None) -> Run:
    if folder is None:
        return run
    found = copy(run)
    found.plan, _ = with_originals(run.plan, Path(folder))
    return found


def correlate(
    runs: AnyRun | Sequence[AnyRun],
    human: str | Path | None = None,
    *,
    everything: bool = False,
) -> tuple[Cells, list[Correlation]]:
    """Correlate metrics over the cells of runs, with one another or with people's scores.

    Args:
        human: CSV file with columns ``image``, ``point``, and ``score``, ``mos`` or ``dmos``.
        everything: every column, not only each metric's main one.

    Returns:
        The values, and a correlation for every two columns.

    Raises:
        QbenchError: fewer than two columns, columns that can't be compared, or a file of another form.
    """
    cells = collect(all_opened(runs), Path(human) if human is not None else None, everything=everything)
    if len(cells.columns) < 2:
        raise QbenchError("need at least two columns to correlate; these runs have one value per cell")
    return cells, correlate_cells(cells)
