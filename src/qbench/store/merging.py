"""Putting together the parts of a run that were measured apart, by shards or by hand."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from qbench.errors import StoreError
from qbench.planning.types import Plan
from qbench.records import CellRecord, PlanRecord, ScoreRecord
from qbench.results.bulk import many_objects
from qbench.results.state import RunState
from qbench.store.folder import LOGS, RunFolder, now

P = TypeVar("P", bound=tuple[str, ...])
R = TypeVar("R", CellRecord, ScoreRecord)
MEASURED = {
    CellRecord: ("key", "outcome", "bitstream_size", "bitstream_sha256", "reconstruction_sha256", "found"),
    ScoreRecord: ("key", "outcome", "values", "absent"),
}
"""What has to be equal where two parts measured the same; times, for one, never are."""


@dataclass(frozen=True)
class _Part:
    folder: RunFolder
    state: RunState


def merge_runs(paths: Sequence[Path], target: Path, tell: Callable[[str], None] = lambda text: None) -> RunFolder:
    """Write a run that has the records and files of several, which are parts of the same.

    Args:
        paths: of run folders. None is changed.
        target: where the run is written; must not exist, or be empty.
        tell: takes what of a part could not be read.

    Raises:
        StoreError: they are of different plans, hold other bitstreams than were measured, or measured the same with
            different results; there is something at the target already, or it can't be written.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise StoreError(f"{target}: exists already; name a folder that doesn't")
    for path in paths:
        if target.resolve().is_relative_to(path.resolve()):
            raise StoreError(f"{target}: is inside of {path}, which stays as it is; name a folder elsewhere")
    with many_objects():
        parts = [_Part(RunFolder(path), RunFolder(path).load()) for path in paths]
        for part in parts:
            if part.state.damaged:
                lines = ", ".join(map(str, part.state.damaged[:5]))
                tell(f"{part.folder.journal_path}: damaged in line {lines}; what it had there is not merged")
        plan = _common_plan(parts)
        cells: dict[tuple[str, str], tuple[CellRecord, _Part]] = {}
        scores: dict[tuple[str, str, str], tuple[ScoreRecord, _Part]] = {}
        for part in parts:
            for record in part.state.cells:
                _add(cells, (record.image, record.point), record, part)
            for score in part.state.scores:
                _add(scores, (score.image, score.point, score.metric), score, part)
        folder = RunFolder(target)
        with folder.locked():  # whoever else writes there is left alone
            try:
                _write(parts, plan, cells, scores, folder)
            except BaseException:  # nothing that looks like a run is left behind
                shutil.rmtree(target, ignore_errors=True)
                raise
    return folder


def _write(
    parts: Sequence[_Part],
    plan: Plan,
    cells: dict[tuple[str, str], tuple[CellRecord, _Part]],
    scores: dict[tuple[str, str, str], tuple[ScoreRecord, _Part]],
    folder: RunFolder,
) -> None:
    _copy_files(parts, plan, cells, folder)
    first = parts[0].state.plan_record
    assert first is not None
    with folder.writing() as journal:  # last: until then there is no run
        journal.append([PlanRecord(at=now(), base=first.base, plan=plan.to_json())])
        sessions = {session.id: session for part in parts for session in part.state.sessions.values()}
        journal.append([*sessions.values(), *(record for record, _ in cells.values())])
        journal.append([record for record, _ in scores.values()])
    folder.write_file(folder.path / "suite.yaml", plan.suite_text.encode())
    if sessions:
        folder.write_provenance(max(sessions.values(), key=lambda session: session.at).provenance)


