"""Colours, markers and line styles: each codec keeps its own in every figure and on the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qbench.results.run import Run

LIGHT = ("#0d6cf7", "#8b2900", "#007a71", "#cc0067", "#916c00", "#4d15d2", "#441842", "#4c5043")
DARK = ("#3a98a8", "#ff8815", "#32d99e", "#ff0b51", "#f8eb44", "#e93bf9", "#f0b5fc", "#fffffd")
"""On white and on near black: any two are told apart in full colour vision and without any one kind of cones (CIEDE2000
of 13 or more after Machado, Oliveira & Fernandes 2009), and text in them has a contrast of 4.5 or more (WCAG 2.1)."""
GROUNDS = {"light": "#ffffff", "dark": "#14161a"}
MARKERS = "osD^vPX"
"""As matplotlib calls them. As there is one fewer than colours, no two of 56 codecs have both in common."""
LINES = ("-", "--", ":", "-.")


@dataclass(frozen=True)
class Appearance:
    """How a codec is drawn: indices of :data:`LIGHT` (or :data:`DARK`), :data:`MARKERS` and :data:`LINES`."""

    colour: int
    marker: int
    line: int


def appearances(runs: Sequence[Run]) -> dict[tuple[str, int], Appearance]:
    """Return how the codecs of runs are drawn, by label and index of the run.

    The order of the suite decides, so that a codec looks the same whatever metric is drawn, and which others are left
    out. Of a codec that several runs have, colour and marker are the same and the line tells runs apart.
    """
    places: dict[str, int] = {}
    times: dict[str, int] = {}
    found = {}
    for index, run in enumerate(runs):
        for label in dict.fromkeys(point.label for point in run.plan.points):
            place = places.setdefault(label, len(places))
            line = place // len(LIGHT) + times.get(label, 0)
            times[label] = times.get(label, 0) + 1
            found[label, index] = Appearance(place % len(LIGHT), place % len(MARKERS), line % len(LINES))
    return found
