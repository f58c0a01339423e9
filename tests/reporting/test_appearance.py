"""Colours, markers and lines of codecs."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab

from qbench.reporting.appearance import DARK, GROUNDS, LIGHT, MARKERS, appearances

BLIND = {  # Machado, Oliveira & Fernandes 2009, severity 1
    "none": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
PALETTES = [(LIGHT, GROUNDS["light"]), (DARK, GROUNDS["dark"])]


def linear(colours):
    values = np.array([[int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)] for colour in colours])
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def encoded(values):
    values = np.clip(values, 0, 1)
    return np.where(values <= 0.0031308, 12.92 * values, 1.055 * values ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize(("palette", "ground"), PALETTES)
@pytest.mark.parametrize("kind", BLIND)
def test_any_two_colours_are_told_apart(palette, ground, kind):
    lab = rgb2lab(encoded(linear(palette) @ np.array(BLIND[kind]).T)[None])[0]
    least = min(float(deltaE_ciede2000(one, other)) for one, other in itertools.combinations(lab, 2))
    assert least >= 13


@pytest.mark.parametrize(("palette", "ground"), PALETTES)
def test_text_in_them_is_read_well(palette, ground):
    luminances = linear([*palette, ground]) @ [0.2126, 0.7152, 0.0722]
    for one in luminances[:-1]:
        low, high = sorted((float(one), float(luminances[-1])))
        assert (high + 0.05) / (low + 0.05) >= 4.5


def run_of(*labels):
    return SimpleNamespace(plan=SimpleNamespace(points=[SimpleNamespace(label=label) for label in labels]))


def test_no_two_codecs_look_alike():
    found = appearances([run_of(*(f"c{index}" for index in range(56)))])
    assert len({(each.colour, each.marker) for each in found.values()}) == 56
    assert len(MARKERS) == 7


def test_operating_points_of_a_codec_are_one():
    found = appearances([run_of("a", "a", "b", "a")])
    assert list(found) == [("a", 0), ("b", 0)]


def test_a_codec_of_several_runs_keeps_colour_and_marker():
    found = appearances([run_of("a", "b"), run_of("c", "b")])
    one, other = found["b", 0], found["b", 1]
    assert (one.colour, one.marker) == (other.colour, other.marker)
    assert one.line != other.line
    assert found["c", 1].colour not in (found["a", 0].colour, one.colour)
