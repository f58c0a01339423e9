"""What Python programs call: make a plan, run it, load a run, score it anew."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from qbench.codec import Context, Pixels
from qbench.errors import DatasetError, QbenchError, StoreError, did_you_mean
from qbench.execute import Event, Notice, Options, Recorded, Session, Stop, explain_cells
from qbench.execute import original as read_original
from qbench.execute.device import resolve_device
from qbench.home import cache_home, dataset_home
from qbench.image import ImageFile, ImageSource
from qbench.metric import Explanation
from qbench.plan import Plan, PlannedImage, PlannedMetric, make_plan, plan_metric
from qbench.records import CellRecord
from qbench.registry import Registry, default_registry
from qbench.results import Run
from qbench.store import Cache, RunFolder
from qbench.store.foreign import merged, read_results, write_results
from qbench.store.imports import write_imported
from qbench.suite import load_metrics, load_suite
from qbench.suite.images import resolve_images

RUNS = Path("runs")
"""Where runs go unless told otherwise, below the working directory."""

OnEvent = Callable[[Event], None]


def plan_suite(
    suite: str | Path | Mapping[str, Any],
    *,
    overrides: Sequence[str] = (),
    profile: str | None = None,
    seed: int | None = None,
    registry: Registry | None = None,
) -> Plan:
    """Read a suite and its images, and say what a run of it would do.

    Args:
        suite: path of a YAML file, or the same structure as a mapping.
        overrides: ``"codecs.jpeg.quality=[10,50]"`` and the like.
        profile, seed: instead of the suite's own.
        registry: instead of what is installed.

    Raises:
        QbenchError: the suite or an image can't be used; the text lists everything found.
    """
    registry = registry or default_registry()
    loaded = load_suite(suite, registry, overrides=overrides, profile=profile, seed=seed)
    return make_plan(loaded, resolve_images(loaded, registry), registry)


def run(
    suite: str | Path | Mapping[str, Any] | Plan,
    *,
    output: str | Path | None = None,
    overrides: Sequence[str] = (),
    profile: str | None = None,
    seed: int | None = None,
    jobs: int = 1,
    device: str = "auto",
    cache: bool = True,
    fail_fast: bool = False,
    retry_failed: bool = False,
    registry: Registry | None = None,
    on_event: OnEvent | None = None,
    stop: Stop | None = None,
) -> Run:
    """Run a suite, or go on with a run of it that was interrupted.

    Args:
        suite: path, mapping, or a plan that :func:`plan_suite` made.
        output: the run folder; by default one below ``runs/`` named after the suite and the plan's key, so that
            the same suite goes on where it stopped and a changed one never touches an older run.
        jobs: worker processes; 1 works in this process, 0 means one per core.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:n``.
        cache: use and fill the cache across runs.
        fail_fast: stop at the first failure.
        retry_failed: try again what failed before.
        on_event: told what happens, as it happens.
        stop: lets another thread ask the run to end soon.

    Returns:
        The run; ``run.failures`` and ``run.complete`` say how it went. Failures inside plugins do not raise.

    Raises:
        QbenchError: bad input, or a run folder that can't be used.
    """
    registry = registry or default_registry()
    planned = (
        suite
        if isinstance(suite, Plan)
        else plan_suite(suite, overrides=overrides, profile=profile, seed=seed, registry=registry)
    )
    folder = RunFolder(Path(output) if output is not None else default_folder(planned))
    options = Options(jobs, device, fail_fast, retry_failed)
    return _execute(planned, folder, registry, options, cache, on_event, stop, extend=False)


def score(
    path: str | Path,
    metrics: Sequence[str],
    *,
    jobs: int = 1,
    device: str = "auto",
    cache: bool = True,
    fail_fast: bool = False,
    retry_failed: bool = False,
    registry: Registry | None = None,
    on_event: OnEvent | None = None,
    stop: Stop | None = None,
) -> Run:
    """Score a run with further metrics; nothing is encoded anew.

    Args:
        path: the run folder.
        metrics: names of metrics, with their default settings.

    Raises:
        QbenchError: unknown metric, originals that are gone or changed, nothing kept to score.
    """
    registry = registry or default_registry()
    folder = RunFolder(Path(path))
    old = folder.load().plan
    known = {metric.label for metric in old.metrics}
    named = [plan_metric(metric, registry, old.profile) for metric in load_metrics(metrics, registry)]
    planned = replace(
        old,
        metrics=(*old.metrics, *(metric for metric in named if metric.label not in known)),
        sources={image.name: _source_again(image, registry) for image in old.images},
    )
    options = Options(jobs, device, fail_fast, retry_failed)
    return _execute(planned, folder, registry, options, cache, on_event, stop, extend=True)


def explain(
    path: str | Path,
    image: str,
    point: str,
    metric: str | None = None,
    *,
    device: str = "auto",
    registry: Registry | None = None,
    notice: Callable[[str], None] = lambda text: None,
) -> tuple[PlannedMetric, Explanation]:
    """Ask a metric what is behind its scores of one cell.

    Args:
        path: the run, as :func:`load_run` takes it.
        image, point: of the cell.
        metric: its label in the run; may be left out where only one metric has something to explain.
        notice: told what plugins have to tell meanwhile.

    Returns:
        The metric as it was planned, and its explanation.

    Raises:
        QbenchError: no such cell or metric, the cell has no reconstruction, or the metric explains nothing.
    """
    registry = registry or default_registry()
    found = load_run(path)
    plan, folder = found.plan, RunFolder(found.path)
    chosen = _explaining(plan, metric, registry)
    images, points = [item.name for item in plan.images], [item.id for item in plan.points]
    for kind, name, known in (("image", image, images), ("operating point", point, points)):
        if name not in known:
            raise QbenchError(f"{found.path}: no {kind} `{name}`{did_you_mean(name, known)} (has: {', '.join(known)})")
    cell = folder.load().cell(plan.image(image), plan.point(point))
    if cell is None or cell.outcome != "coded":
        why = "it is not done yet" if cell is None else f"{cell.outcome}: {cell.reason}"
        raise QbenchError(f"{image} at {point} has no reconstruction to explain ({why})")
    context = Context(resolve_device(device), plan.seed, plan.profile, notice)
    source = _source_again(plan.image(image), registry)
    return chosen, explain_cells(folder, plan, [cell], source, chosen, registry, context)[0]


def explain_all(
    found: Run,
    *,
    device: str = "auto",
    registry: Registry | None = None,
    notice: Callable[[str], None] = lambda text: None,
) -> dict[tuple[str, str], dict[str, Explanation]]:
    """Ask every metric of a run that explains what is behind its scores of every cell.

    What can't be explained is left out, and told.

    Returns:
        Image and operating point → label of the metric → its explanation.
    """
    registry = registry or default_registry()
    plan, folder = found.plan, RunFolder(found.path)
    state = folder.load()
    context = Context(resolve_device(device), plan.seed, plan.profile, notice)
    explanations: dict[tuple[str, str], dict[str, Explanation]] = {}
    able = _able_to_explain(plan, registry)
    for metric in (metric for metric in plan.metrics if metric.label in able):
        for image in plan.images:
            recorded = [(state.cell(image, point), state.score(plan, metric, image, point)) for point in plan.points]
            cells = [cell for cell, score in recorded if cell and score and score.outcome == "scored"]
            try:
                told = (
                    explain_cells(folder, plan, cells, _source_again(image, registry), metric, registry, context)
                    if cells
                    else []
                )
            except QbenchError as error:
                notice(f"not explained: {error}")
                continue
            for cell, explanation in zip(cells, told, strict=True):
                explanations.setdefault((cell.image, cell.point), {})[metric.label] = explanation
    return explanations


def original(found: Run, image: str, *, registry: Registry | None = None) -> Pixels:
    """Read an image of a run again, as codecs saw it: uint8, H×W×3, sRGB.

    Raises:
        QbenchError: it is gone, or another one now.
    """
    planned = found.plan.image(image)
    return read_original(_source_again(planned, registry or default_registry()), planned).pixels


def _explaining(plan: Plan, label: str | None, registry: Registry) -> PlannedMetric:
    """Return the metric of that label, or the only one that explains."""
    planned = {metric.label: metric for metric in plan.metrics}
    able = _able_to_explain(plan, registry)
    if label is None and len(able) != 1:
        raise QbenchError(
            f"name a metric with --metric (able to explain: {', '.join(able)})"
            if able
            else "no metric of this run explains"
        )
    name = able[0] if label is None else label
    if name not in planned:
        raise QbenchError(f"no metric `{name}` in this run{did_you_mean(name, planned)} (has: {', '.join(planned)})")
    return planned[name]


def _able_to_explain(plan: Plan, registry: Registry) -> list[str]:
    return [
        metric.label
        for metric in plan.metrics
        if metric.metric in registry.metrics and "explain" in vars(registry.metrics[metric.metric])
    ]


def load_run(path: str | Path) -> Run:
    """Load a run from its folder, from its name below ``runs/``, or the latest run of a suite by the suite's name.

    Raises:
        StoreError: there is none.
    """
    folder = RunFolder(find_run(path))
    return Run(folder, folder.load())


def find_run(name: str | Path) -> Path:
    """Return the folder that a run's path or name means."""
    path = Path(name)
    if RunFolder(path).exists():
        return path
    if RunFolder(RUNS / path).exists():
        return RUNS / path
    named = [folder for folder in RUNS.glob(f"{path.name}-*") if RunFolder(folder).exists()]
    named = [folder for folder in named if folder.name.rpartition("-")[0] == path.name]
    if named and path.name == str(name):
        return max(named, key=lambda folder: RunFolder(folder).journal_path.stat().st_mtime)
    there = ", ".join(sorted(folder.name for folder in RUNS.glob("*") if RunFolder(folder).exists())) or "none"
    raise StoreError(f"{name}: no run here, nor a run of that name in {RUNS}/ (there: {there})")


