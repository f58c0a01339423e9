"""How much a call may take, and how much a station does."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from qbench.planning.types import OperatingPoint, Plan, PlannedMetric

LEAST_FREE = 256 * 2**20
"""Bytes; with less free memory, a machine is about to stall."""
PROC = Path("/proc")
SECONDS = 3600.0
"""One call may take, unless a suite says otherwise: a GAN inversion of thousands of iterations takes minutes."""
SHARE = 0.8
"""Of the machine's memory that one call may take."""


@dataclass(frozen=True)
class Limits:
    """What one call of a codec or metric may take: seconds, and bytes of memory of its process and their children."""

    seconds: float
    memory: int


def limits_of(plan: Plan, planned: OperatingPoint | PlannedMetric | None) -> Limits:
    """Return what a call of a planned codec or metric may take; None: of what is neither."""
    own = planned.limits if isinstance(planned, OperatingPoint) else {}
    given = {**plan.limits, **own}
    return Limits(given.get("seconds", SECONDS), int(given.get("memory", SHARE * machine_memory())))


@cache
def machine_memory() -> int:
    """Return the bytes of memory that this process may use at all: the machine's, or its container's."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")] if hasattr(os, "sysconf") else [2**40]
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            text = Path(name).read_text().strip()
        except OSError:
            continue
        if text.isdigit():
            found.append(int(text))
    return min(found)


def free_memory() -> int | None:
    """Return the bytes that are free, or can be freed at once; None where that can't be known."""
    try:
        lines = (PROC / "meminfo").read_text().splitlines()
    except OSError:
        return None
    found = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")]
    return found[0] if found else None


def held_memory(pid: int) -> int:
    """Return the bytes that a process and its children hold; of files that they only read nothing is counted."""
    return sum(_held(each) for each in (pid, *descendants(pid)))


def processes_marked(name: str, value: str) -> list[int]:
    """Return the processes that have a variable in their environment, as far as that can be seen (on Linux)."""
    wanted = f"{name}={value}".encode()
    found = []
    for entry in PROC.iterdir() if sys.platform == "linux" else ():
        if entry.name.isdigit():
            try:
                variables = (entry / "environ").read_bytes().split(b"\0")
            except OSError:  # another user's, or gone
                continue
            if wanted in variables:
                found.append(int(entry.name))
    return found


def _held(pid: int) -> int:
    try:
        lines = (PROC / str(pid) / "status").read_text().splitlines()
        return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith(("RssAnon", "RssShmem", "VmSwap")))
    except (OSError, ValueError, IndexError):
        return 0


def parent_of(pid: int) -> int | None:
    """Return the process that a process is a child of; None where that can't be known, or where it has ended."""
    try:
        state, parent = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[:2]
        return None if state in "ZX" else int(parent)
    except (OSError, ValueError, IndexError):
        return None


def children(pid: int) -> list[int]:
    """Return the processes that a process has started, or adopted, and that are there still."""
    try:
        found = [(task / "children").read_text() for task in (PROC / str(pid) / "task").iterdir()]
        return [int(child) for text in found for child in text.split()]
    except (OSError, ValueError):
        return []


def descendants(pid: int) -> list[int]:
    """Return the processes that a process has started, and those that they have, as far as they are still its own."""
    return [each for child in children(pid) for each in (child, *descendants(child))]
