"""Originals between planning and coding."""

from __future__ import annotations

import numpy as np

from qbench.images import at_hand
from qbench.images.at_hand import AtHand
from qbench.images.image import Image


def image(value):
    return Image(np.full((4, 5, 3), value, np.uint8))


def test_an_image_is_taken_once():
    held, one = AtHand(), image(1)
    held.put(one)
    assert held.take(one.digest) is one
    assert held.take(one.digest) is None


def test_what_does_not_fit_is_not_kept_and_taking_makes_room(monkeypatch):
    monkeypatch.setattr(at_hand, "MOST_MEMORY", 100)
    held, one, other = AtHand(), image(1), image(2)
    held.put(one)
    held.put(other)
    assert held.take(other.digest) is None
    held.take(one.digest)
    held.put(other)
    held.clear()
    assert held.take(other.digest) is None
    held.put(other)
    assert held.take(other.digest) is other