def runs() -> list[Run]:
    """Return the runs below ``runs/``, those measured last first; what can't be read is left out."""
    found = []
    for folder in (RunFolder(path) for path in RUNS.glob("*")):
        if folder.exists():
            with contextlib.suppress(StoreError):
                found.append(Run(folder, folder.load()))
    return sorted(found, key=lambda run: max((each.at for each in run.sessions), default=""), reverse=True)


def import_results(
    paths: Sequence[str | Path], name: str | Path, *, form: str | None = None, registry: Registry | None = None
) -> Run:
    """Make a run of other tools' result files.

    Args:
        paths: the files; what they hold becomes one run, so that codecs in several files can be compared.
        name: of the run below ``runs/``, or a path of its folder.
        form: name of the format; by default the first that recognises a file.

    Raises:
        QbenchError: a file can't be read or is of no known format; there is such a run already.
    """
    registry = registry or default_registry()
    read = [read_results(Path(path), registry, form) for path in paths]
    folder = RunFolder(RUNS / name if Path(name).name == str(name) else Path(name))
    write_imported(folder, merged([results for results, _ in read]), {"files": [origin for _, origin in read]})
    return Run(folder, folder.load())


def export_results(found: Run, form: str, output: str | Path, *, registry: Registry | None = None) -> list[Path]:
    """Write a run in another tool's format.

    Args:
        form: name of the format.
        output: folder for the files; made if need be.

    Raises:
        QbenchError: no such format, nothing that it can hold, or a file can't be written.
    """
    return write_results(found, registry or default_registry(), form, Path(output))


