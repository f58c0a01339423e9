"""Kernels: functions of numbers and arrays that Numba compiles to machine code. Stable.

Import the modules that hold them where they are called: who only lists metrics doesn't wait for Numba.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

__all__ = ["kernel"]

F = TypeVar("F", bound=Callable[..., Any])


def kernel(function: F) -> F:
    """Compile a function when it is first called, and keep the machine code for later processes.

    Additions and multiplications stay in the order in which they are written and are not fused, so that values are the
    same on every machine; dividing by 0 gives what NumPy gives. Other threads run meanwhile. The machine code is kept
    where Numba keeps it: beside the source, or else in the user's cache (``NUMBA_CACHE_DIR`` names another folder).

    In float32, write constants as values of arrays or parameters: a literal makes float64 of what it meets.
    """
    try:
        compiled: Any = njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:  # no folder can be written to: each process compiles for itself
        compiled = njit(nogil=True, error_model="numpy")(function)
    return cast(F, compiled)
