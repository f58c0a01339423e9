"""The execute room: coding, scoring, timing, and who does it. It never prints."""

from qbench.execute.events import CellStarted, Event, Notice, Progress, Recorded, ScoringStarted
from qbench.execute.executors import Stop
from qbench.execute.explaining import explain_cells, original
from qbench.execute.options import Options
from qbench.execute.session import Session

__all__ = [
    "CellStarted",
    "Event",
    "Notice",
    "Options",
    "Progress",
    "Recorded",
    "ScoringStarted",
    "Session",
    "Stop",
    "explain_cells",
    "original",
]
