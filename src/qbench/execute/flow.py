"""From an original to records: the tasks of one image."""

from __future__ import annotations

import hashlib
import itertools
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from qbench.errors import LostError, NotApplicable, StoreError
from qbench.execute.coder import Encoded
from qbench.execute.desks import Promises, Setting, Unpacked
from qbench.execute.gathering import Subject, gathered
from qbench.execute.means import Means, at_coder, at_metric
from qbench.execute.rate_search import find_setting
from qbench.execute.reconstructions import stored_reconstruction
from qbench.execute.scoring import Outcome, failed_score, score_record
from qbench.execute.shared import SharedImage
from qbench.execute.stations import PluginFailedError, persistently
from qbench.execute.tasks import Task, at_once
from qbench.execute.work import CellStarted, CellWork, ImageWork, Recorded, ScoringStarted
from qbench.images.image import Image
from qbench.planning.types import OperatingPoint, PlannedMetric, Target
from qbench.records import ArtifactNote, CellRecord, CodingCost, Failure, FoundSetting
from qbench.store.folder import now

ALL_LOST = ("StationDied", "MemoryLimit", "OutputLimit")
"""How a call ends that leaves nothing of what it had done."""


_SERIALS = itertools.count()
"""Of flows in this process, whose stations may work for several sessions' parts in turn."""


