"""Scoring operating points as a whole, by distribution metrics."""

from __future__ import annotations

from collections.abc import Container, Generator

from qbench.errors import NotApplicable
from qbench.execute.means import Means, at_metric
from qbench.execute.scoring import Outcome, outcome_record
from qbench.execute.stations import PluginFailedError
from qbench.execute.work import Recorded, ScoringStarted, WorkEvent
from qbench.planning.types import OperatingPoint, Plan, PlannedMetric
from qbench.records import Failure
from qbench.results.state import RunState


class PointScorer:
    """Scores operating points by distribution metrics, once all their cells are coded and have their features."""

    def __init__(self, means: Means, *, retry_failed: bool, left: Container[str] = ()) -> None:
        self._means = means
        self._plan = means.setup.plan
        self._folder = means.setup.folder
        self._retry_failed = retry_failed
        self._left = left

    def ready(self, state: RunState) -> list[tuple[PlannedMetric, OperatingPoint]]:
        """List what can be scored now: every image's features are available, and there is no result yet."""
        found = []
        for planned in self._plan.metrics:
            for point in self._plan.points:
                if planned.label in self._left:
                    continue
                if planned.per_point and lacks_point_score(self._plan, planned, point, state, self._retry_failed):
                    scores = [state.score(self._plan, planned, image, point) for image in self._plan.images]
                    if all(score is not None and score.outcome == "scored" for score in scores):
                        found.append((planned, point))
        return found

    def score(self, state: RunState) -> Generator[WorkEvent]:
        """Yield a record for everything that is ready."""
        for planned, point in self.ready(state):
            yield ScoringStarted("all images", planned.label)
            key = state.point_score_key(self._plan, planned, point)
            outcome = self._outcome(planned, point)
            yield Recorded((outcome_record(self._means.setup.session, key, "", point.id, planned, outcome),))

    def _outcome(self, planned: PlannedMetric, point: OperatingPoint) -> Outcome | Failure:
        images = [image.name for image in self._plan.images]
        read = self._folder.read_features
        originals = [read(self._folder.features_path(planned.label, None, name)) for name in images]
        features = [read(self._folder.features_path(planned.label, point, name)) for name in images]
        try:
            with at_metric(self._means, planned, point.id, None, None) as ask:
                found: Outcome | Failure = ask("finish", planned, originals, features)
                return found
        except NotApplicable as reason:
            return reason
        except PluginFailedError as error:
            return error.failure


def lacks_point_score(plan: Plan, planned: PlannedMetric, point: OperatingPoint, state: RunState, retry: bool) -> bool:
    """Whether an operating point still lacks a distribution metric's result, and may come to have one.

    It never will where a cell, or its features, failed or is not applicable: a distribution without some of its
    images is another one.
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
