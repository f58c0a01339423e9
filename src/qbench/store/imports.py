"""Other tools' results as a run: a journal like any other's, that says where its values are from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from qbench.errors import StoreError
from qbench.exchange import ImportedCell, ImportedResults
from qbench.metric import Scope
from qbench.plan import OperatingPoint, Plan, PlannedImage, PlannedMetric, content_key
from qbench.records import IMPORTED, CellRecord, PlanRecord, ScoreRecord, SessionRecord, Timing
from qbench.store.folder import RunFolder, now
from qbench.store.state import score_key


def write_imported(folder: RunFolder, results: ImportedResults, origin: Mapping[str, Any]) -> None:
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
    session = SessionRecord(id=IMPORTED, at=now(), provenance={IMPORTED: dict(origin), "notes": list(results.notes)})
    records = [session, PlanRecord(at=now(), base=plan.key(), plan=plan.to_json())]
    with folder.locked(), folder.writing() as journal:
        journal.append([*records, *_records(plan, results)])
        folder.write_provenance(session.provenance)


def point_id(cell: ImportedCell) -> str:
    """Return the operating point's id: ``jpeg:quality=40``."""
    settings = ",".join(f"{name}={value}" for name, value in cell.settings.items())
    return f"{cell.codec}:{settings}" if settings else cell.codec


def _plan(results: ImportedResults, origin: Mapping[str, Any]) -> Plan:
    points: dict[str, OperatingPoint] = {}
    for cell in results.cells:
        name = point_id(cell)
        identity = {IMPORTED: dict(origin), "parameters": dict(cell.settings)}
        settings = dict(cell.settings)
        points.setdefault(
            name, OperatingPoint(name, cell.codec, cell.codec, settings, settings, "", identity, "", True, "cpu")
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
        PlannedImage(name, name, content_key(IMPORTED, dict(origin), name), width, height)
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


def _records(plan: Plan, results: ImportedResults) -> Iterator[CellRecord | ScoreRecord]:
    given: dict[tuple[str, str], ImportedCell] = {}
    for cell in results.cells:
        place = (cell.image, point_id(cell))
        if place in given:
            raise StoreError(f"{results.name}: {place[0]} at {place[1]} is there twice")
        given[place] = cell
    for image in plan.images:
        for point in plan.points:
            yield from _cell_records(plan, image, point, given.get((image.name, point.id)))


def _cell_records(
    plan: Plan, image: PlannedImage, point: OperatingPoint, given: ImportedCell | None
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
                encode=encode, decode=decode, repeats=1, warmup=0, threads=0, beside="measured by another tool"
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
