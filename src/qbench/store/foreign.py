"""Other tools' files, read by the format that knows them."""

from __future__ import annotations

import hashlib
import json
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qbench.errors import PluginError, QbenchError, StoreError
from qbench.exchange import ImportedCell, ImportedResults
from qbench.metric import Column
from qbench.registry import Registry

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
        named = [name for name, cls in registry.formats.items() if cls().recognises(document)]
        if not named:
            known = ", ".join(registry.formats) or "none"
            raise StoreError(f"{path}: no known format recognises it (known: {known}); see `qbench plugins`")
        form = named[0]
    offer = registry.formats.offer(form)
    try:
        results = offer.cls().read(document, path.stem)
    except QbenchError as error:
        raise StoreError(f"{path}: {error}") from error
    except Exception as error:
        raise PluginError(f"format {form}, plugin {offer.plugin}: {path}:\n{traceback.format_exc()}") from error
    return results, {"format": form, "file": path.name, "sha256": hashlib.sha256(data).hexdigest()}


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
