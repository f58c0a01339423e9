"""Finding runs: by folder, by name below ``runs/``, by the name of their suite."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qbench.errors import QbenchError, StoreError
from qbench.results.run import Run
from qbench.store.folder import RunFolder

RUNS = Path("runs")
"""Where runs go unless told otherwise, below the working directory."""
AnyRun = Run | str | Path
"""A run, its folder, or its name below ``runs/``."""


def opened(run: AnyRun) -> Run:
    """Return a run that is given as such, or as its path or name."""
    return run if isinstance(run, Run) else read_run(run)


def all_opened(runs: AnyRun | Sequence[AnyRun]) -> list[Run]:
    """Return runs, of which there may be only one.

    Raises:
        QbenchError: there is none.
    """
    found = [opened(run) for run in ([runs] if isinstance(runs, (Run, str, Path)) else runs)]
    if not found:
        raise QbenchError("no runs are given")
    return found


def read_run(run: AnyRun) -> Run:
    """Read a run from its folder; one that is loaded already again, with what was measured since.

    Raises:
        StoreError: there is none.
    """
    folder = folder_of(run)
    return Run(folder.path, folder.load())


def folder_of(run: AnyRun) -> RunFolder:
    """Return the folder of a run.

    Raises:
        StoreError: there is none.
    """
    return RunFolder(run.path if isinstance(run, Run) else find_run(run))


def find_run(name: str | Path) -> Path:
    """Return the folder that a run's path or name means."""
    path = Path(name)
    if RunFolder(path).exists():
        return path
    if RunFolder(RUNS / path).exists():
        return RUNS / path
    named = [folder for folder in RUNS.glob(f"{path.name}-*") if RunFolder(folder).exists()]
    named = [folder for folder in named if folder.name.rpartition("-")[0] == path.name]
    if named and path.name == str(name):
        return max(named, key=lambda folder: RunFolder(folder).journal_path.stat().st_mtime)
    available = ", ".join(sorted(folder.name for folder in RUNS.glob("*") if RunFolder(folder).exists())) or "none"
    raise StoreError(f"{name}: no run in this folder, nor a run of that name in {RUNS}/ (available: {available})")
