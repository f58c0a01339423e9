"""Broken promises, told with the input that they were broken on."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

from qbench.errors import NotApplicable, PluginError
from qbench.execute.scoring import Values
from qbench.execute.work import ContractError

TOLERANCE = 1e-5
"""How much a value may depend on the batch it is computed in, or on threads, relative to its size."""


@contextlib.contextmanager
def promised(where: str) -> Iterator[None]:
    """Raise AssertionError for what a run would record as a broken contract."""
    try:
        yield
    except (ContractError, PluginError, AssertionError) as error:
        raise AssertionError(f"{where}: {error}") from error


def close(value: Any, other: Any) -> bool:
    """Whether two values of a column are the same, but for rounding; or both not applicable."""
    if isinstance(value, NotApplicable) or isinstance(other, NotApplicable):
        return isinstance(value, NotApplicable) and isinstance(other, NotApplicable)
    return bool(value == other or math.isclose(value, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE))


def require_same(outcome: Values | NotApplicable, other: Values | NotApplicable, how: str) -> None:
    """Check that an outcome of a batch is what it is otherwise.

    Raises:
        AssertionError: naming the column.
    """
    if isinstance(outcome, NotApplicable) or isinstance(other, NotApplicable):
        assert close(outcome, other), f"applicable in a batch but not {how}, or the other way round"
        return
    for column, value in outcome.items():
        assert close(value, other[column]), f"{column} is {value} in a batch, {other[column]} {how}"