def default_folder(plan: Plan) -> Path:
    """Return the run folder that belongs to a plan."""
    safe = "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in plan.suite).strip(".")
    return RUNS / f"{safe or 'run'}-{plan.key()[:6]}"


def _execute(
    planned: Plan,
    folder: RunFolder,
    registry: Registry,
    options: Options,
    cache: bool,
    on_event: OnEvent | None,
    stop: Stop | None,
    *,
    extend: bool,
) -> Run:
    listener = on_event or (lambda event: None)
    stop = stop or Stop()
    kept = Cache(cache_home()) if cache else None

    def observe(hook: str, **arguments: Any) -> None:
        for info, trace in registry.observe(hook, **arguments):
            listener(Notice(f"plugin {info} failed in {trace}"))

    def on_work(event: Event) -> None:
        listener(event)
        if isinstance(event, Recorded):
            for record in event.records:
                if isinstance(record, CellRecord):
                    observe("qbench_cell_coded", record=record)

    try:
        session = Session(planned, folder, registry, options, kept, stop)
        observe("qbench_run_started", plan=planned)
        (session.extend if extend else session.run)(on_work)
    finally:
        if kept is not None:
            kept.close()
    finished = Run(folder, folder.load())
    if finished.complete:
        observe("qbench_run_finished", run=finished)
    return finished


def _source_again(image: PlannedImage, registry: Registry) -> ImageSource:
    if not image.dataset:
        return ImageFile(Path(image.location))
    for source in registry.datasets[image.dataset]().images(dataset_home(image.dataset)):
        if source.location == image.location:
            return source
    raise DatasetError(f"dataset `{image.dataset}` no longer has {image.location}")
