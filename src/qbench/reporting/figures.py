"""Rate–distortion figures for papers, by matplotlib: PDF, SVG, PNG."""

from __future__ import annotations

import contextlib
import io
import math
import textwrap
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qbench.errors import QbenchError, shown
from qbench.reporting.appearance import DARK, LIGHT, LINES, MARKERS, Appearance
from qbench.reporting.curves import CurvePoint
from qbench.reporting.drawing import drawn_curve
from qbench.reporting.end_labels import GAP, EndedLine, closely, drawn_places, place_labels
from qbench.reporting.figure_look import FONT, LINE_HEIGHT, SIZE, FigureLook, style
from qbench.reporting.notation import ARROWS
from qbench.reporting.pchip import pchip
from qbench.reporting.together import Together
from qbench.toolkit.files import writing
from qbench.toolkit.resampling import mean_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMS = (".pdf", ".svg", ".png")
MOST_ENDS = 6
"""Lines above which labels go into a legend."""
WIDEST_AXIS = 1.35
"""How far the axis of rates is stretched at most, to make room for labels."""
ON_PAGE = "figure points"
LONGEST_LABEL = 28
"""Characters; of a longer one the middle is left out."""


@dataclass(frozen=True)
class Panel:
    """One metric of a figure.

    Attributes:
        title: the metric's name as papers write it.
        drawn: its curves.
    """

    title: str
    drawn: Together


@dataclass(frozen=True)
class Drawing:
    """A figure, which a notebook shows.

    Attributes:
        figure: matplotlib's.
        notes: what one must know to read it.
    """

    figure: Figure
    notes: tuple[str, ...] = ()

    def save(self, path: str | Path) -> Path:
        """Write the figure; the same bytes each time.

        Raises:
            QbenchError: the ending is none of ``.pdf``, ``.svg``, ``.png``, or the file can't be written.
        """
        path = Path(path)
        check_form(path)
        # Neither dates nor random names.
        metadata: dict[str, dict[str, Any]] = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}}
        import matplotlib

        with matplotlib.rc_context(style("light")), writing(path) as temporary, _quiet():
            self.figure.savefig(temporary, metadata=metadata.get(path.suffix.lower()))
        return path

    def _repr_png_(self) -> bytes:
        data = io.BytesIO()
        with _quiet():
            self.figure.savefig(data, format="png", dpi=144)
        return data.getvalue()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep matplotlib from warning of letters that its font has not: a note says it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def check_form(path: Path) -> None:
    """Check that figures can be written as the path's ending says.

    Raises:
        QbenchError: they can't.
    """
    if path.suffix.lower() not in FORMS:
        raise QbenchError(f"{path}: unknown ending; accepted: {', '.join(FORMS)}")


def rate_figure(panels: Sequence[Panel], looks: Mapping[tuple[str, int], Appearance], look: FigureLook) -> Drawing:
    """Draw the curves of metrics, a panel for each.

    Args:
        looks: codec and index of its run → how it is drawn.

    Raises:
        QbenchError: nothing to draw, or limits between which nothing lies.
    """
    for panel in panels:
        if not panel.drawn.curves.by_codec:
            left_out = ", ".join(panel.drawn.curves.left_out[:3])
            raise QbenchError(
                f"nothing to draw of {panel.title}: no image has a rate and a value of every codec "
                f"(first without: {left_out})"
            )
    import matplotlib

    labels = list(dict.fromkeys(label for panel in panels for label in panel.drawn.curves.by_codec))
    labels.sort(key=lambda label: list(looks).index(panels_origin(panels, label)))
    whole = [look.rename.get(label, label) for label in labels]
    for name, times in Counter(whole).items():
        if times > 1:
            both = " and ".join(label for label, each in zip(labels, whole, strict=True) if each == name)
            raise QbenchError(f"{both} would both be called {name}; rename one of them to another name")
    names = short_names(whole)
    named = dict(zip(labels, names, strict=True))
    notes = tuple(dict.fromkeys(note for panel in panels for note in panel.drawn.notes))
    shortened = [f"{name}: {full}" for name, full in zip(names, whole, strict=True) if name != full]
    missing = sorted({letter for name in names for letter in name if not _has_glyph(letter)})
    if missing:
        shortened.append(f"the font has no {' '.join(missing)}: a box stands for each; --rename gives other names")
    if look.bands:
        lacking = [panel.title for panel in panels if not any(p.values for p in _first(panel))]
        shortened += [f"{title}: one value of all images, which has no band" for title in lacking]
        shortened.append("bands: 95 % intervals of means over images (Student's t)")
    notes = (*shortened, *notes)
    captions = list(notes) if look.caption else []
    wrapped = [part for line in captions for part in textwrap.wrap(line, max(20, int(look.width * 72 / 4.4)))]
    ends = look.legend == "ends" or (look.legend == "auto" and len(panels) == 1 and len(labels) <= MOST_ENDS)
    with matplotlib.rc_context(style(look.theme)), _quiet():
        if ends:
            drawing = _Drawing(panels, looks, look, named, wrapped, legend=False)
            if drawing.label_ends() or look.legend == "ends":
                return Drawing(drawing.figure, notes)
        made = _Drawing(panels, looks, look, named, wrapped, legend=look.legend != "none")
        return Drawing(made.figure, notes)


