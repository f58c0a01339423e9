"""Other tools' files, read and written by the format that knows them."""

from __future__ import annotations

import hashlib
import json
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from qbench.errors import PluginError, QbenchError, StoreError
from qbench.exchange import Format, ImportedCell, ImportedResults
from qbench.metric import Column
from qbench.registry import Registry

if TYPE_CHECKING:
    from qbench.results import Run

T = TypeVar("T")
LARGEST = 200_000_000
"""Bytes of a file that is read."""


def read_results(path: Path, registry: Registry, form: str | None) -> tuple[ImportedResults, dict[str, Any]]:
    """Read a file.

    Args:
        form: name of its format; None asks every format whether it knows the file.

    Returns:
        The results, and where they come from: format, file's name and SHA-256.

    Raises:
        QbenchError: it can't be read, is malformed, or of no known format.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise StoreError(f"{path}: larger than {LARGEST // 1_000_000} MB; not read")
        data = path.read_bytes()
    except OSError as error:
        raise StoreError(f"{path}: can't read: {error.strerror or error}") from error
    try:
        document = json.loads(data, parse_constant=_constant)
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{path}: not JSON: {error}") from error
    if form is None:
        named = [
            name for name in registry.formats if _asked(registry, name, path, lambda made: made.recognises(document))
        ]
        if not named:
            known = ", ".join(registry.formats) or "none"
            raise StoreError(f"{path}: no known format recognises it (known: {known}); see `qbench plugins`")
        form = named[0]
    results = _asked(registry, form, path, lambda made: made.read(document, path.stem))
    return results, {"format": form, "file": path.name, "sha256": hashlib.sha256(data).hexdigest()}


def write_results(run: Run, registry: Registry, form: str, folder: Path) -> list[Path]:
    """Write a run in another tool's format into a folder, which is made if need be, and return the files.

    Raises:
        QbenchError: no such format, nothing that it can hold, or a file can't be written.
    """
    registry.formats.offer(form)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{folder}: can't write: {error.strerror or error}") from error
    return _asked(registry, form, folder, lambda made: made.write(run, folder))


def _asked(registry: Registry, form: str, path: Path, ask: Callable[[Format], T]) -> T:
    """Return what a format gives; what it raises names the file, and the plugin where it is the plugin's fault."""
    offer = registry.formats.offer(form)
    try:
        return ask(offer.cls())
    except QbenchError as error:
        raise StoreError(f"{path}: {error}") from error
    except OSError as error:
        raise StoreError(f"{path}: can't write: {error.strerror or error}") from error
    except Exception as error:
        raise PluginError(f"format {form}, plugin {offer.plugin}: {path}:\n{traceback.format_exc()}") from error


def merged(several: Sequence[ImportedResults]) -> ImportedResults:
    """Return results of several files as one. Codecs of one name in two files are told apart by the file's place.

    Raises:
        StoreError: an image has another size in another file, or a column means something else.
    """
    images: dict[str, tuple[int, int]] = {}
    columns: dict[str, Column] = {}
    cells: list[ImportedCell] = []
    seen: dict[str, int] = {}
    for place, results in enumerate(several):
        for name, size in results.images.items():
            if images.setdefault(name, size) != size:
                raise StoreError(f"image {name} has {images[name]} pixels in one file and {size} in another")
        for column in results.columns:
            known = columns.setdefault(column.name, column)
            if (known.direction, known.unit) != (column.direction, column.unit):
                raise StoreError(f"column {column.name} means something else in another file")
        renamed = {
            codec: codec if seen.setdefault(codec, place) == place else f"{codec} ({place + 1})"
            for codec in dict.fromkeys(cell.codec for cell in results.cells)
        }
        cells += [
            ImportedCell(
                cell.image, renamed[cell.codec], cell.settings, cell.values, cell.size, cell.encode, cell.decode
            )
            for cell in results.cells
        ]
    return ImportedResults(
        " + ".join(dict.fromkeys(results.name for results in several)),
        images,
        list(columns.values()),
        cells,
        "; ".join(dict.fromkeys(results.description for results in several if results.description)),
        list(dict.fromkeys(rate for results in several for rate in results.rates)),
        [note for results in several for note in results.notes],
    )


def _constant(name: str) -> float | None:
    """NaN is no value; infinity is one (the PSNR of identical images)."""
    return {"Infinity": float("inf"), "-Infinity": float("-inf")}.get(name)