def _common_plan(parts: Sequence[_Part]) -> Plan:
    """Return the plan of all parts, with the metrics that any of them has."""
    first = parts[0]
    plan = first.state.plan
    for part in parts[1:]:
        other = part.state.plan
        assert part.state.plan_record is not None
        assert first.state.plan_record is not None
        if part.state.plan_record.base != first.state.plan_record.base:
            raise StoreError(
                f"{part.folder.path} is no part of the run in {first.folder.path}: images, codecs, metrics, settings "
                "or library versions differ (`qbench compare` says in what)"
            )
        known = {metric.label: metric for metric in plan.metrics}
        for metric in other.metrics:
            if metric.label not in known:
                plan = replace(plan, metrics=(*plan.metrics, metric))
            elif known[metric.label].identity != metric.identity:
                raise StoreError(
                    f"{part.folder.path} was scored by another `{metric.label}` than {first.folder.path}: settings or "
                    "versions differ"
                )
    return plan


def _add(found: dict[P, tuple[R, _Part]], place: P, record: R, part: _Part) -> None:
    """Take a record in, if it is the first of its place, or the first that did not fail.

    Raises:
        StoreError: another part has it differently.
    """
    before, other = found.get(place, (None, None))
    if before is None or other is None or (before.outcome == "failed" and record.outcome != "failed"):
        found[place] = record, part
        return
    if record.outcome == "failed":
        return
    differ = [name for name in MEASURED[type(record)] if getattr(before, name) != getattr(record, name)]
    if differ:
        name = differ[0]
        raise StoreError(
            f"{' · '.join(each for each in place if each)}: {name} is {getattr(before, name)} in {other.folder.path}, "
            f"and {getattr(record, name)} in {part.folder.path}; parts of one run measure the same"
        )


def _copy_files(
    parts: Sequence[_Part], plan: Plan, cells: dict[tuple[str, str], tuple[CellRecord, _Part]], folder: RunFolder
) -> None:
    points = {point.id: point for point in plan.points}
    per_point = [metric.label for metric in plan.metrics if metric.per_point]
    originals = [(label, None, image.name) for label in per_point for image in plan.images]
    for record, own in cells.values():
        point = points[record.point]
        having = [own, *(part for part in parts if part is not own)]
        _copy_first([part.folder.bitstream_path(point, record.image) for part in having], having, folder, record)
        image = record.image
        _copy_first([part.folder.reconstruction_path(point, image) for part in having], having, folder)
        for artifact in record.artifacts:
            _copy_first([part.folder.artifact_path(point, image, artifact.name) for part in having], having, folder)
        for label in per_point:
            _copy_first([part.folder.features_path(label, point, image) for part in having], having, folder)
    for part in parts:
        for given in originals:
            _copy(part.folder.features_path(*given), part.folder, folder)
    for number, part in enumerate(parts, start=1):
        for path in _files(part.folder.path / LOGS):
            if path.stat().st_size:
                _copy(path, part.folder, folder, f"{LOGS}/{number}-{path.name}")


def _copy_first(
    paths: Sequence[Path], parts: Sequence[_Part], folder: RunFolder, record: CellRecord | None = None
) -> None:
    """Copy a file from the first part that has it.

    Args:
        record: whose bitstream it is; one that is not what was measured is not taken.

    Raises:
        StoreError: those that have it have another than was measured.
    """
    altered: list[Path] = []
    for path, part in zip(paths, parts, strict=True):
        data = part.folder.read_file(path) if record is not None else None
        if record is not None and data is not None and hashlib.sha256(data).hexdigest() != record.bitstream_sha256:
            altered.append(path)
            continue
        if _copy(path, part.folder, folder):
            return
    if altered:
        raise StoreError(f"{altered[0]}: is not the bitstream that was measured; `qbench verify` tells what is")


def _files(folder: Path) -> Iterator[Path]:
    yield from sorted(path for path in folder.glob("*.log") if path.is_file() and not path.is_symlink())


def _copy(path: Path, source: RunFolder, folder: RunFolder, name: str = "") -> bool:
    """Copy a file; return whether it is there.

    Raises:
        StoreError: a link leads out of its run's folder, or it can't be copied.
    """
    target = folder.path / (name or path.relative_to(source.path))
    if not path.is_file():
        return False
    source.require_inside(path)
    if target.exists():
        return True
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    except OSError as error:
        raise StoreError(f"{target}: can't copy: {error.strerror or error}") from error
    return True
