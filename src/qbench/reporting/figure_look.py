"""How figures look: sizes for papers, fonts, colours."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from qbench.errors import QbenchError
from qbench.reporting.appearance import GROUNDS

WIDTHS = {"column": 3.5, "page": 7.16}
"""Inches that figures are wide in papers of two columns (IEEE: 21 and 43 picas)."""
NARROWEST, WIDEST = 2.0, 40.0
FONT = "DejaVu Sans"
"""It comes with matplotlib, so that figures are alike everywhere."""
SIZE = 8
"""Of all text, in points."""
LINE_HEIGHT = 1.35 * SIZE / 72
"""Inches."""
LEGENDS = ("auto", "ends", "outside", "none")
Legend = Literal["auto", "ends", "outside", "none"]
Limits = tuple[float, float]
INK = {"light": ("#16181d", "#dddddd"), "dark": ("#e8eaee", "#3a3f49")}
"""Of text and of the grid."""


@dataclass(frozen=True)
class FigureLook:
    """How a figure is drawn.

    Attributes:
        width: in inches.
        legend: ``ends`` writes labels at the ends of lines, ``outside`` below the axes, ``auto`` chooses.
        rename: label of a codec → what it is called in the figure.
        rate_limits: ends of the axis of rates, in bits per pixel.
        limits: column → ends of its axis; ``""`` for all.
        linear: rates on a linear axis; otherwise on a logarithmic one.
        bands: draw 95 % intervals of the means over images (Student's t) around the curves.
        dark: light on dark, for slides.
        caption: whether notes are written below the figure.
    """

    width: float = WIDTHS["column"]
    legend: Legend = "auto"
    rename: Mapping[str, str] = field(default_factory=dict)
    rate_limits: Limits | None = None
    limits: Mapping[str, Limits] = field(default_factory=dict)
    linear: bool = False
    bands: bool = False
    dark: bool = False
    caption: bool = True

    @property
    def theme(self) -> str:
        """``dark`` or ``light``."""
        return "dark" if self.dark else "light"


def figure_width(given: str | float) -> float:
    """Return inches, of a name in :data:`WIDTHS` or a number.

    Raises:
        QbenchError: neither, or too narrow or too wide.
    """
    try:
        inches = WIDTHS[given] if isinstance(given, str) and given in WIDTHS else float(given)
    except ValueError:
        inches = math.nan
    if not NARROWEST <= inches <= WIDEST:
        accepted = f"{', '.join(WIDTHS)}, or inches from {NARROWEST:g} to {WIDEST:g}"
        raise QbenchError(f"width {given}: accepted are {accepted}")
    return inches


def style(theme: str) -> Any:
    """Return matplotlib's settings for figures on a light or dark ground."""
    ink, rule = INK[theme]
    settings: dict[str, Any] = {
        "font.size": SIZE,
        "font.family": FONT,
        "axes.labelsize": SIZE,
        "xtick.labelsize": SIZE,
        "ytick.labelsize": SIZE,
        "legend.fontsize": SIZE,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.linewidth": 0.6,
        "axes.grid": True,
        "axes.grid.which": "major",
        "grid.linewidth": 0.5,
        "lines.linewidth": 1.2,
        "lines.markersize": 3.5,
        "svg.fonttype": "none",  # text stays text
        "svg.hashsalt": "qbench",
        "pdf.fonttype": 42,
        "savefig.dpi": 300,
        "savefig.facecolor": "auto",
        "grid.color": rule,
    }
    settings |= dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color", "axes.edgecolor"), ink)
    return settings | dict.fromkeys(("figure.facecolor", "axes.facecolor"), GROUNDS[theme])
