"""Broken promises, told with the input that they were broken on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from qbench.errors import PluginError
from qbench.execute.work import ContractError


@contextlib.contextmanager
def promised(where: str) -> Iterator[None]:
    """Raise AssertionError for what a run would record as a broken contract."""
    try:
        yield
    except (ContractError, PluginError, AssertionError) as error:
        raise AssertionError(f"{where}: {error}") from error
