"""Monotone cubic interpolation against SciPy's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import PchipInterpolator

from qbench.reporting.pchip import pchip

VALUES = st.lists(st.floats(-1e3, 1e3, allow_subnormal=False), min_size=3, max_size=12)


@settings(max_examples=300, deadline=None)
@given(VALUES, st.integers(0, 2**32 - 1))
def test_it_is_scipys(values, seed):
    y = np.array(values)
    x = np.cumsum(np.random.default_rng(seed).uniform(0.05, 3, len(y)))
    at = np.concatenate([np.linspace(x[0], x[-1], 57), x])
    assert pchip(x, y, at) == pytest.approx(PchipInterpolator(x, y)(at), rel=1e-9, abs=1e-9)


def test_between_rising_points_it_rises():
    x, y = np.array([0.0, 1, 2, 5, 6]), np.array([0.0, 0.1, 3, 3, 9])
    assert (np.diff(pchip(x, y, np.linspace(0, 6, 500))) >= -1e-12).all()
