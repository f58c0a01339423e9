"""Other tools' result files become runs: a journal like any other's, that says where its values are from."""

from __future__ import annotations

import hashlib
import json
import math
import stat
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from qbench.contracts.exchange import ExchangedCell, ExchangedResults, Format
from qbench.contracts.metric import Column, Scope, range_text
from qbench.errors import PluginError, QbenchError, StoreError
from qbench.planning.types import OperatingPoint, Plan, PlannedImage, PlannedMetric, content_key
from qbench.records import IMPORTED, CallTiming, CellRecord, PlanRecord, ScoreRecord, SessionRecord, Timing
from qbench.registry.registry import Registry
from qbench.results.state import score_key
from qbench.store.folder import RunFolder, now

T = TypeVar("T")
MOST = 1e12
"""No measure of images is larger."""
ROUNDING = 1e-5
LARGEST = 200_000_000
"""Bytes of the largest file that is read."""


def listed(path: Path, registry: Registry, form: str | None) -> list[Path]:
    """Return the files that an index lists; the file itself if it is none.

    Raises:
        QbenchError: it can't be read, or lists a file outside its folder.
    """
    document = parse_json(path, read_given(path))
    for name in registry.formats if form is None else [form]:
        names = ask_format(registry, name, path, lambda made: list(made.lists(document)))
        found = [path.parent / each for each in names]
        for each in found:
            if not each.resolve().is_relative_to(path.parent.resolve()):
                raise StoreError(f"{path}: lists {each}, which is not in its folder; name the files themselves")
        if found:
            return found
    return [path]


def read_results(path: Path, registry: Registry, form: str | None) -> tuple[ExchangedResults, dict[str, Any]]:
    """Read a file.

    Args:
        form: name of its format; None asks every format whether it knows the file.

    Returns:
        The results, and where they come from: format, file's name and SHA-256.

    Raises:
        QbenchError: it can't be read, is malformed, or of no known format.
    """
    data = read_given(path)
    document = parse_json(path, data)
    if form is None:
        named = [
            name
            for name in registry.formats
            if ask_format(registry, name, path, lambda made: made.recognises(document))
        ]
        if not named:
            known = ", ".join(registry.formats) or "none"
            raise StoreError(f"{path}: no known format recognises it (known: {known}); see `qbench plugins`")
        form = named[0]
    results = ask_format(registry, form, path, lambda made: made.read(document, path.stem))
    return results, {"format": form, "file": path.name, "sha256": hashlib.sha256(data).hexdigest()}


def read_given(path: Path) -> bytes:
    """Read a file that somebody gave.

    Raises:
        StoreError: it can't be read, or is too large.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise StoreError(f"{path}: can't read: not a regular file")
        if status.st_size > LARGEST:
            raise StoreError(f"{path}: larger than {LARGEST // 1_000_000} MB; not read")
        return path.read_bytes()
    except OSError as error:
        raise StoreError(f"{path}: can't read: {error.strerror or error}") from error


def parse_json(path: Path, data: bytes) -> Any:
    """Return what a file of JSON holds.

    Raises:
        StoreError: it is no strict JSON, or has a key twice.
    """
    try:
        return json.loads(data, parse_constant=_constant, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{path}: not JSON: {error}") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key in found if sum(other == key for other, _ in pairs) > 1)
        raise ValueError(f"the key {twice!r:.60} is there twice")
    return found


def merged(several: Sequence[ExchangedResults]) -> ExchangedResults:
    """Return results of several files as one. Codecs of the same name are numbered by file.

    Raises:
        StoreError: an image has another size or number of frames in another file, or a column means something else.
    """
    images: dict[str, tuple[int, int]] = {}
    columns: dict[str, Column] = {}
    frames: dict[str, int] = {}
    cells: list[ExchangedCell] = []
    seen: dict[str, int] = {}
    for place, results in enumerate(several):
        for name, size in results.images.items():
            if images.setdefault(name, size) != size:
                raise StoreError(f"image {name} has {images[name]} pixels in one file and {size} in another")
            count = results.frames.get(name, 1)
            if frames.setdefault(name, count) != count:
                raise StoreError(f"image {name} has {frames[name]} frames in one file and {count} in another")
        for column in results.columns:
            known = columns.setdefault(column.name, column)
            if (known.direction, known.unit) != (column.direction, column.unit):
                raise StoreError(f"column {column.name} means something else in another file")
        renamed = {
            codec: codec if seen.setdefault(codec, place) == place else f"{codec} ({place + 1})"
            for codec in dict.fromkeys(cell.codec for cell in results.cells)
        }
        cells += [replace(cell, codec=renamed[cell.codec]) for cell in results.cells]
    return ExchangedResults(
        " + ".join(dict.fromkeys(results.name for results in several)),
        images,
        list(columns.values()),
        cells,
        "; ".join(dict.fromkeys(results.description for results in several if results.description)),
        list(dict.fromkeys(rate for results in several for rate in results.rates)),
        [note for results in several for note in results.notes],
        frames,
        "; ".join(dict.fromkeys(results.averaging for results in several if results.averaging)),
    )


def write_imported(folder: RunFolder, results: ExchangedResults, origin: Mapping[str, Any]) -> None:
    """Write results as a run.

    Args:
        folder: where no run is yet.
        origin: format and files that they come from, for the provenance.

    Raises:
        StoreError: the folder holds a run already or can't be written; the results contradict themselves.
    """
    if folder.exists():
        raise StoreError(f"{folder.path}: holds a run already; choose another name with --as")
    plan = _plan(results, origin)
    session = SessionRecord(
        id=IMPORTED,
        at=now(),
        provenance={IMPORTED: dict(origin), "notes": list(results.notes), "averaging": results.averaging},
    )
    # All of it before anything is written: what contradicts itself must not leave a folder behind.
    records = [session, PlanRecord(at=now(), base=plan.key(), plan=plan.to_json()), *_records(plan, results)]
    with folder.locked(), folder.writing() as journal:
        journal.append(records)
        folder.write_provenance(session.provenance)


def point_id(cell: ExchangedCell) -> str:
    """Return the operating point's id: ``jpeg:quality=40``."""
    settings = ",".join(f"{name}={value}" for name, value in cell.settings.items())
    return f"{cell.codec}:{settings}" if settings else cell.codec


