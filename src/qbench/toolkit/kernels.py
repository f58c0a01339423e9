"""Kernels: functions of numbers and arrays that Numba compiles to machine code. Stable.

Import the modules that hold them where they are called: who only lists metrics doesn't wait for Numba.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar, cast

from numba import njit

__all__ = ["kernel"]

F = TypeVar("F", bound=Callable[..., Any])
FREE = ("numpy", "math", "typing", "collections.abc", "__future__", "qbench.toolkit.kernels")
"""Modules whose names a kernel may use: what they stand for doesn't change."""


def kernel(function: F) -> F:
    """Compile a function when it is first called, and keep the machine code for later processes.

    Additions and multiplications stay in the order in which they are written and are not fused, so that values are the
    same on every machine; dividing by 0 gives what NumPy gives. Other threads run meanwhile. The machine code is kept
    where Numba keeps it: beside the source, or else in the user's cache (``NUMBA_CACHE_DIR`` names another folder).

    In float32, write constants as values of arrays or parameters: a literal makes float64 of what it meets.

    Raises:
        TypeError: the function uses a constant or a kernel of another module. Machine code is kept until the file that
            the function stands in changes, and would be that of the other's past.
    """
    foreign = sorted(_imported(function.__module__) & _used(function.__code__))
    if foreign:
        raise TypeError(
            f"kernel {function.__qualname__} uses {', '.join(foreign)} of another module; define what a kernel uses in "
            "its own file"
        )
    try:
        compiled: Any = njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:  # no folder can be written to: each process compiles for itself
        compiled = njit(nogil=True, error_model="numpy")(function)
    _forgive(compiled)
    return cast(F, compiled)


def _forgive(compiled: Any) -> None:
    """Have machine code that can't be read, of a full disk or a power cut, made anew."""
    kept = getattr(compiled, "_cache", None)
    load = getattr(kept, "load_overload", None)
    if kept is None or load is None:
        return

    def load_or_compile(*arguments: Any) -> Any:
        try:
            return load(*arguments)
        except Exception:
            kept.flush()
            return None

    kept.load_overload = load_or_compile


def _used(code: Any) -> set[str]:
    inner = (constant for constant in code.co_consts if inspect.iscode(constant))
    return set(code.co_names).union(*(_used(each) for each in inner))


@cache
def _imported(module: str) -> frozenset[str]:
    """Return the names that a module has from others, but from those that anybody may use."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except (KeyError, OSError, TypeError):  # typed in
        return frozenset()
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module not in FREE:
            found |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.asname or alias.name.partition(".")[0] for alias in node.names if alias.name not in FREE}
    return frozenset(found)
