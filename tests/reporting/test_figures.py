"""Figures for papers."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from rate_curves import RATES, curve, of, quality

from qbench.errors import QbenchError
from qbench.reporting.curves import Curves
from qbench.reporting.drawing import drawn_curve, images_drawn
from qbench.reporting.figures import COLOURS, rate_figure


@pytest.fixture
def found():
    return of(ours=curve("ours", 0.8 * RATES, quality(RATES)), jpeg=curve("jpeg", RATES, quality(RATES)))


def test_every_form(found, tmp_path):
    for name, start in (("a.png", b"\x89PNG"), ("a.pdf", b"%PDF"), ("a.svg", b"<?xml")):
        rate_figure(tmp_path / name, [("run", found)])
        assert (tmp_path / name).read_bytes().startswith(start)
    assert Image.open(tmp_path / "a.png").width > 1500
    with pytest.raises(QbenchError, match=r"unknown ending; accepted: \.pdf, \.svg, \.png"):
        rate_figure(tmp_path / "a.jpg", [("run", found)])
    with pytest.raises(QbenchError, match="can't write: No such file"):
        rate_figure(tmp_path / "no" / "a.svg", [("run", found)])


def test_lines_are_labelled_where_they_end(found, tmp_path):
    rate_figure(tmp_path / "a.svg", [("one", found), ("two", found)])
    text = (tmp_path / "a.svg").read_text()
    labels = re.findall(r"(?:ours|jpeg) \((?:one|two)\)", text)
    assert {"ours (one)", "jpeg (one)", "ours (two)", "jpeg (two)"} == set(labels)
    assert "bits per pixel" in text
    assert "psnr ↑" in text
    assert all(colour.lower() in text.lower() for colour in COLOURS[:4])
    rate_figure(tmp_path / "b.svg", [("one", found)], linear=True)
    rate_figure(tmp_path / "c.svg", [("one", found)])
    assert (tmp_path / "b.svg").read_text() != (tmp_path / "c.svg").read_text()


def test_nothing_to_draw(found, tmp_path):
    empty = Curves("psnr", found.column, (), ("cat", "dog"), {})
    with pytest.raises(QbenchError, match=r"nothing to draw: .* \(first without: cat, dog\)"):
        rate_figure(tmp_path / "a.svg", [("run", empty)])


def test_names_are_drawn_to_the_letter(tmp_path):
    odd = of(**{r"$\frac{a}": curve("a", RATES, quality(RATES)), "b$": curve("b", RATES, 1 + quality(RATES))})
    rate_figure(tmp_path / "a.svg", [("run", odd)])
    assert r"$\frac{a}" in (tmp_path / "a.svg").read_text()


def test_fewer_images_than_the_run_has_are_said(found, tmp_path):
    less = replace(found, left_out=("cat", "dog"))
    assert images_drawn([("run", less)]) == ["over 12 of 14 images (without cat, dog)"]
    assert images_drawn([("one", less), ("other", found)]) == ["one: over 12 of 14 images (without cat, dog)"]
    rate_figure(tmp_path / "a.svg", [("run", less)])
    assert "over 12 of 14 images (without cat, dog)" in (tmp_path / "a.svg").read_text()


def test_the_drawn_curve_is_the_one_that_bd_rates_take(found):
    points = found.by_codec["jpeg"]
    rates, values = drawn_curve(points)
    assert (rates[0], rates[-1]) == pytest.approx((points[0].rate, points[-1].rate))
    assert np.all(np.diff(rates) > 0)
    assert np.interp([point.value for point in points], values, rates) == pytest.approx(
        [point.rate for point in points], rel=1e-2
    )
    assert len(drawn_curve(points[:3])[0]) == 3  # too few to interpolate
