"""Runs: finding and loading them, and exchanging results with other tools."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from qbench.api.finding import RUNS, AnyRun, folder_of, opened
from qbench.api.run import Run
from qbench.errors import QbenchError, StoreError
from qbench.planning.types import Plan
from qbench.registry.registry import Registry, default_registry
from qbench.store.copying import RECORDS, copy_run
from qbench.store.exports import write_results
from qbench.store.folder import RunFolder
from qbench.store.imports import listed, merged, read_results, write_imported


def load_run(run: AnyRun) -> Run:
    """Load a run from its folder, from its name below ``runs/``, or the latest run of a suite by the suite's name.

    A run that is loaded already is read again, with what was measured since.

    Raises:
        StoreError: there is none.
    """
    folder = folder_of(run)
    return Run(folder.path, folder.load())


def runs(notice: Callable[[str], None] = lambda text: None) -> list[Run]:
    """Return the runs below ``runs/``, the most recently measured first.

    Args:
        notice: called with what can't be read, which is omitted.
    """
    found = []
    for folder in (RunFolder(path) for path in RUNS.glob("*")):
        if folder.exists():
            try:
                found.append(Run(folder.path, folder.load()))
            except StoreError as error:
                notice(f"omitted: {error}")
    return sorted(found, key=lambda run: max((each.at for each in run.sessions), default=""), reverse=True)


def import_results(
    paths: str | Path | Sequence[str | Path],
    name: str | Path,
    *,
    form: str | None = None,
    registry: Registry | None = None,
) -> Run:
    """Make a run of other tools' result files.

    Args:
        paths: the file or files, or an index that lists some; what they hold becomes one run, so that codecs in
            several files can be compared.
        name: of the run, below ``runs/``, or a path of its folder.
        form: name of the format; by default the first that recognises a file.

    Raises:
        QbenchError: a file can't be read or is of no known format; such a run exists already.
    """
    registry = registry or default_registry()
    files = [paths] if isinstance(paths, (str, Path)) else paths
    if not files:
        raise QbenchError("no files are given")
    found = [each for path in files for each in listed(Path(path), registry, form)]
    read = [read_results(path, registry, form) for path in found]
    folder = RunFolder(RUNS / name if Path(name).name == str(name) else Path(name))
    write_imported(folder, merged([results for results, _ in read]), {"files": [origin for _, origin in read]})
    return Run(folder.path, folder.load())


def export(run: AnyRun, form: str, output: str | Path, *, registry: Registry | None = None) -> list[Path]:
    """Write a run in another tool's format.

    Args:
        run: the run, or its path or name.
        form: name of the format.
        output: folder for the files; made if need be.

    Raises:
        QbenchError: no such format, nothing that it can hold, or a file can't be written.
    """
    return write_results(opened(run), registry or default_registry(), form, Path(output))


def export_baseline(run: AnyRun, output: str | Path) -> Path:
    """Write the records of a run (journal, provenance, suite), which is all that :func:`compare` needs of a baseline.

    Args:
        output: folder, which must not exist yet or be empty.

    Raises:
        QbenchError: no such run, or the folder can't be written.
    """
    return copy_run(RunFolder(opened(run).path), Path(output), RECORDS).path


def default_folder(plan: Plan, shard: str = "") -> Path:
    """Return the run folder that belongs to a plan, or to a shard of it."""
    safe = "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in plan.suite).strip(".")
    ending = f"-shard-{shard.replace('/', '-of-')}" if shard else ""
    return RUNS / f"{safe or 'run'}-{plan.key()[:6]}{ending}"
