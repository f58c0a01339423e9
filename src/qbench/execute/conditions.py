"""The conditions that coding times were taken under, and whether those of another run will do here."""

from __future__ import annotations

from qbench.contracts.codec import Codec
from qbench.execute.provenance import processor
from qbench.execute.work import TimingPlan
from qbench.planning.types import OperatingPoint
from qbench.records import CellRecord, SessionRecord

EXCLUSIVE = "exclusive"
"""Load of a session that does nothing else while it codes."""


def load_of(jobs: int) -> str:
    """Return what else runs while a cell is timed, in words."""
    return EXCLUSIVE if jobs == 1 else f"up to {jobs - 1} other call{'s' if jobs > 2 else ''}"


def timed_as_asked(record: CellRecord, codec: type[Codec], asked: TimingPlan, *, exclusive: bool) -> bool:
    """Whether a cell was timed at least as carefully as a suite asks; its bytes alone won't do.

    Args:
        exclusive: whether it asks for times with nothing beside them.
    """
    timing = record.timing
    if timing is None:
        return False
    threads = min(codec.threads or asked.threads, asked.threads)
    if exclusive and not (timing.concurrent_load == EXCLUSIVE and timing.threads == threads):
        return False
    return timing.most_repeats >= asked.repeats and timing.budget >= asked.budget


def measured_here(session: SessionRecord | None, point: OperatingPoint, device: str) -> bool:
    """Whether a session worked on such a processor, and on such a device if the codec uses one, as works here."""
    measured_on = {} if session is None else session.provenance
    here = {"processor": processor()}
    if point.runs_on == "accelerator":
        here["device_name"] = device
    return all(measured_on.get(key) == value for key, value in here.items())
