"""Figures for papers."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image
from rate_curves import RATES, curve, of, quality

from qbench.errors import QbenchError
from qbench.reporting.appearance import DARK, GROUNDS, LIGHT, Appearance
from qbench.reporting.curves import Curves
from qbench.reporting.drawing import drawn_curve
from qbench.reporting.figure_look import LEGENDS, FigureLook, figure_width
from qbench.reporting.figures import LONGEST_LABEL, Panel, rate_figure, short_names
from qbench.reporting.together import Together


@pytest.fixture
def found():
    return of(ours=curve("ours", 0.8 * RATES, quality(RATES)), jpeg=curve("jpeg", RATES, quality(RATES)))


def drawn(found, look=None, notes=(), title="PSNR", panels=1):
    together = Together(found, {label: (label, 0) for label in found.by_codec}, tuple(notes))
    looks = {(label, 0): Appearance(i % 8, i % 7, i // 8) for i, label in enumerate(found.by_codec)}
    return rate_figure([Panel(title, together)] * panels, looks, look or FigureLook())


def many(count):
    return of(**{f"codec-{i}": curve(f"c{i}", RATES * 1.06**i, quality(RATES) + (i * 7) % 5) for i in range(count)})


def texts(path):
    """Return every text of an SVG, with its size in points."""
    sizes = {}
    for element in ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text"):
        style = element.get("style") or ""
        size = re.search(r"(?:font-size|font):\s*(?:[a-z]+\s+)*([0-9.]+)px", style)
        sizes["".join(element.itertext())] = float(size[1]) if size else None
    return sizes


def test_every_form(found, tmp_path):
    for name, start in (("a.png", b"\x89PNG"), ("a.pdf", b"%PDF"), ("a.svg", b"<?xml")):
        drawn(found).save(tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(start)
    assert Image.open(tmp_path / "a.png").width == 1050  # 3.5 inches of 300 dots
    with pytest.raises(QbenchError, match=r"unknown ending; accepted: \.pdf, \.svg, \.png"):
        drawn(found).save(tmp_path / "a.jpg")
    with pytest.raises(QbenchError, match="can't write: No such file"):
        drawn(found).save(tmp_path / "no" / "a.svg")


@pytest.mark.parametrize("form", ["pdf", "svg", "png"])
def test_the_same_bytes_each_time(found, form, tmp_path):
    for name in ("a", "b"):
        drawn(found, FigureLook(bands=True)).save(tmp_path / f"{name}.{form}")
    assert (tmp_path / f"a.{form}").read_bytes() == (tmp_path / f"b.{form}").read_bytes()


@pytest.mark.parametrize("width", [2.5, 3.5, 7.16, 12])
def test_text_has_8_points_at_the_width_that_is_asked_for(found, width, tmp_path):
    drawn(found, FigureLook(width=width), title="MS-SSIM").save(tmp_path / "a.svg")
    root = ElementTree.parse(tmp_path / "a.svg").getroot()
    assert float(root.get("width").removesuffix("pt")) == pytest.approx(width * 72, abs=0.01)
    sizes = texts(tmp_path / "a.svg")
    assert set(sizes.values()) == {8.0}
    assert "bits per pixel" in sizes
    assert "MS-SSIM ↑" in sizes


def test_widths():
    assert (figure_width("column"), figure_width("page"), figure_width("4.5"), figure_width(3)) == (3.5, 7.16, 4.5, 3)
    for wrong in ("wide", "0", "-1", "nan", "1e9", ""):
        with pytest.raises(QbenchError, match="accepted are column, page, or inches from 2 to 40"):
            figure_width(wrong)


def boxes_of_labels(figure):
    """Return where labels at ends are, and where markers are, on the page."""
    figure.canvas.draw()
    axes = figure.axes[0]
    labels = [text.get_window_extent() for text in axes.texts if (text.get_gid() or "").startswith("label ")]
    lines = [line for line in axes.get_lines() if line.get_marker() not in ("None", "none", "")]
    return labels, np.concatenate([axes.transData.transform(line.get_xydata()) for line in lines])


@pytest.mark.parametrize("count", [1, 2, 4, 6])
@pytest.mark.parametrize("width", [3.5, 7.16])
def test_labels_at_ends_cover_no_point_and_no_other(count, width):
    labels, marks = boxes_of_labels(drawn(many(count), FigureLook(width=width)).figure)
    assert len(labels) == count
    for index, box in enumerate(labels):
        assert not any(box.overlaps(other) for other in labels[index + 1 :])
        assert not any(box.contains(x, y) for x, y in marks)
        assert box.x1 <= width * 100


def test_above_six_lines_there_is_a_legend_outside_the_axes():
    figure = drawn(many(13)).figure
    labels, _ = boxes_of_labels(figure)
    assert labels == []
    (legend,) = [part.legends[0] for part in figure.subfigs if part.legends]
    assert [text.get_text() for text in legend.get_texts()] == [f"codec-{i}" for i in range(13)]
    assert legend.get_window_extent().y1 < figure.axes[0].get_window_extent().y0
    assert legend.get_window_extent().x0 >= 0
    assert legend.get_window_extent().x1 <= 350


def test_where_ends_leave_no_room_there_is_a_legend():
    names = {f"a codec of a long name no {i}": curve("c", RATES, quality(RATES) + i / 50) for i in range(6)}
    figure = drawn(of(**names), FigureLook(width=2.0)).figure
    assert any(part.legends for part in figure.subfigs)


@pytest.mark.parametrize("legend", LEGENDS)
def test_legends_of_all_kinds(found, legend):
    figure = drawn(found, FigureLook(legend=legend)).figure
    labels, _ = boxes_of_labels(figure)
    assert len(labels) == (2 if legend in ("auto", "ends") else 0)
    assert any(part.legends for part in figure.subfigs) == (legend == "outside")


def test_a_long_label_is_shortened_and_said_in_whole(tmp_path):
    long = "a-codec-of-" + "very-" * 30 + "long-name"
    figure = drawn(of(**{long: curve("a", RATES, quality(RATES)), "b": curve("b", 2 * RATES, quality(RATES))}))
    figure.save(tmp_path / "a.svg")
    elements = ElementTree.parse(tmp_path / "a.svg").iter("{http://www.w3.org/2000/svg}text")
    whole = "".join("".join(element.itertext()) for element in elements)
    assert long[:13] + "…" + long[-13:] in whole
    assert long in whole
    width = figure.figure.axes[0].get_window_extent().width
    assert width > 0.6 * 350
    assert short_names(["x" * 60 + "1", "x" * 60 + "1"[::-1]]) != ["x" * 61] * 2
    assert all(len(name) <= LONGEST_LABEL + 4 for name in short_names(["y" * 99, "y" * 50 + "z" + "y" * 48]))
    assert len(set(short_names(["y" * 99, "y" * 50 + "z" + "y" * 48]))) == 2


def test_axes(found, tmp_path):
    axes = drawn(found).figure.axes[0]
    assert axes.get_xscale() == "log"
    linear = drawn(found, FigureLook(linear=True, rate_limits=(0, 1), limits={"": (20, 50)})).figure.axes[0]
    assert (linear.get_xscale(), linear.get_xlim(), linear.get_ylim()) == ("linear", (0, 1), (20, 50))
    assert drawn(found, FigureLook(limits={"psnr": (0, 60)})).figure.axes[0].get_ylim() == (0, 60)
    with pytest.raises(QbenchError, match="nothing to draw: no rates from 5 to 9"):
        drawn(found, FigureLook(rate_limits=(5, 9)))
    with pytest.raises(QbenchError, match="nothing to draw: no psnr from 90 to 99"):
        drawn(found, FigureLook(limits={"": (90, 99)}))


@pytest.mark.parametrize(("low", "high"), [(0.22, 0.38), (0.1, 2), (0.001, 100), (0.9, 1.05)])
def test_ticks_of_rates_are_there_and_apart(low, high):
    rates = np.geomspace(low, high, 5)
    figure = drawn(of(a=curve("a", rates, quality(rates))), FigureLook(rate_limits=(low * 0.95, high * 1.05))).figure
    figure.canvas.draw()
    shown = [tick.label1.get_window_extent() for tick in figure.axes[0].xaxis.get_major_ticks()]
    assert len(shown) >= 3
    assert all(one.x1 < other.x0 for one, other in pairwise(shown))


def test_panels(found, tmp_path):
    for width, side_by_side in ((3.5, False), (7.16, True)):
        figure = drawn(found, FigureLook(width=width), panels=3).figure
        figure.canvas.draw()
        boxes = [axes.get_window_extent() for axes in figure.axes]
        assert len(boxes) == 3
        assert (boxes[0].x1 < boxes[1].x0) == side_by_side
        assert any(part.legends for part in figure.subfigs)


def test_bands_are_the_intervals_of_means():
    scattered = of(a=curve("a", RATES, quality(RATES), spread=0.05))
    (band,) = drawn(scattered, FigureLook(bands=True)).figure.axes[0].collections
    top = max(path.vertices[:, 1].max() for path in band.get_paths())
    values = np.array(scattered.by_codec["a"][-1].values)
    half = 2.200985 * values.std(ddof=1) / np.sqrt(len(values))  # Student's t of 11 degrees of freedom
    assert top == pytest.approx(values.mean() + half, rel=1e-6)
    assert not drawn(scattered).figure.axes[0].collections


def test_dark_is_light_on_dark(found, tmp_path):
    for dark, colours, theme in ((False, LIGHT, "light"), (True, DARK, "dark")):
        drawing = drawn(found, FigureLook(dark=dark))
        drawing.save(tmp_path / "a.svg")
        text = (tmp_path / "a.svg").read_text().lower()
        assert colours[0] in text
        assert colours[1] in text
        drawing.save(tmp_path / "a.png")
        corner = Image.open(tmp_path / "a.png").convert("RGB").getpixel((1, 1))
        assert "#{:02x}{:02x}{:02x}".format(*corner) == GROUNDS[theme]


def test_nothing_to_draw(found):
    with pytest.raises(QbenchError, match=r"nothing to draw of PSNR: .* \(first without: cat, dog\)"):
        drawn(Curves("psnr", found.column, (), ("cat", "dog"), {}))


def test_names_are_drawn_to_the_letter(tmp_path):
    odd = of(**{r"$\frac{a}": curve("a", RATES, quality(RATES)), "b$": curve("b", RATES, 1 + quality(RATES))})
    drawn(odd).save(tmp_path / "a.svg")
    assert r"$\frac{a}" in texts(tmp_path / "a.svg")


def test_codecs_are_renamed(found, tmp_path):
    drawn(found, FigureLook(rename={"jpeg": "JPEG (ours)"})).save(tmp_path / "a.svg")
    assert {"JPEG (ours)", "ours"} <= set(texts(tmp_path / "a.svg"))


def test_notes_are_below_the_figure_unless_nobody_wants_them(found, tmp_path):
    note = "psnr: over 12 of 14 images (without cat, dog)"
    made = drawn(found, notes=[note])
    assert made.notes == (note,)
    made.save(tmp_path / "a.svg")
    assert note in " ".join(texts(tmp_path / "a.svg"))
    drawn(found, FigureLook(caption=False), notes=[note]).save(tmp_path / "b.svg")
    assert "cat, dog" not in (tmp_path / "b.svg").read_text()


def test_a_notebook_shows_it(found):
    assert drawn(found)._repr_png_().startswith(b"\x89PNG")


def test_the_drawn_curve_is_the_one_that_bd_rates_take(found):
    points = found.by_codec["jpeg"]
    rates, values = drawn_curve(points)
    assert (rates[0], rates[-1]) == pytest.approx((points[0].rate, points[-1].rate))
    assert np.all(np.diff(rates) > 0)
    assert np.interp([point.value for point in points], values, rates) == pytest.approx(
        [point.rate for point in points], rel=1e-2
    )
    assert len(drawn_curve(points[:3])[0]) == 3  # too few to interpolate


def test_codecs_of_a_single_point_or_none_are_drawn(found):
    one = replace(found, by_codec={**found.by_codec, "single": found.by_codec["jpeg"][2:3]})
    labels, _ = boxes_of_labels(drawn(one).figure)
    assert len(labels) == 3