def _plan(results: ExchangedResults, origin: Mapping[str, Any]) -> Plan:
    points: dict[str, OperatingPoint] = {}
    for cell in results.cells:
        name = point_id(cell)
        identity = {IMPORTED: dict(origin), "parameters": dict(cell.settings)}
        settings = dict(cell.settings)
        points.setdefault(
            name, OperatingPoint(name, cell.codec, cell.codec, settings, settings, "", identity, "", "cpu")
        )
    metrics = [
        PlannedMetric(
            column.name,
            column.name,
            {},
            "",
            {IMPORTED: dict(origin)},
            Scope.RATE if column.name in results.rates else Scope.FULL_REFERENCE,
            (column,),
        )
        for column in results.columns
    ]
    images = [
        PlannedImage(
            name, name, content_key(IMPORTED, dict(origin), name), width, height, frames=results.frames.get(name, 1)
        )
        for name, (width, height) in results.images.items()
    ]
    return Plan(
        results.name,
        results.description,
        IMPORTED,
        0,
        {"bitstreams": False, "reconstructions": False},
        {},
        tuple(images),
        tuple(points.values()),
        tuple(metrics),
        "",
    )


def _records(plan: Plan, results: ExchangedResults) -> Iterator[CellRecord | ScoreRecord]:
    given: dict[tuple[str, str], ExchangedCell] = {}
    for cell in results.cells:
        place = (cell.image, point_id(cell))
        if place in given:
            raise StoreError(f"{results.name}: {place[0]} at {place[1]} is duplicated")
        _require_possible(results, cell, place)
        given[place] = cell
    for image in plan.images:
        for point in plan.points:
            yield from _cell_records(plan, image, point, given.get((image.name, point.id)))


def _require_possible(results: ExchangedResults, cell: ExchangedCell, place: tuple[str, str]) -> None:
    """Refuse what no codec could have done.

    Raises:
        StoreError: no bytes, no rate, times below zero, or values that are not of the column.
    """
    where = f"{results.name}: {place[0]} at {place[1]}"
    if cell.size is not None and cell.size < 1:
        raise StoreError(f"{where} has a bitstream of {cell.size} bytes")
    for name in results.rates:
        value = cell.values.get(name)
        if value is not None and not 0 < value < math.inf:
            raise StoreError(f"{where} has a rate of {value:g} ({name})")
    for column in results.columns:
        value = cell.values.get(column.name)
        if value is None or not math.isfinite(value):
            continue
        low = -MOST if column.lower is None else column.lower
        high = MOST if column.upper is None else column.upper
        if not low - ROUNDING <= value <= high + ROUNDING:
            raise StoreError(
                f"{where} has a `{column.name}` of {value:g}, outside of {range_text(column)}: another measure"
            )
    for name, seconds in (("encoding", cell.encode), ("decoding", cell.decode)):
        if seconds is not None and seconds < 0:
            raise StoreError(f"{where} has an {name} time of {seconds:g} s")


def _cell_records(
    plan: Plan, image: PlannedImage, point: OperatingPoint, given: ExchangedCell | None
) -> Iterator[CellRecord | ScoreRecord]:
    common: dict[str, Any] = {"image": image.name, "point": point.id, "session": IMPORTED, "at": now()}
    if given is None:
        yield CellRecord(
            key=plan.cell_key(image, point), outcome="not-applicable", reason="not in the imported results", **common
        )
        return
    timing = None
    if given.encode is not None or given.decode is not None:
        encode, decode = (math.nan if each is None else each for each in (given.encode, given.decode))
        if math.isfinite(encode) and math.isfinite(decode):
            timing = Timing(
                encode=CallTiming(seconds=encode, repeats=1, warmup=0),
                decode=CallTiming(seconds=decode, repeats=1, warmup=0),
                threads=0,
                concurrent_load="measured by another tool",
            )
    cell = CellRecord(
        key=plan.cell_key(image, point), outcome="coded", bitstream_size=given.size, timing=timing, **common
    )
    yield cell
    for metric in plan.metrics:
        value = given.values.get(metric.label)
        there = value is not None and not math.isnan(value)
        yield ScoreRecord(
            key=score_key(plan, metric, image, cell),
            metric=metric.label,
            outcome="scored" if there else "not-applicable",
            values={metric.label: value} if there and value is not None else {},
            reason="" if there else "no value in the imported results",
            **common,
        )


def ask_format(registry: Registry, form: str, path: Path, ask: Callable[[Format], T]) -> T:
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


def _constant(name: str) -> float | None:
    """NaN is no value; infinity is one (the PSNR of identical images)."""
    return {"Infinity": float("inf"), "-Infinity": float("-inf")}.get(name)
