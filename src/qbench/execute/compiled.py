"""Numba, with all that it loads when a kernel is first called, which takes longer than Numba itself.

Loaded by the server that stations are forked from, where something uses kernels.
"""

from __future__ import annotations

from qbench.toolkit.kernels import kernel


@kernel
def _nothing(value: int) -> int:
    return value


_nothing(1)
