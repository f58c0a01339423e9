"""Finishing distribution metrics: from the features of all pictures to the scores of an operating point."""

from __future__ import annotations

from collections.abc import Iterator

from qbench.codec import Context
from qbench.errors import StoreError
from qbench.execute.bench import make_metric, outcome_fields
from qbench.execute.events import Recorded, ScoringStarted, WorkEvent
from qbench.execute.scoring import Outcome, finish
from qbench.metric import DistributionMetric
from qbench.plan import OperatingPoint, Plan, PlannedMetric
from qbench.records import ScoreRecord
from qbench.registry import Registry
from qbench.store import RunFolder, RunState, now


class Finisher:
    """Scores operating points once all their cells are coded and have their features."""

    def __init__(
        self, plan: Plan, folder: RunFolder, registry: Registry, context: Context, session: str, *, retry_failed: bool
    ) -> None:
        self._plan = plan
        self._folder = folder
        self._registry = registry
        self._context = context
        self._session = session
        self._retry_failed = retry_failed

    def ready(self, state: RunState) -> list[tuple[PlannedMetric, OperatingPoint]]:
        """List what can be finished now: every picture's features are there, and there is no result yet."""
        found = []
        for planned in self._plan.metrics:
            for point in self._plan.points:
                if planned.per_point and needs_finishing(self._plan, planned, point, state, self._retry_failed):
                    scores = [state.score(self._plan, planned, image, point) for image in self._plan.images]
                    if all(score is not None and score.outcome == "scored" for score in scores):
                        found.append((planned, point))
        return found

    def finish(self, state: RunState) -> Iterator[WorkEvent]:
        """Yield a record for everything that is ready."""
        for planned, point in self.ready(state):
            yield ScoringStarted("all images", planned.label)
            yield Recorded((self._record(planned, point, state),))

    def _record(self, planned: PlannedMetric, point: OperatingPoint, state: RunState) -> ScoreRecord:
        outcome: Outcome
        try:
            metric = make_metric(planned, self._registry, self._context)
            assert isinstance(metric, DistributionMetric)
            images = [image.name for image in self._plan.images]
            read = self._folder.read_features
            originals = [read(self._folder.features_path(planned.label, None, name)) for name in images]
            features = [read(self._folder.features_path(planned.label, point, name)) for name in images]
            outcome = finish(metric, originals, features)
        except StoreError:
            raise
        except Exception as error:  # NotApplicable included
            outcome = error
        return ScoreRecord.model_validate(
            {
                "key": state.point_score_key(self._plan, planned, point),
                "image": "",
                "point": point.id,
                "metric": planned.label,
                "session": self._session,
                "at": now(),
                **outcome_fields(planned, outcome),
            }
        )


def needs_finishing(plan: Plan, planned: PlannedMetric, point: OperatingPoint, state: RunState, retry: bool) -> bool:
    """Whether an operating point still lacks a distribution metric's result, and may come to have one.

    It never will where a cell, or its features, failed or is not applicable: a distribution without some of its
    pictures is another one.
    """
    record = state.point_score(plan, planned, point)
    if record is not None and not (retry and record.outcome == "failed"):
        return False
    for image in plan.images:
        cell, score = state.cell(image, point), state.score(plan, planned, image, point)
        for made, good in ((cell, "coded"), (score, "scored")):
            if made is not None and made.outcome != good and not (retry and made.outcome == "failed"):
                return False
    return True
