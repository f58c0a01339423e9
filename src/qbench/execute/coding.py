"""Coding: every cell of an image, one after another, from the original to a record and files in the run folder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from qbench.contracts.context import Context
from qbench.contracts.metric import Metric, Reference
from qbench.errors import ImageError, LostError, NotApplicable, StoreError
from qbench.execute.as_planned import as_planned
from qbench.execute.coder import Decoded, Encoded, PointCoder
from qbench.execute.rate_search import find_setting
from qbench.execute.scoring import batches, failed_score, make_metric, score_batches
from qbench.execute.sealed import Seal
from qbench.execute.stage import Stage
from qbench.execute.work import (
    CellStarted,
    CellWork,
    CodedImage,
    ContractError,
    ImageWork,
    Notice,
    Recorded,
    TimingPlan,
    WorkEvent,
    told,
)
from qbench.images.image import Image
from qbench.planning.types import OperatingPoint, PlannedImage, Target
from qbench.records import ArtifactNote, CellRecord, CodingCost, Failure, FoundSetting
from qbench.registry.registry import Registry
from qbench.store.folder import RunFolder, now

MOST_PIXELS = 2**26
"""Pixels of a group that is coded together: its images are in memory at the same time."""


class ImageCoder(Stage):
    """Codes images."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._coders: dict[tuple[str, float | None], PointCoder] = {}
        self._unusable: dict[tuple[str, float | None], Exception] = {}
        self._images: dict[str, Image] = {}
        self._ahead: dict[tuple[str, str], tuple[Encoded, Decoded]] = {}

    def close(self) -> list[Notice]:
        """Let codecs release what they took; return what went wrong."""
        failed = []
        for (point_id, _), coder in self._coders.items():
            error = coder.close()
            if error is not None:
                owner = self._plan.point(point_id).owner
                failed.append(Notice(f"{owner}: close failed: {type(error).__name__}: {error}"))
        self._coders.clear()
        return failed

    def code(self, work: ImageWork, coded: CodedImage) -> Iterator[WorkEvent]:
        """Code an image's cells, filling ``coded`` with what is to be scored. Stops between cells when asked to."""
        try:
            image = coded.image = self._images.pop(work.image.name, None) or read_original(work)
        except ImageError as error:
            failure = Failure(plugin=f"image {work.image.name}", error="ImageError", message=str(error))
            cells = [self._failed(work, cell, failure) for cell in work.cells if cell.coded is None]
            scores = [
                failed_score(self._plan, self._session, work.image, cell.coded, label, failure)
                for cell in work.cells
                if cell.coded is not None
                for label in cell.metrics
            ]
            yield Recorded((*cells, *scores))
            return
        seal = Seal([image])
        for cell in work.cells:
            if self._stopping():
                return
            if seal.broken():  # by a codec that failed besides
                image = coded.image = read_original(work)
                seal.replace(0, image)
            yield CellStarted(work.image.name, cell.point.id, self._worker)
            try:
                if cell.coded is None:
                    record, reconstruction = self._code_cell(work, cell, image)
                    if seal.broken():
                        # Whatever comes of it is not of this original; the next codec must get the right one.
                        image = coded.image = read_original(work)
                        seal.replace(0, image)
                        raise ContractError("writes to the image that it is given")
                else:
                    record, reconstruction = cell.coded, self._restore(work, cell, cell.coded, image)
            except NotApplicable as reason:
                if cell.coded is not None:
                    yield from self._unscorable(work, cell, cell.coded, Failure.of(cell.point.owner, reason))
                    continue
                record, reconstruction = self._record(work, cell, "not-applicable", reason=reason.reason), None
            except LostError as error:
                assert cell.coded is not None
                yield from self._unscorable(work, cell, cell.coded, Failure.of("run folder", error))
                continue
            except StoreError:
                raise
            except Exception as error:
                failure = Failure.of(cell.point.owner, error)
                if cell.coded is not None:  # what was measured stands, although it can't be had again here
                    yield from self._unscorable(work, cell, cell.coded, failure)
                    continue
                record, reconstruction = self._failed(work, cell, failure), None
            yield from told(self._notices)
            if cell.coded is None:
                yield Recorded((record,))
            if reconstruction is not None and cell.metrics:
                coded.waiting.append((cell, record, reconstruction))

    def _unscorable(self, work: ImageWork, cell: CellWork, coded: CellRecord, failure: Failure) -> Iterator[WorkEvent]:
        """Record why the missing scores of a cell that was coded before can't be computed here."""
        yield from told(self._notices)
        yield Recorded(
            tuple(failed_score(self._plan, self._session, work.image, coded, label, failure) for label in cell.metrics)
        )

    def _code_cell(self, work: ImageWork, cell: CellWork, image: Image) -> tuple[CellRecord, Image]:
        """Code one cell: search where there is a target, encode, decode with another instance, check, keep, record."""
        point, name = cell.point, work.image.name
        found = None if point.target is None else self._search(point, point.target, image)
        coder = self._coder(point, found)
        ahead = self._ahead.pop((name, point.id), None)
        encoded = ahead[0] if ahead else coder.encode(image)
        decoded = ahead[1] if ahead else coder.decode(encoded.bitstream, image)
        bitstream, reconstruction = encoded.bitstream, decoded.image
        if coder.lossless and not reconstruction.equals(image):
            wrong = int((reconstruction.pixels != image.pixels).any(axis=2).sum())
            raise ContractError(f"declared lossless, but {wrong} pixels differ after decoding")
        parts, cost = coder.parts(bitstream), coder.complexity(image)
        self._folder.write_file(self._folder.bitstream_path(point, name), bitstream)
        if self._plan.keep["reconstructions"]:
            self._folder.write_reconstruction(point, name, reconstruction)
        for artifact in encoded.artifacts:
            self._folder.write_file(self._folder.artifact_path(point, name, artifact.name), artifact.data)
        record = self._record(
            work,
            cell,
            "coded",
            bitstream_size=len(bitstream),
            bitstream_sha256=hashlib.sha256(bitstream).hexdigest(),
            reconstruction_sha256=reconstruction.digest,
            parts=parts,
            timing={
                "encode": encoded.timing,
                "decode": decoded.timing,
                "threads": min(coder.threads or self._timing.threads, self._timing.threads),
                "concurrent_load": self._timing.concurrent_load,
                "most_repeats": self._timing.repeats,
                "budget": self._timing.budget,
            },
            complexity=None if cost is None else CodingCost(**asdict(cost)),
            artifacts=[ArtifactNote(name=artifact.name, summary=artifact.summary) for artifact in encoded.artifacts],
            found=found,
        )
        return record, reconstruction

    def _coder(self, point: OperatingPoint, found: FoundSetting | None = None, *, strict: bool = True) -> PointCoder:
        """Return the coder of a point, and of the setting that was found for its target; made once for all images."""
        key = (point.id, None if found is None else found.value)
        if key in self._unusable:
            raise self._unusable[key]
        if key not in self._coders:
            try:
                self._coders[key] = point_coder(
                    self._registry, point, found, self._context, self._timing, strict=strict
                )
            except Exception as error:  # is set up once, however many images there are
                self._unusable[key] = error
                raise
        return self._coders[key]

    def _search(self, point: OperatingPoint, target: Target, image: Image) -> FoundSetting:
        planned = next(metric for metric in self._plan.metrics if metric.label == target.metric)
        # An instance that no other thread uses: scoring may be going on.
        metric = make_metric(planned, self._registry, self._context)
        assert isinstance(metric, Metric)  # the suite accepts no targets of distributions
        reference = Reference("", image, self._context.device)

        def measure(value: float) -> float:
            tried = FoundSetting(parameter=target.parameter, value=value, wanted=target.wanted, reached=0, tries=0)
            bitstream, reconstruction = self._coder(point, tried).try_out(image)
            groups = list(batches(reference, [reconstruction], [len(bitstream)]))
            (outcome,) = score_batches(metric, reference, groups)
            if isinstance(outcome, Exception):
                raise outcome
            assert isinstance(outcome, dict)
            reached = outcome[target.column]
            if isinstance(reached, NotApplicable):
                raise reached
            return reached

        return find_setting(target, measure)

    # -- cells coded before -----------------------------------------------------------------------------------------

    def _restore(self, work: ImageWork, cell: CellWork, record: CellRecord, image: Image) -> Image:
        """Get back what an earlier session or run made; what had to be decoded is kept if it is to be kept."""
        decoded: list[Image] = []

        def decode(bitstream: bytes) -> Image:
            coder = self._coder(cell.point, record.found, strict=False)
            decoded.append(coder.decode_stored(bitstream, image.shape, image.format))
            return decoded[0]

        found = stored_reconstruction(self._folder, cell.point, work.image, record, decode)
        if decoded and self._plan.keep["reconstructions"]:
            self._folder.write_reconstruction(cell.point, work.image.name, found)
        return found

    # -- several images at once -------------------------------------------------------------------------------------

    def groups(self, works: Sequence[ImageWork]) -> Iterator[Sequence[ImageWork]]:
        """Split work into what is coded together: single images unless a codec takes more."""
        points = {cell.point.id: cell.point for work in works for cell in work.cells if cell.coded is None}
        largest = max((self._batch_size(point) for point in points.values()), default=1)
        group: list[ImageWork] = []
        for work in works:
            pixels = sum(member.image.pixels for member in (*group, work))
            if group and (len(group) == largest or pixels > MOST_PIXELS):
                yield group
                group = []
            group.append(work)
        if group:
            yield group

    def code_ahead(self, group: Sequence[ImageWork]) -> Iterator[WorkEvent]:
        """Encode and decode a group's images together at the points whose codecs can; :meth:`code` takes it from there.

        What fails here is left to be coded, and to fail, one by one.
        """
        self._images, self._ahead = {}, {}
        points = {cell.point.id: cell.point for work in group for cell in work.cells} if len(group) > 1 else {}
        for point in points.values():
            size = self._batch_size(point)
            members = [
                work for work in group for cell in work.cells if cell.point.id == point.id and cell.coded is None
            ]
            for part in (members[first : first + size] for first in range(0, len(members), size)):
                if len(part) == 1:
                    continue
                if self._stopping():
                    return
                yield CellStarted(part[0].image.name, point.id, self._worker)
                try:
                    made = self._coded_together(point, part)
                except ContractError as error:
                    self._notices.append(f"{point.owner}: {error}; its images are coded one by one")
                    continue
                except Exception:  # whatever a plugin raises; it is raised, and recorded, again for the image it is of
                    continue
                self._ahead |= {(work.image.name, point.id): each for work, each in zip(part, made, strict=True)}
        yield from told(self._notices)

    def _coded_together(self, point: OperatingPoint, part: Sequence[ImageWork]) -> list[tuple[Encoded, Decoded]]:
        for work in part:
            if work.image.name not in self._images:
                self._images[work.image.name] = read_original(work)
        images = [self._images[work.image.name] for work in part]
        coder = self._coder(point)
        seal = Seal(images)
        encoded = coder.encode_batch(images)
        if seal.broken():
            for index in seal.broken():
                self._images[part[index].image.name] = read_original(part[index])
            raise ContractError("writes to the images that it is given")
        decoded = coder.decode_batch([each.bitstream for each in encoded], images)
        if not decoded[0].image.equals(coder.decode_stored(encoded[0].bitstream, images[0].shape, images[0].format)):
            raise ContractError("decode_batch and decode return different pixels")
        return list(zip(encoded, decoded, strict=True))

    def _batch_size(self, point: OperatingPoint) -> int:
        if point.target is not None:
            return 1
        try:
            return self._coder(point).batch_size
        except Exception:  # a codec that can't be set up fails, with its reason, in each of its cells
            return 1

    # -- records ------------------------------------------------------------------------------------------------------

    def _record(self, work: ImageWork, cell: CellWork, outcome: str, **fields: object) -> CellRecord:
        return CellRecord.model_validate(
            {
                "key": cell.key,
                "image": work.image.name,
                "point": cell.point.id,
                "outcome": outcome,
                "session": self._session,
                "at": now(),
                **fields,
            }
        )

    def _failed(self, work: ImageWork, cell: CellWork, failure: Failure) -> CellRecord:
        return self._record(work, cell, "failed", failure=failure, reason=failure.message)


