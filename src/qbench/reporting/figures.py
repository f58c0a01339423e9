"""Rate–distortion figures for papers, by matplotlib: PDF, SVG, PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qbench.errors import QbenchError, shown
from qbench.reporting.curves import Curves
from qbench.reporting.drawing import drawn_curve, images_drawn
from qbench.reporting.notation import ARROWS
from qbench.toolkit.files import writing

FORMS = (".pdf", ".svg", ".png")
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8F7A00")
"""Told apart with any colour vision (Okabe & Ito 2008), and in grey by markers and line styles."""
MARKERS = "osD^vP*X"
LINES = ("-", "--", "-.", ":")
LINE_HEIGHT = 11
"""Of a label, in points."""
STYLE: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.which": "major",
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.4,
    "lines.markersize": 4,
    "svg.fonttype": "none",  # text stays text
    "pdf.fonttype": 42,
    "savefig.dpi": 300,
}


def rate_figure(
    path: Path, found: Sequence[tuple[str, Curves]], *, linear: bool = False, notes: Sequence[str] = ()
) -> None:
    """Draw the curves of one metric, each with its label at its end.

    Args:
        path: its ending says the form.
        found: runs' names, which are shown where there are several, and their curves.
        linear: rates on a linear axis; otherwise on a logarithmic one.
        notes: what else is to be said below, a line each.

    Raises:
        QbenchError: no such form, nothing to draw, or the file can't be written.
    """
    if path.suffix.lower() not in FORMS:
        raise QbenchError(f"{path}: unknown ending; accepted: {', '.join(FORMS)}")
    lines = [
        (f"{codec} ({name})" if len(found) > 1 else codec, points)
        for name, curves in found
        for codec, points in curves.by_codec.items()
    ]
    if not lines:
        left_out = ", ".join(found[0][1].left_out[:3])
        raise QbenchError(
            f"nothing to draw: no image has a rate and a value of every codec (first without: {left_out})"
        )
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    column = found[0][1].column
    with matplotlib.rc_context(STYLE):
        figure, axes = pyplot.subplots(figsize=(5.6, 3.6), layout="constrained")
        for index, (label, points) in enumerate(lines):
            look: Any = {"color": COLOURS[index % len(COLOURS)]}
            axes.plot(*drawn_curve(points), linestyle=LINES[index // len(COLOURS) % len(LINES)], **look)
            axes.plot(
                [point.rate for point in points],
                [point.value for point in points],
                marker=MARKERS[index % len(MARKERS)],
                linestyle="none",
                label=plain_text(label),
                gid=plain_text(label),
                **look,
            )
        if not linear:
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(_plain_numbers)
            axes.xaxis.set_minor_formatter(_few_numbers)
        arrow = ARROWS[column.direction]
        unit = f" ({column.unit})" if column.unit else ""
        over = "\n".join(filter(None, ["bits per pixel", *map(plain_text, (*notes, *images_drawn(found)))]))
        axes.set(xlabel=over, ylabel=plain_text(f"{found[0][1].metric}{unit} {arrow}"))
        _label_ends(axes)
        try:
            with writing(path) as temporary:
                figure.savefig(temporary, metadata={"Date": None} if path.suffix.lower() == ".svg" else None)
        finally:
            pyplot.close(figure)


def plain_text(text: str) -> str:
    """Return text that matplotlib draws to the letter: a dollar would begin a formula."""
    return shown(text).replace("$", r"\$")


def _plain_numbers(value: float, _: Any) -> str:
    return f"{value:g}"


def _few_numbers(value: float, _: Any) -> str:
    """Label 2 and 5 of every decade."""
    return f"{value:g}" if f"{value:e}"[0] in "25" else ""


def _label_ends(axes: Any) -> None:
    """Write each line's label to the right of its last point, moved up where it would cover another."""
    figure = axes.figure
    figure.canvas.draw()
    points = 72 / figure.dpi
    placed: list[tuple[float, float, float]] = []
    marked = [line for line in axes.get_lines() if line.get_gid()]
    ends = [(line, *(points * axes.transData.transform(line.get_xydata()[-1]))) for line in marked]
    for line, x, y in sorted(ends, key=lambda each: float(each[2])):
        width, at = 5.5 * len(line.get_gid()), y
        for left, right, other in sorted(placed, key=lambda each: each[2]):
            if x < right and left < x + width and abs(other - at) < LINE_HEIGHT:
                at = other + LINE_HEIGHT
        placed.append((x, x + width, at))
        axes.annotate(
            line.get_gid(),
            xy=line.get_xydata()[-1],
            xytext=(7, at - y),
            textcoords="offset points",
            color=line.get_color(),
            va="center",
            annotation_clip=False,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5},  # other lines pass behind it
        )
