"""How to execute a plan."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """How to execute; nothing here changes the values that are measured.

    Attributes:
        jobs: worker processes; 1 works in this process, 0 means as many as there are cores (or images).
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:n``.
        fail_fast: stop at the first failure.
        retry_failed: try again what failed in an earlier session.
    """

    jobs: int = 1
    device: str = "auto"
    fail_fast: bool = False
    retry_failed: bool = False
