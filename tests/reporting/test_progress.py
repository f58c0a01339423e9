from __future__ import annotations

import io

from rich.console import Console

from qbench.execute.work import CellStarted, Notice, Progress, Recorded, ScoringStarted
from qbench.records import CellRecord, Failure, ScoreRecord
from qbench.reporting.progress import RunDisplay

FIELDS = {"key": "k", "image": "face", "point": "jpeg:quality=5", "session": "s", "at": "t"}
CODED = CellRecord(**FIELDS, outcome="coded")
FAILED = CellRecord(
    **FIELDS, outcome="failed", failure=Failure(plugin="codec jpeg", error="E", message="boom [bold]\nmore")
)
SCORED = ScoreRecord(**FIELDS, metric="psnr", outcome="scored", values={"psnr": 1})
EVENTS = [
    Progress(4, 1, 8, 2),
    CellStarted("face", "jpeg:quality=5"),
    Recorded((CODED,)),
    ScoringStarted("face", "psnr"),
    Recorded((SCORED,)),
    Recorded((FAILED,)),
    Notice("a worker died"),
]


def shown(*, terminal):
    console = Console(file=io.StringIO(), width=120, force_terminal=terminal, color_system=None)
    with RunDisplay(console) as display:
        for event in EVENTS:
            display.on_event(event)
        if terminal:
            display._progress.refresh()
    return console.file.getvalue()


def test_a_plain_log_where_there_is_no_terminal():
    assert shown(terminal=False).splitlines() == [
        "1 of 4 cells and 2 of 8 scores already done",
        "failed: face · jpeg:quality=5 · codec jpeg: boom [bold]",
        "a worker died",
        "3/4 cells, 5/8 scores, 1 failed",
    ]


def test_a_live_display_on_a_terminal():
    text = shown(terminal=True)
    assert "coded" in text
    assert "3/4" in text
    assert "5/8" in text
    assert "face · psnr" in text
    assert "failed: face · jpeg:quality=5" in text