def _first(panel: Panel) -> Sequence[CurvePoint]:
    return next(iter(panel.drawn.curves.by_codec.values()))


@cache
def _has_glyph(letter: str) -> bool:
    """Say whether the figures' font has a letter."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    return bool(get_font(findfont(FontProperties(family=FONT))).get_char_index(ord(letter)))


def panels_origin(panels: Sequence[Panel], label: str) -> tuple[str, int]:
    """Return codec and index of the run that a label means."""
    return next(panel.drawn.origins[label] for panel in panels if label in panel.drawn.origins)


def short_names(names: Sequence[str]) -> list[str]:
    """Return names of at most :data:`LONGEST_LABEL` characters, no two alike where the whole ones aren't."""
    half = (LONGEST_LABEL - 1) // 2
    short = [name if len(name) <= LONGEST_LABEL else f"{name[:half]}…{name[-half:]}" for name in names]
    used: Counter[str] = Counter()
    for index, name in enumerate(short):
        used[name] += 1
        if used[name] > 1 and "…" in name:
            short[index] = f"{name} ({used[name]})"
    return short


class _Drawing:
    """A figure on its way: axes, and below them a legend and a caption."""

    def __init__(
        self,
        panels: Sequence[Panel],
        looks: Mapping[tuple[str, int], Appearance],
        look: FigureLook,
        named: Mapping[str, str],
        caption: Sequence[str],
        *,
        legend: bool,
    ) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine

        self.panels, self.looks, self.look, self.named = panels, looks, look, named
        across = 1 if len(panels) == 1 or look.width < 5 else min(len(panels), max(2, int(look.width / 2.3)))
        down = math.ceil(len(panels) / across)
        panel = look.width / across
        self.panel_width = panel * 72
        one = panel * 0.74 if panel < 5 else panel * 0.55
        self.panel_height, height = one * 60, down * one  # of what the axes are high, about, in points
        columns = self._legend_columns() if legend else 0
        below = [math.ceil(len(named) / columns) * LINE_HEIGHT + 0.06 if legend else 0.0]
        below.append(len(caption) * LINE_HEIGHT + 0.06 if caption else 0.0)
        heights = [height, *(each for each in below if each)]
        layout = ConstrainedLayoutEngine(h_pad=0.02, w_pad=0.02)
        self.figure = Figure(figsize=(look.width, sum(heights)), layout=layout)
        FigureCanvasAgg(self.figure)
        parts = self.figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
        grid = parts[0].subplots(down, across, squeeze=False)
        self.axes = list(grid.flat)[: len(panels)]
        for unused in list(grid.flat)[len(panels) :]:
            unused.remove()
        for axes, each in zip(self.axes, panels, strict=True):
            self._draw(axes, each)
        if legend:
            handles = [self._sample(label) for label in named]
            parts[1].legend(handles=handles, loc="center", ncols=columns, frameon=False, borderpad=0, labelspacing=0.25)
        if caption:
            text = plain_text("\n".join(caption))
            parts[-1].text(0.01, 1.0, text, va="top", ha="left", linespacing=1.25)

    def _legend_columns(self) -> int:
        widest = max(map(text_width, self.named.values())) + 40  # its sample, and air
        return max(1, min(len(self.named), int(self.look.width * 72 / widest)))

    def _appearance(self, label: str) -> dict[str, Any]:
        found = self.looks[panels_origin(self.panels, label)]
        colours = DARK if self.look.dark else LIGHT
        return {"color": colours[found.colour], "marker": MARKERS[found.marker], "linestyle": LINES[found.line]}

    def _sample(self, label: str) -> Any:
        from matplotlib.lines import Line2D

        return Line2D([], [], label=plain_text(self.named[label]), **self._appearance(label))

    def _draw(self, axes: Any, panel: Panel) -> None:
        found = panel.drawn.curves
        axes.margins(y=0.08)
        if not self.look.linear:
            axes.set_xscale("log")
        for label, points in found.by_codec.items():
            drawn = self._appearance(label)
            marker = drawn.pop("marker")
            axes.plot(*drawn_curve(points), gid=f"curve {plain_text(label)}", **drawn)
            xs, ys = [point.rate for point in points], [point.value for point in points]
            axes.plot(xs, ys, marker=marker, linestyle="none", color=drawn["color"], gid=plain_text(label))
            if self.look.bands:
                _band(axes, points, drawn["color"])
        column = found.column
        unit = f" ({column.unit})" if column.unit else ""
        title = f"{panel.title}{unit} {ARROWS[column.direction]}"
        across = max(12, int(self.panel_height / (SIZE * 0.62)))
        axes.set(xlabel="bits per pixel", ylabel=plain_text("\n".join(textwrap.wrap(title, across))))
        limits = self.look.limits.get(found.metric, self.look.limits.get(""))
        for ends, set_ends, what in (
            (self.look.rate_limits, axes.set_xlim, "rates"),
            (limits, axes.set_ylim, found.metric),
        ):
            if ends is not None:
                if what == "rates" and ends[0] <= 0 and not self.look.linear:
                    raise QbenchError(
                        f"rates from {ends[0]:g}: a logarithmic axis begins above 0; --linear has another"
                    )
                set_ends(*ends)
                values = [p.rate if what == "rates" else p.value for points in found.by_codec.values() for p in points]
                if not any(min(ends) <= value <= max(ends) for value in values):
                    raise QbenchError(f"nothing to draw: no {what} from {ends[0]:g} to {ends[1]:g}")
        if not self.look.linear:
            self._rate_ticks(axes)

    def _rate_ticks(self, axes: Any) -> None:
        from matplotlib.ticker import FixedLocator, MaxNLocator, NullFormatter, NullLocator

        low, high = axes.get_xlim()
        room = 0.75 * self.panel_width / math.log(high / low)
        for digits in ((1, 2, 5), (1, 3), (1,)):
            steps = [digit * 10.0**power for power in range(-9, 9) for digit in digits]
            ticks = [step for step in steps if low <= step <= high]
            apart = [room * math.log(other / one) for one, other in pairwise(ticks)]
            if min(apart, default=math.inf) >= max(text_width(f"{tick:g}") for tick in ticks or [1]) + 4:
                break
        if len(ticks) < 3:
            ticks = [tick for tick in MaxNLocator(5).tick_values(low, high) if low <= tick <= high]
        axes.xaxis.set_major_locator(FixedLocator(ticks))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())

    def label_ends(self) -> bool:
        """Write each line's label at its end; return whether there was room for all."""
        axes, by_codec = self.axes[0], self.panels[0].drawn.curves.by_codec
        for attempt in range(2):
            self.figure.canvas.draw()
            lines, labels = [], []
            for label, points in by_codec.items():
                course = closely(drawn_places(axes, *drawn_curve(points)))
                marks = drawn_places(axes, [p.rate for p in points], [p.value for p in points])
                if marks:
                    width = text_width(self.named[label])
                    lines.append(EndedLine(self.named[label], marks, course or marks, width, SIZE * 1.15))
                    labels.append(label)
            left, bottom, right, top = axes.get_window_extent().extents * 72 / self.figure.dpi
            frame = (left, bottom, right, top)
            if attempt or self.look.rate_limits is not None or not self._widen(axes, lines, frame):
                break
        found = place_labels(lines, frame)
        if found is None:
            return False
        for label, line, place in zip(labels, lines, found, strict=True):
            colour = self._appearance(label)["color"]
            if place.leader is not None:
                line_style = {"arrowstyle": "-", "color": colour, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 3}
                axes.annotate(
                    "", xy=place.point, xytext=place.leader, xycoords=ON_PAGE, textcoords=ON_PAGE, arrowprops=line_style
                )
            axes.annotate(
                plain_text(line.text),
                xy=(place.x, place.y),
                xycoords=ON_PAGE,
                color=colour,
                va="center",
                ha="left",
                annotation_clip=False,
                gid=f"label {plain_text(label)}",
            )
        return True

    def _widen(self, axes: Any, lines: Sequence[EndedLine], frame: Any) -> bool:
        """Make room on the right for labels of lines that end there; return whether there was too little."""
        left, right = frame[0], frame[2]
        rooms = [(line.points[-1][0] - left, right - left - line.width - GAP - 2) for line in lines]
        if any(room < (right - left) / 3 for _, room in rooms):
            return False
        factor = max(end / room for end, room in rooms)
        if not 1 < factor <= WIDEST_AXIS:
            return False
        low, high = axes.get_xlim()
        if self.look.linear:
            axes.set_xlim(low, low + (high - low) * factor)
        else:
            axes.set_xlim(low, low * (high / low) ** factor)
            self._rate_ticks(axes)
        return True


def text_width(text: str) -> float:
    """Return how wide text of :data:`SIZE` is, in points of print."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    if not text.strip():
        return 0.0
    path = TextPath((0, 0), plain_text(text), size=SIZE, prop=FontProperties())
    return float(path.get_extents().width)


def plain_text(text: str) -> str:
    """Return text that matplotlib draws to the letter: a dollar would begin a formula."""
    return "\n".join(shown(line) for line in text.split("\n")).replace("$", r"\$")


def _band(axes: Any, points: Sequence[CurvePoint], colour: str) -> None:
    """Draw intervals of means around a curve; none for values that have no interval."""
    intervals = [mean_interval(np.array(point.values)) for point in points]
    if len(points) < 2 or any(each is None for each in intervals):
        return
    xs = np.log([point.rate for point in points])
    at = np.linspace(xs[0], xs[-1], 200)
    low, high = (pchip(xs, np.array([each[end] for each in intervals if each]), at) for end in (0, 1))
    axes.fill_between(np.exp(at), low, high, color=colour, alpha=0.15, linewidth=0)
