"""Numba, with all that it loads when a kernel is first called, which takes longer than Numba itself.

Loaded by the server that stations are forked from, where something uses kernels.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numba.np.linalg

from qbench.toolkit.kernels import kernel


@kernel
def _nothing(value: int) -> int:
    return value


@contextlib.contextmanager
def _without_looking_for_blas() -> Iterator[None]:
    """Keep Numba from importing all of SciPy's linear algebra to see that it is there.

    It is, as scikit-image needs it; kernels that multiply matrices load it when they are compiled. Where another
    version of Numba has no such function, this does nothing.
    """
    look = getattr(numba.np.linalg, "ensure_blas", None)
    if look is not None:
        numba.np.linalg.ensure_blas = lambda: None
    try:
        yield
    finally:
        if look is not None:
            numba.np.linalg.ensure_blas = look


with _without_looking_for_blas():
    _nothing(1)
