"""Resizing against Pillow, torch and piq, and by hand at the borders."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from piq.functional import imresize as piqs
from skimage.data import camera

from qbench.toolkit.resizing import imresize

PLANE = camera()[100:292, 100:356].astype(np.float64)


def test_halving_by_cubics_is_piqs():
    theirs = piqs(torch.from_numpy(PLANE)[None, None], sizes=(96, 128))[0, 0].numpy()
    assert imresize(PLANE, 96, 128, "bicubic") == pytest.approx(theirs, abs=1e-4)  # whose weights are float32


@pytest.mark.parametrize("size", [(64, 64), (96, 128), (100, 77), (192, 128)])
def test_shrinking_linearly_is_pillows_inside(size):
    """At the borders Pillow cuts off what MATLAB mirrors."""
    theirs = np.asarray(Image.fromarray(PLANE.astype(np.float32)).resize(size[::-1], Image.Resampling.BILINEAR))
    assert imresize(PLANE, *size, "bilinear")[3:-3, 3:-3] == pytest.approx(theirs[3:-3, 3:-3], abs=1e-3)


def test_growing_linearly_is_torchs():
    theirs = torch.nn.functional.interpolate(torch.from_numpy(PLANE)[None, None], size=(301, 400), mode="bilinear")
    assert imresize(PLANE, 301, 400, "bilinear") == pytest.approx(theirs[0, 0].numpy(), abs=1e-9)


def test_borders_are_mirrored():
    """A row of two to one, by a triangle as wide as both: 1, 3, 3, 1 eighths of b, a, b, a... of the mirrored row."""
    row = np.array([[10.0, 20.0]])
    # Weights at distances 0.5 and 1.5 over a scale of a half: 0.75 and 0.25 on each side, over 2.
    mirrored = (0.25 * 10 + 0.75 * 10 + 0.75 * 20 + 0.25 * 20) / 2
    assert imresize(row, 1, 1, "bilinear") == pytest.approx(np.array([[mirrored]]))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 60), st.integers(1, 60))
def test_a_constant_stays_one(height, width, new_height, new_width):
    for kernel in ("bilinear", "bicubic"):
        found = imresize(np.full((height, width), 7.0), new_height, new_width, kernel)
        assert found.shape == (new_height, new_width)
        assert found == pytest.approx(7.0, abs=1e-12)


def test_bytes_are_taken():
    assert np.array_equal(
        imresize(PLANE.astype(np.uint8), 50, 60, "bilinear"), imresize(np.floor(PLANE), 50, 60, "bilinear")
    )
