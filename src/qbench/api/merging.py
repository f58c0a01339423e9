"""Putting a run together that was measured in parts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

from qbench.api.finding import AnyRun, all_opened
from qbench.api.run import Run
from qbench.api.running import RunOptions, go_on
from qbench.execute.work import Notice
from qbench.store.merging import merge_runs


def merge(runs: AnyRun | Sequence[AnyRun], output: str | Path, **options: Unpack[RunOptions]) -> Run:
    """Put the parts of a run together, as shards are; then score what all of its images are needed for.

    What several parts measured must be equal (bitstreams, reconstructions, values); of what failed in one, the other's
    is taken. Times are those of the first that is given.

    Args:
        runs: the parts, or their paths or names. They stay as they are.
        output: folder for the whole; must not exist, or be empty.
        options: as for :func:`run`, for distribution metrics, which are computed once all cells are there.

    Raises:
        QbenchError: they are not parts of one run, or differ where they overlap; the folder can't be written.
        TypeError: an unknown option.
    """
    found = all_opened(runs)
    listener = options.get("on_event") or (lambda event: None)
    folder = merge_runs([each.path for each in found], Path(output), lambda text: listener(Notice(text)))
    made = Run(folder.path, folder.load())
    return go_on(made, **options) if made.measured() and not made.complete else made
