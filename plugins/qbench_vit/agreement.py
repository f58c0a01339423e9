"""How far two label distributions agree. Pure functions on logits and features of one picture each."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]


def probabilities(logits: Array) -> Array:
    """Return the softmax of logits, shape L."""
    raised: Array = np.exp(logits - logits.max())
    raised /= raised.sum()
    return raised


def top_labels(logits: Array, k: int) -> Indices:
    """Return the k labels with the largest logits, best first; of equal ones the lower index first."""
    return np.argsort(-logits, kind="stable")[:k]


def shared_share(first: Indices, second: Indices) -> float:
    """Return the ViT-Score of Minchev 2022: the share of top-K labels that both pictures have."""
    return len(np.intersect1d(first, second)) / len(first)


def weighted_share(p: Array, q: Array, first: Indices, second: Indices) -> float:
    """Return the ViT-Score with labels counted by their probability, in [0, 1], 1 for equal distributions.

    Over the labels A and B in the top K of each picture, with probabilities p and q:
    Σ over A∩B of min(p, q), divided by the larger of Σ over A of p and Σ over B of q. A histogram intersection
    (Swain & Ballard 1991, “Color indexing”, IJCV 7) restricted to what the top K agree on; with K as large as the
    number of labels it is 1 minus the total variation distance.
    """
    both = np.intersect1d(first, second)
    share = np.minimum(p[both], q[both]).sum() / max(p[np.sort(first)].sum(), q[np.sort(second)].sum())
    return float(share)


def jensen_shannon(p: Array, q: Array) -> float:
    """Return the Jensen-Shannon divergence in bits, in [0, 1] (Lin 1991, IEEE Trans. Inf. Theory 37)."""
    middle = (p + q) / 2
    return float(_divergence(p, middle) + _divergence(q, middle)) / 2


def cosine(a: Array, b: Array) -> float:
    """Return the cosine of the angle between two feature vectors; 0 if one of them is null."""
    lengths = np.linalg.norm(a) * np.linalg.norm(b)
    return float(np.clip(a @ b / lengths, -1, 1)) if lengths > 0 else 0.0


def _divergence(p: Array, q: Array) -> Array:
    """Return Σ p·log2(p/q), where a label that p does not have adds nothing."""
    there = p > 0
    total: Array = (p[there] * np.log2(p[there] / q[there])).sum()
    return total
