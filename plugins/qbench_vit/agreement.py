"""How far two label distributions agree. Pure functions on logits and features of one image each."""

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
    """Return the ViT-Score of Minchev 2022: the share of top-K labels that both images have."""
    return len(np.intersect1d(first, second)) / len(first)


def weighted_share(p: Array, q: Array, first: Indices, second: Indices) -> float:
    """Return the ViT-Score with labels counted by their probability, in [0, 1], 1 for equal distributions.

    Over the labels A and B in the top K of each image, with probabilities p and q:
    Σ over A∩B of min(p, q), divided by the larger of Σ over A of p and Σ over B of q. A histogram intersection
    (Swain & Ballard 1991, “Color indexing”, IJCV 7) restricted to what the top K agree on; with K as large as the
    number of labels it is 1 minus the total variation distance.
    """
    both = np.intersect1d(first, second)
    share = np.minimum(p[both], q[both]).sum() / max(p[np.sort(first)].sum(), q[np.sort(second)].sum())
    return float(share)


def jensen_shannon(p: Array, q: Array) -> float:
    """Return the Jensen-Shannon divergence in bits, in [0, 1] (Lin 1991, IEEE Trans. Inf. Theory 37)."""
    # Label by label, Σ (a·ln(1+x) + b·ln(1-x)) with a = p+q over 2 and x = (p-q)/(p+q) is a sum of terms that are not
    # negative, each computed without cancellation: where p and q differ by less than rounding, x² is what counts.
    total = p + q
    present = total > 0
    mean, x = total[present] / 2, (p - q)[present] / total[present]
    terms = np.where(np.abs(x) < 1e-4, x * x * (0.5 + x * x / 12), _nats_apart(x))
    return min(1.0, float((mean * terms).sum() / np.log(2)))  # of disjoint labels, whose sum may round up


def cosine(a: Array, b: Array) -> float:
    """Return the cosine of the angle between two feature vectors; 0 if one of them is null."""
    lengths = np.linalg.norm(a) * np.linalg.norm(b)
    return float(np.clip(a @ b / lengths, -1, 1)) if lengths > 0 else 0.0


def _nats_apart(x: Array) -> Array:
    """Return ((1+x)·ln(1+x) + (1-x)·ln(1-x)) / 2, for x in [-1, 1]; 0·ln 0 is 0."""
    above, below = 1 + x, 1 - x
    logs = [each * np.log(np.where(each > 0, each, 1)) for each in (above, below)]
    found: Array = (logs[0] + logs[1]) / 2
    return found
