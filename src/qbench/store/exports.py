"""Runs in the formats of other tools."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from qbench.contracts.exchange import ExchangedCell, ExchangedResults
from qbench.errors import QbenchError, StoreError
from qbench.registry.registry import Registry
from qbench.results.run import Run, Status
from qbench.store.imports import ask_format


def write_results(run: Run, registry: Registry, form: str, folder: Path) -> list[Path]:
    """Write a run in another tool's format into a folder, which is made if need be, and return the files.

    Raises:
        QbenchError: no such format, nothing that it can hold, or a file can't be written.
    """
    registry.formats.offer(form)
    results = exchanged(run)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{folder}: can't write: {error.strerror or error}") from error
    return ask_format(registry, form, folder, lambda made: made.write(results, folder))


def exchanged(run: Run) -> ExchangedResults:
    """Return what formats are given of a run: its coded cells with the columns that have a value for each.

    Raises:
        QbenchError: no cell was coded.
    """
    plan = run.plan
    cells = []
    for row in run.rows:
        if row.cell is None or row.status is not Status.OK:
            continue
        timing = row.cell.timing
        cells.append(
            ExchangedCell(
                row.image,
                row.codec,
                row.swept,
                {name: entry.value for name, entry in row.entries.items()},
                row.cell.bitstream_size,
                None if timing is None else timing.encode.seconds,
                None if timing is None else timing.decode.seconds,
                row.rate,
            )
        )
    if not cells:
        raise QbenchError(f"{run.name}: no cell was coded; there is nothing to write")
    libraries = {
        point.label: ", ".join(f"{name} {version}" for name, version in point.libraries.items()) or point.codec
        for point in plan.points
    }
    return ExchangedResults(
        run.name,
        {image.name: (image.width, image.height) for image in plan.images},
        [replace(column, name=name) for name, column in run.cell_columns.items()],
        cells,
        plan.description.strip(),
        [name for name in run.cell_columns if name in run.rate_columns],
        frames={image.name: image.frames for image in plan.images if image.frames > 1},
        measured_at=max((session.at for session in run.sessions), default=""),
        libraries=libraries,
    )
