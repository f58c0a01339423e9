"""Judging and showing runs: comparisons, BD-rates, correlations, figures, the HTML report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from pathlib import Path

from qbench.api.arguments import names, require_one_of
from qbench.api.explaining import explain_all, original
from qbench.api.runs import AnyRun, all_opened, opened
from qbench.errors import QbenchError
from qbench.planning.originals import with_originals
from qbench.registry.registry import default_registry
from qbench.reporting.bd import METHODS, BdRate, Method
from qbench.reporting.bd import bd_rates as rates_against
from qbench.reporting.comparison import Comparison
from qbench.reporting.comparison import compare as compare_runs
from qbench.reporting.correlation import Cells, Correlation, collect
from qbench.reporting.correlation import correlate as correlate_cells
from qbench.reporting.curves import curve_metrics, curves
from qbench.reporting.drawing import images_drawn
from qbench.reporting.page.writing import is_current, write_page
from qbench.reporting.runs import told_apart
from qbench.reporting.savings import Savings, usual_anchor
from qbench.reporting.savings import savings as savings_against
from qbench.results.comparability import check_same_columns, unlike_images
from qbench.results.run import Run


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
    output: str | Path,
    metric: str | None = None,
    *,
    linear: bool = False,
    mixed: bool = False,
    notice: Callable[[str], None] = lambda text: None,
) -> Path:
    """Draw rate–distortion curves for a paper; return the file.

    Args:
        output: the file, with suffix ``.pdf``, ``.svg`` or ``.png``.
        metric: the column to draw; by default the first that is no rate.
        linear: a linear axis for rates instead of a logarithmic one.
        mixed: draw a column of different models or settings.
        notice: called with what one must know to read the figure.

    Raises:
        QbenchError: no such column, nothing to draw, or columns that can't be compared.
    """
    from qbench.reporting.figures import rate_figure

    loaded = all_opened(runs)
    drawn = metric or next(iter(curve_metrics(loaded[0])), "")
    own = [run for run in loaded if not run.imported]
    if not mixed:
        check_same_columns(own, [drawn])
    found = [(name, curves(run, drawn)) for name, run in zip(told_apart(loaded), loaded, strict=True)]
    told = [f"{name}: {line}" for name, lines in unlike_images(loaded).items() for line in lines]
    rate_figure(Path(output), found, linear=linear, notes=told)
    for line in (*told, *images_drawn(found)):
        notice(line)
    return Path(output)


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
    return write_page(path, loaded, original, explanations, keep_fuller=output is None)


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