class ImageFlow:
    """What is done for one image.

    Args:
        number: of its group, for the order of tasks.
    """

    def __init__(self, work: ImageWork, number: int, means: Means) -> None:
        self.work = work
        self.original: SharedImage | None = None
        self._number = number
        self._serial = next(_SERIALS)
        self._means = means
        self._plan = means.setup.plan
        self._lock = threading.Lock()
        self._later: list[CellWork] = []
        self._wave = 0
        self._uncoded = len(work.cells)
        self._unscored = 0
        self._made: dict[str, tuple[CellWork, CellRecord, SharedImage]] = {}
        self._waiting: list[tuple[CellWork, CellRecord, SharedImage]] = []

    @property
    def name(self) -> str:
        """The image's."""
        return self.work.image.name

    def read(self) -> bool:
        """Read the original; where that is not possible, record so for every cell and return False."""
        image, source = self.work.image, self.work.source
        try:
            self.original = self._means.read(source, image)
            return True
        except (PluginFailedError, NotApplicable) as error:
            found = error.failure if isinstance(error, PluginFailedError) else Failure.of("", error)
            failure = found.model_copy(update={"plugin": f"image {self.name}"})
        cells = [self.failed(cell, failure) for cell in self.work.cells if cell.coded is None]
        scores = [
            failed_score(self._plan, self._means.setup.session, image, cell.coded, label, failure)
            for cell in self.work.cells
            if cell.coded is not None
            for label in cell.metrics
        ]
        self._means.emit(Recorded((*cells, *scores)))
        return False

    # -- coding -------------------------------------------------------------------------------------------------------

    def in_waves(self, cells: Sequence[CellWork]) -> list[Task]:
        """Return the tasks of coding these cells, in their order: of as many as there is memory for at a time.

        The others follow when these are scored.
        """
        count = at_once(self.work)
        wave, self._later = list(cells[:count]), list(cells[count:])
        self._uncoded = len(wave)
        self._wave += 1
        return [self.task(index, cell) for index, cell in enumerate(wave)]

    def task(self, index: int, cell: CellWork) -> Task:
        """Return the task of coding a cell."""
        return Task((self._number, 1, index), lambda hand: self.code(cell, hand))

    def code(self, cell: CellWork, hand: int) -> list[Task]:
        """Code a cell, or get back what was coded before, and return what can be done then."""
        self._means.emit(CellStarted(self.name, cell.point.id, hand))
        try:
            if cell.coded is None:
                began = time.monotonic()
                self._code(cell)
                seconds = self._means.seconds
                seconds[cell.point.id] = max(seconds.get(cell.point.id, 0.0), time.monotonic() - began)
            else:
                self.coded(cell, cell.coded, self._restored(cell, cell.coded))
        except NotApplicable as reason:
            if cell.coded is None:
                self._record(self.record(cell, "not-applicable", reason=reason.reason))
            else:
                self._unscorable(cell, cell.coded, Failure.of(cell.point.owner, reason))
        except PluginFailedError as error:
            if cell.coded is None:
                self._record(self.failed(cell, error.failure))
            else:  # what was measured stands, although it can't be had again here
                self._unscorable(cell, cell.coded, error.failure)
        except LostError as error:
            assert cell.coded is not None
            self._unscorable(cell, cell.coded, Failure.of("run folder", error))
        return self.after(cell)

    def after(self, cell: CellWork) -> list[Task]:
        """Return what can be done once a cell has come to its end."""
        with self._lock:
            self._uncoded -= 1
            if self._uncoded:
                return []
        places = {each.point.id: index for index, each in enumerate(self.work.cells)}
        self._waiting = sorted(self._made.values(), key=lambda made: places[made[0].point.id])
        metrics = [
            metric
            for metric in self._plan.metrics
            if any(metric.label in waiting.metrics for waiting, _, _ in self._waiting)
        ]
        if self._number % 2:  # so that what is set up once on a machine, such as kernels, is set up by one hand each
            metrics.reverse()
        metrics.sort(key=lambda metric: not metric.models)  # the slow ones first, so that none is left alone at the end
        self._unscored = len(metrics)
        if not metrics:
            return self._go_on()
        return [
            Task(
                (self._number, 0, index),
                partial(self.score, metric),
                gathered(self._subject(metric), self._means),
            )
            for index, metric in enumerate(metrics)
        ]

    def coded(self, cell: CellWork, record: CellRecord, reconstruction: SharedImage) -> None:
        """Take what a cell gave."""
        if cell.coded is None:
            self._record(record)
        if cell.metrics:
            with self._lock:
                self._made[cell.point.id] = cell, record, reconstruction
        else:
            reconstruction.close()

    def _code(self, cell: CellWork) -> None:
        """Search where there is a target, encode, decode elsewhere, check, keep, record."""
        point = cell.point
        found = None if point.target is None else self._search(point, point.target)
        setting = Setting.of(point, found)
        encoded, promises = self._encode(setting, "encode", self.original)
        assert self.original is not None
        shape, form, _ = self.original.description
        unpacked: Unpacked = self._decode(setting, "decode", encoded.bitstream, (shape, form))
        self.keep(cell, encoded, unpacked, promises, found)

    def keep(
        self, cell: CellWork, encoded: Encoded, unpacked: Unpacked, promises: Promises, found: FoundSetting | None
    ) -> None:
        """Check what was coded, write its files, and record it.

        Raises:
            PluginFailedError: what should be lossless is not.
        """
        folder, timing, point = self._means.setup.folder, self._means.setup.timing, cell.point
        shared = _shared(unpacked)
        assert self.original is not None
        reconstruction = shared.image
        if promises.lossless and not reconstruction.equals(self.original.image):
            wrong = int((reconstruction.pixels != self.original.image.pixels).any(axis=2).sum())
            text = f"declared lossless, but {wrong} pixels differ after decoding"
            raise PluginFailedError(Failure(plugin=point.owner, error="ContractError", message=text))
        setting = Setting.of(point, found)
        cost = self._means.costs.of(self._means, setting, self.name, reconstruction.height, reconstruction.width)
        bitstream = encoded.bitstream
        folder.write_file(folder.bitstream_path(point, self.name), bitstream)
        if self._plan.keep["reconstructions"]:
            folder.write_reconstruction(point, self.name, reconstruction)
        for artifact in encoded.artifacts:
            folder.write_file(folder.artifact_path(point, self.name, artifact.name), artifact.data)
        record = self.record(
            cell,
            "coded",
            bitstream_size=len(bitstream),
            bitstream_sha256=hashlib.sha256(bitstream).hexdigest(),
            reconstruction_sha256=reconstruction.digest,
            parts=unpacked.parts,
            timing={
                "encode": encoded.timing,
                "decode": unpacked.decoded.timing,
                "threads": min(promises.threads or timing.threads, timing.threads),
                "concurrent_load": timing.concurrent_load,
                "most_repeats": timing.repeats,
                "budget": timing.budget,
            },
            complexity=None if cost is None else CodingCost(**asdict(cost)),
            artifacts=[ArtifactNote(name=artifact.name, summary=artifact.summary) for artifact in encoded.artifacts],
            found=found,
        )
        shared.unmap()
        self.coded(cell, record, shared)

    def _encode(self, setting: Setting, method: str, *arguments: Any) -> Any:
        return at_coder(self._means, "encode", setting, self.name, method, *arguments)

    def _decode(self, setting: Setting, method: str, *arguments: Any) -> Any:
        return at_coder(self._means, "decode", setting, self.name, method, *arguments)

    def _search(self, point: OperatingPoint, target: Target) -> FoundSetting:
        planned = next(metric for metric in self._plan.metrics if metric.label == target.metric)
        assert self.original is not None
        shape, form, _ = self.original.description

        def measure(value: float) -> float:
            setting = Setting(point, value)
            bitstream = self._encode(setting, "try_out", self.original)
            shared = self._decode(setting, "decode_stored", bitstream, shape, form)
            try:
                (outcome,) = self._outcomes(planned, [(shared, len(bitstream))], (0,), None)
            finally:
                shared.close()
            if isinstance(outcome, NotApplicable):
                raise outcome
            if isinstance(outcome, Failure):
                raise PluginFailedError(outcome)
            assert isinstance(outcome, dict)  # targets are never distributions
            reached = outcome[target.column]
            if isinstance(reached, NotApplicable):
                raise reached
            return float(reached)

        return find_setting(target, measure)

    def _restored(self, cell: CellWork, record: CellRecord) -> SharedImage:
        """Get back what an earlier session or run made; what had to be decoded is kept if it is to be kept."""
        decoded: list[SharedImage] = []
        assert self.original is not None
        shape, form, _ = self.original.description

        def decode(bitstream: bytes) -> Image:
            setting = Setting.of(cell.point, record.found, strict=False)
            decoded.append(self._decode(setting, "decode_stored", bitstream, shape, form))
            return decoded[0].image

        folder = self._means.setup.folder
        found = stored_reconstruction(folder, cell.point, self.work.image, record, decode)
        if not decoded:
            return SharedImage.of(found)
        if self._plan.keep["reconstructions"]:
            folder.write_reconstruction(cell.point, self.name, found)
        return decoded[0]

    # -- scoring ------------------------------------------------------------------------------------------------------

    def score(self, metric: PlannedMetric, hand: int) -> list[Task]:
        """Score all reconstructions that a metric is wanted for; return what can be done then."""
        self._means.emit(ScoringStarted(self.name, metric.label, hand))
        images = [(shared, record.bitstream_size or 0) for _, record, shared in self._waiting]
        wanted = self._wanted(metric)
        return self.scored(metric, wanted, self._outcomes(metric, images, wanted, (self._serial, self._wave)))

    def _wanted(self, metric: PlannedMetric) -> tuple[int, ...]:
        return tuple(index for index, (cell, _, _) in enumerate(self._waiting) if metric.label in cell.metrics)

    def _subject(self, metric: PlannedMetric) -> Subject:
        assert self.original is not None
        wanted = self._wanted(metric)
        made = [self._waiting[index] for index in wanted]
        images = [(shared, record.bitstream_size or 0) for _, record, shared in made]
        scored, alone = partial(self.scored, metric, wanted), partial(self.score, metric)
        return Subject(self.name, metric, self.original, images, scored, alone)

    def scored(
        self, metric: PlannedMetric, wanted: tuple[int, ...], outcomes: Sequence[Outcome | Failure]
    ) -> list[Task]:
        """Record what a metric made of some reconstructions; return what can be done then."""
        records = []
        for index, outcome in zip(wanted, outcomes, strict=True):
            cell, record, _ = self._waiting[index]
            if metric.per_point and not isinstance(outcome, (Failure, NotApplicable)):
                path = self._means.setup.folder.features_path(metric.label, cell.point, self.name)
                self._means.setup.folder.write_features(path, outcome)  # type: ignore[arg-type]
            session = self._means.setup.session
            records.append(score_record(self._plan, session, self.work.image, record, metric, outcome))
        self._means.emit(Recorded(tuple(records)))
        with self._lock:
            self._unscored -= 1
            done = not self._unscored
        return self._go_on() if done else []

    def _outcomes(
        self, metric: PlannedMetric, images: Sequence[tuple[SharedImage, int]], wanted: tuple[int, ...], key: Any
    ) -> list[Outcome | Failure]:
        """Return what a metric makes of some reconstructions.

        Args:
            key: names what the images are of, for stations that have them already; None if they are of this call only.
        """
        folder = self._means.setup.folder
        assert self.original is not None
        given = self.original, [shared for shared, _ in images], [size for _, size in images]

        def score() -> list[Outcome | Failure]:
            with at_metric(self._means, metric, self.name, key, given) as ask:
                if metric.per_point:
                    path = folder.features_path(metric.label, None, self.name)
                    if not path.is_file():
                        folder.write_features(path, ask("features_of_original", metric))
                outcomes: list[Outcome | Failure] = ask("score", metric, wanted)
                return outcomes

        try:
            return persistently(score)
        except NotApplicable as reason:
            return [reason] * len(wanted)
        except PluginFailedError as error:
            if error.failure.error in ALL_LOST and len(wanted) > 1:  # find out with which, so that others are unharmed
                return [self._outcomes(metric, images, (index,), key)[0] for index in wanted]
            return [error.failure] * len(wanted)

    # -- records ------------------------------------------------------------------------------------------------------

    def _go_on(self) -> list[Task]:
        """Let go of the reconstructions; return what is to be coded next, or let go of the original, too."""
        for _, _, shared in self._made.values():
            shared.close()
        self._made, self._waiting = {}, []
        if self._later:
            return self.in_waves(self._later)
        if self.original is not None:
            self.original.close()
        return []

    def record(self, cell: CellWork, outcome: str, **fields: object) -> CellRecord:
        """Return a cell's record."""
        return CellRecord.model_validate(
            {
                "key": cell.key,
                "image": self.name,
                "point": cell.point.id,
                "outcome": outcome,
                "session": self._means.setup.session,
                "at": now(),
                **fields,
            }
        )

    def failed(self, cell: CellWork, failure: Failure) -> CellRecord:
        """Return the record of a cell that failed."""
        return self.record(cell, "failed", failure=failure, reason=failure.message)

    def _record(self, record: CellRecord) -> None:
        self._means.emit(Recorded((record,)))

    def _unscorable(self, cell: CellWork, coded: CellRecord, failure: Failure) -> None:
        """Record why the missing scores of a cell that was coded before can't be computed here."""
        session = self._means.setup.session
        self._means.emit(
            Recorded(
                tuple(
                    failed_score(self._plan, session, self.work.image, coded, label, failure) for label in cell.metrics
                )
            )
        )


def _shared(unpacked: Unpacked) -> SharedImage:
    """Return the image that a decoding station made, which arrives here as memory."""
    shared: Any = unpacked.decoded.image
    if not isinstance(shared, SharedImage):
        raise StoreError("a decoding station gave no image")
    return shared
