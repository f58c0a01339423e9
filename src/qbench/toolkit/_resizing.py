"""Weighted sums of samples, down the columns and along the rows of a plane."""

from __future__ import annotations

from typing import Any

from qbench.toolkit.kernels import kernel


@kernel
def resize_down(plane: Any, indices: Any, weights: Any, found: Any) -> None:
    """Make rows of rows; ``indices`` and ``weights`` are taps×(rows to make)."""
    for r in range(found.shape[0]):
        out = found[r]
        for c in range(out.size):
            out[c] = 0
        for k in range(indices.shape[0]):
            row, weight = plane[indices[k, r]], weights[k, r]
            for c in range(out.size):
                out[c] += weight * row[c]


@kernel
def resize_across(plane: Any, indices: Any, weights: Any, found: Any) -> None:
    """Make columns of columns; ``indices`` and ``weights`` are taps×(columns to make)."""
    for r in range(found.shape[0]):
        row, out = plane[r], found[r]
        for c in range(out.size):
            out[c] = 0
        for k in range(indices.shape[0]):
            at, weight = indices[k], weights[k]
            for c in range(out.size):
                out[c] += weight[c] * row[at[c]]
