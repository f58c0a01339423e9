"""What is behind scores, and the originals of a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from qbench.api.finding import AnyRun, read_run
from qbench.contracts.context import Context
from qbench.contracts.metric import Explanation, Metric, MetricDeclaration
from qbench.errors import QbenchError, did_you_mean
from qbench.execute.accelerators import resolve_device
from qbench.execute.explaining import explain_cells
from qbench.execute.means import aside
from qbench.images.image import Image
from qbench.images.sources import read_again
from qbench.planning.originals import found_again, source_of
from qbench.planning.types import Plan, PlannedMetric
from qbench.registry.registry import Registry, default_registry, registry_with
from qbench.results.run import Run
from qbench.store.folder import RunFolder


def explain(
    run: AnyRun,
    image: str,
    point: str,
    metric: str | None = None,
    *,
    originals: str | Path | None = None,
    trust: bool = False,
    device: str = "auto",
    registry: Registry | None = None,
    plugins: Sequence[str | Path] = (),
    notice: Callable[[str], None] = lambda text: None,
) -> tuple[PlannedMetric, Explanation]:
    """Explain a metric's scores for one cell.

    Args:
        run: the run, or its path or name.
        image, point: of the cell.
        metric: its label in the run; may be left out where only one metric has something to explain.
        originals: a folder that the original is found in (by its pixels) if it is no longer where it was.
        trust: whether a codec or metric may work whose settings, in the run's folder, name code to run.
        plugins: files that are plugins, besides what is installed.
        notice: called with notices from plugins.

    Returns:
        The metric as it was planned, and its explanation.

    Raises:
        QbenchError: no such cell or metric, the cell has no reconstruction, the metric explains nothing,
            or code is named and not trusted.
    """
    found = read_run(run)
    plan, folder = found.plan, RunFolder(found.path)
    registry = registry_with((*plugins, *(plan.plugins if trust else ())), registry)
    chosen = _explaining(plan, metric, registry)
    images, points = [item.name for item in plan.images], [item.id for item in plan.points]
    for kind, name, known in (("image", image, images), ("operating point", point, points)):
        if name not in known:
            raise QbenchError(f"{found.path}: no {kind} `{name}`{did_you_mean(name, known)} (has: {', '.join(known)})")
    cell = folder.load().cell(plan.image(image), plan.point(point))
    if cell is None or cell.outcome != "coded":
        why = "it is not done yet" if cell is None else f"{cell.outcome}: {cell.reason}"
        raise QbenchError(f"{image} at {point} has no reconstruction to explain ({why})")
    context = Context(resolve_device(device), plan.seed, plan.profile)
    if originals is not None:
        plan = found_again(replace(plan, images=(plan.image(image),)), Path(originals))
    source = source_of(plan.image(image), registry)
    with aside(plan, folder, registry, context, notice) as means:
        told = explain_cells(means, [cell], source, chosen, registry, decode=True, trust=trust)
    return chosen, told[0]


def explain_all(
    found: Run,
    *,
    device: str = "auto",
    registry: Registry | None = None,
    notice: Callable[[str], None] = lambda text: None,
) -> dict[tuple[str, str], dict[str, Explanation]]:
    """Ask every metric of a run that explains what is behind its scores of every cell.

    What can't be explained is omitted, and reported.

    Returns:
        Image and operating point → label of the metric → its explanation.
    """
    registry = registry or default_registry()
    plan, folder = found.plan, RunFolder(found.path)
    state = folder.load()
    explanations: dict[tuple[str, str], dict[str, Explanation]] = {}
    able = _able_to_explain(plan, registry)
    asked = [(metric, image) for metric in plan.metrics if metric.label in able for image in plan.images]
    if not asked:
        return {}
    context = Context(resolve_device(device), plan.seed, plan.profile)
    with aside(plan, folder, registry, context, notice) as means:
        for metric, image in asked:
            recorded = [(state.cell(image, point), state.score(plan, metric, image, point)) for point in plan.points]
            cells = [cell for cell, score in recorded if cell and score and score.outcome == "scored"]
            if not cells:
                continue
            try:
                source = source_of(image, registry)
                told = explain_cells(means, cells, source, metric, registry, decode=False, trust=False)
            except QbenchError as error:
                notice(f"not explained: {error}")
                continue
            for cell, explanation in zip(cells, told, strict=True):
                explanations.setdefault((cell.image, cell.point), {})[metric.label] = explanation
    return explanations


def original(found: Run, image: str, *, registry: Registry | None = None) -> Image:
    """Read an image of a run again, as codecs saw it.

    Raises:
        QbenchError: it is gone, or has changed.
    """
    planned = found.plan.image(image)
    return read_again(source_of(planned, registry or default_registry()), planned.sha256, planned.location)


def _explaining(plan: Plan, label: str | None, registry: Registry) -> PlannedMetric:
    """Return the metric of that label, or the only one that explains."""
    planned = {metric.label: metric for metric in plan.metrics}
    able = _able_to_explain(plan, registry)
    if label is None and len(able) != 1:
        raise QbenchError(
            f"name a metric (able to explain: {', '.join(able)})" if able else "no metric in this run supports explain"
        )
    name = able[0] if label is None else label
    if name not in planned:
        raise QbenchError(f"no metric `{name}` in this run{did_you_mean(name, planned)} (has: {', '.join(planned)})")
    return planned[name]


def _able_to_explain(plan: Plan, registry: Registry) -> list[str]:
    return [
        metric.label
        for metric in plan.metrics
        if metric.metric in registry.metrics and _explains(registry.metrics[metric.metric])
    ]


def _explains(metric: type[MetricDeclaration]) -> bool:
    return issubclass(metric, Metric) and metric.explain is not Metric.explain
