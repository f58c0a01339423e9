"""What is left to do of a run: what its records lack, less what the cache has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from qbench.execute.conditions import measured_here, timed_as_asked
from qbench.execute.point_scoring import lacks_point_score
from qbench.execute.work import CellWork, ImageWork, Options, Setup
from qbench.planning.shards import Shard
from qbench.planning.types import OperatingPoint, PlannedImage, PlannedMetric
from qbench.records import CellRecord, ScoreRecord
from qbench.registry.registry import Registry
from qbench.results.state import RunState, score_key
from qbench.store.cache import Cache
from qbench.store.journal import JournalWriter
from qbench.suite.images import sources_at


class LeftToDo:
    """Finds what is left to do.

    Args:
        left: names of operating points and metrics that are left alone, as they are others here than the run's.
        device_name: the model of what networks compute on.
    """

    def __init__(
        self,
        setup: Setup,
        registry: Registry,
        options: Options,
        cache: Cache | None,
        left: Mapping[str, str],
        device_name: str,
    ) -> None:
        self._setup = setup
        self._plan = setup.plan
        self._folder = setup.folder
        self._registry = registry
        self._options = options
        self._cache = cache
        self._left = left
        self._device_name = device_name
        self._points = {point.id: point for point in setup.plan.points}
        self._shard = Shard.parse(options.shard) if options.shard else None
        self._lacking: dict[tuple[str, str], bool] = {}

    def works(self, state: RunState, journal: JournalWriter) -> Iterator[ImageWork]:
        """Yield, image by image, what is left to do; what the cache has is taken from there, and recorded."""
        places = [(image.location, image.dataset, image.alpha) for image in self._plan.images]
        sources = sources_at(places, self._registry)
        for number, (image, source) in enumerate(zip(self._plan.images, sources, strict=True)):
            found = [
                self._cell_work(image, point, state, journal)
                for index, point in enumerate(self._plan.points)
                if self._shard is None or self._shard.holds(self._plan, number, index)
            ]
            cells = [
                cell
                for cell in found
                if not cell.left
                if cell.coded is None or cell.metrics or self._reconstruction_missing(image, cell.coded)
            ]
            if cells:
                yield ImageWork(image, source, tuple(cells))

    def _cell_work(
        self, image: PlannedImage, point: OperatingPoint, state: RunState, journal: JournalWriter
    ) -> CellWork:
        key = self._plan.cell_key(image, point)
        record = state.cell(image, point)
        retry = self._options.retry_failed
        if record is not None and (record.key != key or (retry and record.outcome == "failed")):
            record = None
        if record is None and point.id in self._left:
            return CellWork(point, key, state.cell(image, point), (), left=True)
        earlier = record
        if record is None:
            record = self._cached_cell(key, image, point, state, journal)
        scores = [state.score(self._plan, metric, image, point) for metric in self._plan.metrics]
        if (
            earlier is not None
            and earlier.outcome == "coded"
            and any(score is None or (retry and score.outcome == "failed") for score in scores)
            and not self._folder.keeps(point, image.name)  # it has to be had once more
        ):
            record = None
        missing = []
        if record is None or record.outcome == "coded":
            for metric, known in zip(self._plan.metrics, scores, strict=True):
                if metric.label in self._left:
                    continue
                score = known if record is not None else None
                if metric.per_point:
                    score = self._usable_features(metric, image, point, score, state)
                elif record is not None and score is None and not metric.unknown_code:
                    key_of_score = score_key(self._plan, metric, image, record)
                    score = self._cached_score(key_of_score, record, metric.label, state, journal)
                if score is None or (retry and score.outcome == "failed"):
                    missing.append(metric.label)
        return CellWork(point, key, record, tuple(missing))

    def _usable_features(
        self,
        metric: PlannedMetric,
        image: PlannedImage,
        point: OperatingPoint,
        score: ScoreRecord | None,
        state: RunState,
    ) -> ScoreRecord | None:
        """Return the record of a cell's features, None if they are still needed and their files are gone."""
        if score is None or score.outcome != "scored":
            return score
        if not self._lacks_point_score(metric, point, state):
            return score
        paths = [self._folder.features_path(metric.label, where, image.name) for where in (None, point)]
        return score if all(path.is_file() for path in paths) else None

    def _lacks_point_score(self, metric: PlannedMetric, point: OperatingPoint, state: RunState) -> bool:
        key = metric.label, point.id
        if key not in self._lacking:
            retry = self._options.retry_failed
            self._lacking[key] = lacks_point_score(self._plan, metric, point, state, retry)
        return self._lacking[key]

    def _reconstruction_missing(self, image: PlannedImage, record: CellRecord) -> bool:
        """Whether a coded cell's reconstruction is to be kept, is missing, and can be had: from the cache, mostly."""
        if record.outcome != "coded" or not self._plan.keep["reconstructions"]:
            return False
        point = self._points[record.point]
        there = self._folder.reconstruction_path(point, image.name).is_file()
        return not there and self._folder.bitstream_path(point, image.name).is_file()

    def _cached_cell(
        self, key: str, image: PlannedImage, point: OperatingPoint, state: RunState, journal: JournalWriter
    ) -> CellRecord | None:
        found = self._cache.cell(key) if self._cache is not None and not point.unknown_code else None
        if found is None or self._cache is None:
            return None
        codec, asked, device = self._registry.codecs[point.codec], self._setup.timing, self._device_name
        session = self._cache.session(found[0].session)
        alone = self._plan.timing["exclusive"]
        if not (timed_as_asked(found[0], codec, asked, exclusive=alone) and measured_here(session, point, device)):
            return None
        record, bitstream = found
        update = {"image": image.name, "point": point.id, "cached": True, "artifacts": ()}
        record = record.model_copy(update=update)
        self._folder.write_file(self._folder.bitstream_path(point, image.name), bitstream)
        self._append_cached(record, state, journal)
        return record

    def _cached_score(
        self, key: str, cell: CellRecord, metric: str, state: RunState, journal: JournalWriter
    ) -> ScoreRecord | None:
        record = self._cache.score(key) if self._cache is not None else None
        if record is None:
            return None
        update = {"image": cell.image, "point": cell.point, "metric": metric, "cached": True}
        record = record.model_copy(update=update)
        self._append_cached(record, state, journal)
        return record

    def _append_cached(self, record: CellRecord | ScoreRecord, state: RunState, journal: JournalWriter) -> None:
        assert self._cache is not None
        if record.session not in state.sessions:
            session = self._cache.session(record.session)
            if session is not None:
                journal.append([session])
                state.add(session)
        journal.append([record])
        state.add(record)