def point_coder(
    registry: Registry,
    point: OperatingPoint,
    found: FoundSetting | None,
    context: Context,
    timing: TimingPlan,
    *,
    strict: bool = True,
) -> PointCoder:
    """Return the coder of a point, with the setting that was found for its target.

    Args:
        strict: whether it must be of the very version and code that was planned; not to decode what has a digest.

    Raises:
        QbenchError: weights or code are not what was planned.
        Exception: whatever the codec raises when it is made and set up.
    """
    codec = registry.codecs[point.codec]
    chosen = {} if found is None else {found.parameter: found.value}
    parameters = codec.Parameters.model_validate({**point.parameters, **chosen}, strict=False)
    with as_planned(codec, parameters, point.identity, context.profile, strict=strict):
        return PointCoder(lambda: codec(parameters, context), timing)


def read_original(work: ImageWork) -> Image:
    """Read an original, which can't be written to.

    Raises:
        ImageError: it can't be read, or is not the one that was planned.
    """
    image = work.source.read()
    if image.digest != work.image.sha256:
        raise ImageError(f"{work.image.location}: the image has changed since the run was planned")
    return image.frozen()


def stored_reconstruction(
    folder: RunFolder, point: OperatingPoint, image: PlannedImage, record: CellRecord, decode: Callable[[bytes], Image]
) -> Image:
    """Return the reconstruction of a coded cell: from its PNG, else from its bitstream; the very same pixels.

    Raises:
        LostError: neither is there, or the bitstream is another one, or it decodes to other pixels here.
    """
    kept = folder.read_reconstruction(point, image)
    if kept is not None and kept.digest == record.reconstruction_sha256:
        return kept
    path = folder.bitstream_path(point, record.image)
    bitstream = folder.read_file(path)
    if bitstream is None:
        raise LostError(f"{path}: the bitstream is gone; it existed when the cell was coded")
    if hashlib.sha256(bitstream).hexdigest() != record.bitstream_sha256:
        raise LostError(
            f"{path}: the bitstream is not the one that was recorded; delete it to have the cell coded again"
        )
    reconstruction = decode(bitstream)
    if reconstruction.digest != record.reconstruction_sha256:
        raise LostError(
            f"{path}: decodes to other pixels here than where it was coded; qbench verify says how many bitstreams do"
        )
    return reconstruction
