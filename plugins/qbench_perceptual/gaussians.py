"""Distances between two sets of feature vectors: the Fréchet distance of their Gaussians, and the kernel distance."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

Samples = npt.NDArray[np.float64]
"""n×d: n samples of d features."""
MOST_BYTES = 2**27
"""Of square roots of covariances that are kept."""
_roots: dict[tuple[bytes, str], torch.Tensor] = {}


def frechet_distance(one: Samples, other: Samples, *, shrink: bool = False, device: str = "cpu") -> float:
    """Return the Fréchet distance (squared 2-Wasserstein) of the Gaussians with the samples' means and covariances.

    |μ₁ - μ₂|² + tr(Σ₁) + tr(Σ₂) - 2·tr((Σ₁Σ₂)^½), Σ with n - 1 (Dowson & Landau 1982, J. Multivariate Analysis 12(3)).
    The last trace is the sum of the square roots of the eigenvalues of Σ₁^½·Σ₂·Σ₁^½, which is symmetric, so that
    singular covariances need no constant added and no imaginary part is thrown away.

    Args:
        one: n×d, n at least 2.
        other: m×d, m at least 2.
        shrink: draw covariances towards a multiple of the identity (:func:`shrunk_covariance`).
        device: where the linear algebra is done, in float64.
    """
    covariance = shrunk_covariance if shrink else sample_covariance
    means = one.mean(axis=0) - other.mean(axis=0)
    first, second = covariance(one), covariance(other)
    return float(means @ means + np.trace(first) + np.trace(second) - 2 * _root_trace(first, second, device))


def sample_covariance(samples: Samples) -> Samples:
    """Return the d×d covariance, with n - 1."""
    centred = samples - samples.mean(axis=0)
    found: Samples = centred.T @ centred / (len(samples) - 1)
    return found


def shrunk_covariance(samples: Samples) -> Samples:
    """Return the covariance drawn towards the identity by as much as few samples ask for.

    Ledoit & Wolf 2004, J. Multivariate Analysis 88(2), 365-411; scikit-learn's ``ledoit_wolf`` agrees (with n).
    """
    count, features = samples.shape
    centred = samples - samples.mean(axis=0)
    covariance = centred.T @ centred / count
    mean = np.trace(covariance) / features
    distance = (covariance**2).sum() / features - mean**2
    # Mean over samples of the squared distance of each one's outer product to the covariance.
    spread = ((centred**2).sum(axis=1) ** 2).sum() / count - (covariance**2).sum()
    share = min(spread / count / features / distance, 1.0) if distance > 0 else 1.0
    found: Samples = (1 - share) * covariance + share * mean * np.eye(features)
    return found


def kernel_distance(one: Samples, other: Samples) -> float:
    """Return the squared maximum mean discrepancy under the kernel (x·y/d + 1)³, unbiased; may fall below 0.

    Bińkowski et al. 2018, ICLR. Of all samples at once: what means over random subsets estimate. Samples come in pairs,
    one of each set, which are not independent: a pair's own kernel is left out, as in equation (4) of Gretton et al.
    2012, JMLR 13, so that the distance of a set from itself is 0.

    Args:
        one: n×d.
        other: n×d.
    """

    def kernel(x: Samples, y: Samples) -> Samples:
        found: Samples = (x @ y.T / x.shape[1] + 1) ** 3
        return found

    cross, count = kernel(one, other), len(one)
    # Where a sample is its partner the two differences cancel, to the last bit.
    found = (kernel(one, one) - cross) + (kernel(other, other) - cross.T)
    np.fill_diagonal(found, 0)
    return float(found.sum() / (count * (count - 1)))


def _root_trace(first: Samples, second: Samples, device: str) -> float:
    """Return tr((Σ₁Σ₂)^½)."""
    import torch

    root, other = _root(first, device), torch.from_numpy(second).to(device)
    return float(torch.linalg.eigvalsh(root @ other @ root).clamp(min=0).sqrt().sum())


def _root(matrix: Samples, device: str) -> torch.Tensor:
    """Return Σ^½: once for the originals, which every operating point is compared with, if there is room to keep it."""
    import torch

    key = hashlib.sha256(np.ascontiguousarray(matrix).data).digest(), device
    found = _roots.pop(key, None)
    if found is None:
        values, vectors = torch.linalg.eigh(torch.from_numpy(matrix).to(device))
        found = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    _roots[key] = found  # the last to be forgotten
    while len(_roots) > 1 and sum(each.nbytes for each in _roots.values()) > MOST_BYTES:
        del _roots[next(iter(_roots))]
    return found
