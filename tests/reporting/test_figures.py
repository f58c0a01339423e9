"""Figures for papers."""

from __future__ import annotations

import re

import pytest
from PIL import Image
from rate_curves import RATES, curve, of, quality

from qbench.errors import QbenchError
from qbench.reporting.curves import Curves
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
