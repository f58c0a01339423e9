"""Scoring images together by metrics that gain by it, as networks on an accelerator do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from qbench.contracts.metric import Metric
from qbench.errors import NotApplicable
from qbench.execute.limits import Limits
from qbench.execute.means import Means, leased_for
from qbench.execute.scoring import Outcome
from qbench.execute.shared import SharedImage
from qbench.execute.stations import PluginFailedError
from qbench.execute.tasks import Gathered, Task
from qbench.execute.work import ScoringStarted
from qbench.planning.types import PlannedMetric
from qbench.records import Failure


@dataclass(frozen=True)
class Subject:
    """Reconstructions of one image that a metric is wanted for.

    Attributes:
        name: of the image.
        reconstructions: each with the size of its bitstream.
        scored: takes an outcome for each, and returns what can be done then.
        alone: scores them with no others beside them, and returns what can be done then.
    """

    name: str
    metric: PlannedMetric
    original: SharedImage
    reconstructions: Sequence[tuple[SharedImage, int]]
    scored: Callable[[Sequence[Outcome | Failure]], list[Task]]
    alone: Callable[[int], list[Task]]


def gathered(subject: Subject, means: Means) -> Gathered | None:
    """Return how a metric scores an image's reconstructions together with others; None where nothing is gained."""
    metric = subject.metric
    cls = means.registry.metrics[metric.metric]
    if not (means.pool.on_accelerator(metric) and issubclass(cls, Metric)):
        return None
    if cls.score_several is Metric.score_several:
        return None
    images = 1 + len(subject.reconstructions)
    return Gathered(metric.label, images, subject, lambda subjects, hand: score_together(subjects, means, hand))


def score_together(subjects: Sequence[Subject], means: Means, hand: int) -> list[Task]:
    """Score reconstructions of several images at once; one by one where that fails, so that none harms another."""
    metric, count = subjects[0].metric, len(subjects)
    given = [
        [
            subject.name,
            subject.original,
            [shared for shared, _ in subject.reconstructions],
            [size for _, size in subject.reconstructions],
        ]
        for subject in subjects
    ]
    for subject in subjects:
        means.emit(ScoringStarted(subject.name, metric.label, hand))
    limits = means.limits(metric)
    found: list[list[Outcome] | None]
    try:
        with leased_for(means, metric) as station:
            about = f"{metric.label} · {subjects[0].name} and {count - 1} more"
            request = means.request(metric, about, "score_several", metric, given)
            found = station.ask(request, Limits(limits.seconds * count, limits.memory))
    except (PluginFailedError, NotApplicable):
        found = [None] * count
    further: list[Task] = []
    for subject, outcomes in zip(subjects, found, strict=True):
        if outcomes is None:
            further += subject.alone(hand)
        else:
            further += subject.scored(outcomes)
    return further
