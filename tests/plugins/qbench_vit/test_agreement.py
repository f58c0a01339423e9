"""The formulas of the ViT-Score's family, against other ways to write them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import jensenshannon
from scipy.special import softmax

from qbench_vit import agreement

LOGITS = arrays(np.float64, 12, elements=st.floats(-30, 30))
COUNTS = st.integers(1, 12)


@given(LOGITS)
def test_probabilities_are_scipys(logits):
    assert np.allclose(agreement.probabilities(logits), softmax(logits), rtol=1e-12)


def test_the_top_labels_are_the_largest_and_ties_go_to_the_lower_index():
    assert agreement.top_labels(np.array([1.0, 3.0, 2.0, 3.0, 0.0]), 3).tolist() == [1, 3, 2]
    assert agreement.top_labels(np.zeros(5), 2).tolist() == [0, 1]


@given(LOGITS, LOGITS, COUNTS)
def test_the_share_is_that_of_sets(a, b, k):
    first, second = agreement.top_labels(a, k), agreement.top_labels(b, k)
    assert agreement.shared_share(first, second) == len(set(first.tolist()) & set(second.tolist())) / k


@given(LOGITS, LOGITS, COUNTS)
def test_the_weighted_share_is_in_range_symmetric_and_one_for_equals(a, b, k):
    p, q = agreement.probabilities(a), agreement.probabilities(b)
    first, second = agreement.top_labels(a, k), agreement.top_labels(b, k)
    share = agreement.weighted_share(p, q, first, second)
    assert 0 <= share <= 1 + 1e-12
    assert share == agreement.weighted_share(q, p, second, first)
    assert agreement.weighted_share(p, p, first, first) == 1.0
    if agreement.shared_share(first, second) == 0:
        assert share == 0


@given(LOGITS, LOGITS)
def test_with_all_labels_the_weighted_share_is_one_minus_the_total_variation_distance(a, b):
    p, q = agreement.probabilities(a), agreement.probabilities(b)
    everything = agreement.top_labels(a, 12), agreement.top_labels(b, 12)
    assert agreement.weighted_share(p, q, *everything) == pytest.approx(1 - np.abs(p - q).sum() / 2, abs=1e-12)


@given(LOGITS, LOGITS)
def test_the_divergence_is_scipys_squared_distance(a, b):
    p, q = agreement.probabilities(a), agreement.probabilities(b)
    assert agreement.jensen_shannon(p, q) == pytest.approx(jensenshannon(p, q, base=2) ** 2, abs=1e-9)
    assert agreement.jensen_shannon(p, p) == 0.0


def test_the_divergence_stands_labels_that_are_impossible():
    p, q = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    assert agreement.jensen_shannon(p, q) == 1.0


def test_the_cosine():
    a = np.array([3.0, 4.0])
    assert agreement.cosine(a, 2 * a) == pytest.approx(1)
    assert agreement.cosine(a, -a) == pytest.approx(-1)
    assert agreement.cosine(a, np.array([4.0, -3.0])) == 0
    assert agreement.cosine(a, np.zeros(2)) == 0
