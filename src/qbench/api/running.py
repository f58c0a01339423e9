"""Making a plan, running it, scoring a run with more metrics."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypedDict, Unpack

from qbench.api.arguments import names
from qbench.api.finding import AnyRun, read_run
from qbench.api.run import Run
from qbench.api.runs import default_folder
from qbench.cluster.opening import open_cluster
from qbench.cluster.workers import Cluster
from qbench.contracts.codec import Codec
from qbench.contracts.metric import MetricDeclaration
from qbench.errors import ClusterError, QbenchError, StoreError, did_you_mean
from qbench.execute.accelerators import devices_for, kind_of
from qbench.execute.extending import require_extendable
from qbench.execute.observing import Observers
from qbench.execute.session import Session
from qbench.execute.starting import warm_up
from qbench.execute.work import Event, ExecutionOptions, Notice, Options, Recorded, Stop
from qbench.home import cache_home
from qbench.images.at_hand import ORIGINALS
from qbench.planning.making import make_plan, plan_metric, require_distinct
from qbench.planning.originals import found_again
from qbench.planning.placing import placed, with_metrics
from qbench.planning.types import OperatingPoint, Plan, PlannedMetric
from qbench.records import CellRecord
from qbench.registry.hookspecs import PROJECT
from qbench.registry.registry import Registry, registry_with
from qbench.reporting.notebook import NotebookDisplay, in_notebook
from qbench.store.cache import Cache
from qbench.store.copying import copy_run
from qbench.store.folder import RunFolder
from qbench.suite.images import resolve_images
from qbench.suite.load import load_metrics, load_suite
from qbench.suite.model import Suite


class Watching(TypedDict, total=False):
    """What else :func:`run` and :func:`score` take."""

    registry: Registry
    """Instead of what is installed."""
    plugins: Sequence[str | Path]
    """Files that are plugins, besides."""
    on_event: Callable[[Event], None]
    """Called with what happens, as it happens."""
    stop: Stop
    """Lets another thread ask the run to end soon."""


class RunOptions(ExecutionOptions, Watching, total=False):
    """All keyword arguments that :func:`run` and :func:`score` share."""


def plan(
    suite: str | Path | Mapping[str, Any],
    *,
    overrides: str | Sequence[str] = (),
    profile: str | None = None,
    seed: int | None = None,
    device: str = "auto",
    registry: Registry | None = None,
    plugins: str | Path | Sequence[str | Path] = (),
) -> Plan:
    """Read a suite and its images, and say what a run of it would do.

    Args:
        suite: path of a YAML file, or the same structure as a mapping.
        overrides: ``"codecs.jpeg.quality=[10,50]"`` and the like.
        profile, seed: instead of the suite's own.
        device: where its networks are to compute, as for :func:`run`; keys of their results tell that.
        registry: instead of what is installed.
        plugins: files that are plugins, besides.

    Raises:
        QbenchError: the suite or an image can't be used; the text lists everything found.
    """
    known = registry_with([plugins] if isinstance(plugins, (str, Path)) else plugins, registry)
    return _placed(_planned(suite, known, names(overrides), profile, seed), device)


def plan_to_run(
    suite: str | Path | Mapping[str, Any],
    *,
    overrides: Sequence[str] = (),
    profile: str | None = None,
    seed: int | None,
    device: str = "auto",
    plugins: Sequence[str | Path] = (),
) -> Plan:
    """Make a plan of what is installed, and meanwhile begin to start what will execute it.

    Raises:
        QbenchError: as :func:`plan`.
    """
    made = _planned(suite, registry_with(plugins), overrides, profile, seed, begin=True, own_program=True)
    return _placed(made, device)


def _planned(
    suite: str | Path | Mapping[str, Any],
    registry: Registry,
    overrides: Sequence[str],
    profile: str | None,
    seed: int | None,
    *,
    begin: bool = False,
    own_program: bool = False,
) -> Plan:
    loaded = load_suite(suite, registry, overrides=overrides, profile=profile, seed=seed)
    registry = registry_with(loaded.plugins, registry)
    if begin:
        libraries: set[str] = set()
        for point in loaded.points:
            libraries |= registry.codecs.offer(point.codec).ask("libraries").keys()
        for metric in loaded.metrics:
            libraries |= registry.metrics.offer(metric.metric).ask("libraries").keys()
        warm_up(libraries, pristine=own_program and _pristine(suite, loaded, registry))
    return make_plan(loaded, resolve_images(loaded, registry, ORIGINALS if begin else None), registry)


def _placed(planned: Plan, device: str) -> Plan:
    """Return a plan whose networks compute on a device."""
    return placed(planned, kind_of((*devices_for(planned.participants, device), "cpu")[0]))


def _pristine(suite: object, loaded: Suite, registry: Registry) -> bool:
    """Whether nobody's code but qbench's has run in this process: no plugin's, no suite's, none that settings name."""
    used: list[tuple[type[Codec] | type[MetricDeclaration], Mapping[str, Any]]] = [
        *((registry.codecs[point.codec], point.parameters) for point in loaded.points),
        *((registry.metrics[metric.metric], metric.parameters) for metric in loaded.metrics),
    ]
    return (
        all(info.distribution.lower() == PROJECT for info in registry.plugins)
        and str(suite).endswith((".yaml", ".yml"))
        and not any(cls.code(cls.Parameters.model_validate(dict(parameters), strict=False)) for cls, parameters in used)
    )


def run(
    suite: str | Path | Mapping[str, Any] | Plan,
    *,
    output: str | Path | None = None,
    overrides: str | Sequence[str] = (),
    profile: str | None = None,
    seed: int | None = None,
    **options: Unpack[RunOptions],
) -> Run:
    """Run a suite, or resume a run of it that was interrupted.

    Args:
        suite: path, mapping, or a plan that :func:`plan` made.
        output: the run folder; by default one below ``runs/`` named after the suite and the plan's key, so that
            the same suite resumes where it stopped and a changed one never touches an older run.
        overrides, profile, seed: as for :func:`plan`.
        jobs: how many things are done at a time, each on a core; ``"auto"`` means as many as there are cores.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:n"``.
        cache: whether to use and fill the cache across runs (True).
        fail_fast: whether to stop at the first failure (False).
        retry_failed: whether to try again what failed in an earlier session (False).
        shard: the part of the cells to do, ``"3/16"``; :func:`merge` puts parts together.
        cluster: workers on other machines, or several on this one: ``"local:4"``, ``"tcp://scheduler:8786"``, the path
            of a scheduler file, ``"slurm:8"``, … (docs/cluster.md).
        cluster_options: of dask-jobqueue's class for the batch system, by name: ``{"queue": ["gpu"]}``.
        in_process: run codecs and metrics in this process, to debug them (False); always so with a ``registry``.
        on_event: called with what happens, as it happens. Without it a notebook shows a bar.
        stop: a :class:`qbench.Stop` that lets another thread ask the run to end soon.
        registry: plugins to use instead of those that are installed.
        plugins: files that are plugins, besides: ``["mycodec.py"]``.

    Returns:
        The run; ``run.failures`` and ``run.complete`` say how it went. Failures inside plugins do not raise.

    Raises:
        QbenchError: bad input, or a run folder that can't be used.
        TypeError: an unknown option; or overrides, profile or seed for a plan, which has them already.
    """
    how = _checked(options)
    if isinstance(suite, Plan) and (overrides or profile is not None or seed is not None):
        raise TypeError("overrides, profile and seed belong to a suite; give them to qbench.plan")
    registry = _registry(options)
    separate = registry.portable and not how.in_process
    planned = (
        suite if isinstance(suite, Plan) else _planned(suite, registry, names(overrides), profile, seed, begin=separate)
    )
    with watched(options) as options, elsewhere_of(planned.participants, how, options) as elsewhere:
        planned = _placed(planned, how.device) if elsewhere is None else placed(planned, elsewhere.kind)
        folder = RunFolder(Path(output) if output is not None else default_folder(planned, how.shard))
        registry = registry_with(planned.plugins, registry)
        return _execute(planned, folder, how, options, elsewhere, registry, extend=False)


def score(
    run: AnyRun,
    metrics: str | Sequence[str],
    *,
    output: str | Path | None = None,
    originals: str | Path | None = None,
    trust: bool = False,
    **options: Unpack[RunOptions],
) -> Run:
    """Score a run with further metrics; nothing is encoded again.

    Args:
        run: the run, or its path or name.
        metrics: names of metrics, with their default settings.
        output: a folder for a copy of the run, which is scored while the run itself stays as it is.
        originals: a folder that the originals are found in (by their pixels) if they are no longer where they were.
        trust: whether codecs and metrics may work whose settings, in the run's folder, name code to run.
        options: as for :func:`run`.

    Raises:
        QbenchError: unknown metric, originals that are gone or have changed, nothing kept to score; or code that is
            named and not trusted. Nothing has been written then.
        TypeError: an unknown option.
    """
    how = _checked(options)
    found = read_run(run)
    folder, old = RunFolder(found.path), found.plan
    registry = registry_with(old.plugins if trust else (), _registry(options))
    if output is None and not os.access(found.path, os.W_OK):
        raise StoreError(f"{found.path}: can't be written to; --output FOLDER (in Python: output=…) scores a copy")
    if originals is not None:
        old = found_again(old, Path(originals))
    known = {metric.label: metric for metric in old.metrics}
    named = [plan_metric(metric, registry, old.profile) for metric in load_metrics(names(metrics), registry)]
    for metric in named:
        before = known.get(metric.label)
        if before is not None and (before.metric, before.parameters) != (metric.metric, metric.parameters):
            raise QbenchError(f"{found.path}: has a `{metric.label}` with other settings already; use another label")
    further = [metric for metric in named if metric.label not in known]
    with watched(options) as options, elsewhere_of(further, how, options) as elsewhere:
        kind = kind_of((*devices_for(further, how.device), "cpu")[0]) if elsewhere is None else elsewhere.kind
        planned = with_metrics(replace(old, metrics=(*old.metrics, *further)), kind, known)
        require_distinct(planned.metrics)
        if output is not None:
            state = folder.load()
            added = [metric for metric in planned.metrics if metric.label not in known]
            require_extendable(folder, planned, state, added, registry, trust=trust)
            folder = copy_run(folder, Path(output))
        planned = replace(planned, plugins=registry.files)
        return _execute(planned, folder, how, options, elsewhere, registry, extend=True, trust=trust)


def go_on(run: Run, **options: Unpack[RunOptions]) -> Run:
    """Do what is left of a run whose cells are all there.

    Raises:
        QbenchError: as :func:`score`.
    """
    return _execute(run.plan, RunFolder(run.path), _checked(options), options, None, _registry(options), extend=True)


@contextlib.contextmanager
def watched(options: RunOptions) -> Iterator[RunOptions]:
    """Let a notebook show how far a run is, unless somebody listens already."""
    if options.get("on_event") is not None or not in_notebook():
        yield options
        return
    with NotebookDisplay() as display:
        yield {**options, "on_event": display.on_event}


@contextlib.contextmanager
def elsewhere_of(
    participants: Sequence[OperatingPoint | PlannedMetric], how: Options, options: RunOptions
) -> Iterator[Cluster | None]:
    """Find or start the workers that options ask for, if they do.

    Raises:
        ClusterError: they can't be reached, or can't take part.
    """
    if how.cluster is None:
        yield None
        return
    if how.in_process or not _registry(options).portable:
        raise ClusterError("what works in one process can't work on a cluster; leave one of the two out")
    listener = options.get("on_event") or (lambda event: None)
    stop = options.get("stop")
    with open_cluster(how.cluster, how.cluster_options, lambda text: listener(Notice(text)), stop) as cluster:
        cluster.look(participants, how.device)
        yield cluster


def _registry(options: RunOptions) -> Registry:
    return registry_with(options.get("plugins", ()), options.get("registry"))


def _checked(options: RunOptions) -> Options:
    """Return how to execute.

    Raises:
        QbenchError: a value that is not accepted.
        TypeError: an unknown option.
    """
    known = [*ExecutionOptions.__annotations__, *Watching.__annotations__]
    for name in options:
        if name not in known:
            raise TypeError(f"unknown option `{name}`{did_you_mean(name, known)} (accepted: {', '.join(known)})")
    return Options(**{name: options[name] for name in Options.__dataclass_fields__ if name in options})  # type: ignore[literal-required]


def _execute(
    planned: Plan,
    folder: RunFolder,
    how: Options,
    options: RunOptions,
    elsewhere: Cluster | None,
    registry: Registry,
    *,
    extend: bool,
    trust: bool = True,
) -> Run:
    listener = options.get("on_event") or (lambda event: None)
    stop = options.get("stop") or Stop()
    cache = Cache(cache_home()) if how.cache else None

    def tell(text: str) -> None:
        listener(Notice(text))

    observers = Observers(planned, folder, registry, tell, in_process=how.in_process)

    def on_work(event: Event) -> None:
        listener(event)
        if isinstance(event, Recorded):
            for record in event.records:
                if isinstance(record, CellRecord):
                    observers.call("qbench_cell_coded", "record", record)

    try:
        session = Session(planned, folder, registry, how, cache, stop, elsewhere)
        begun = partial(observers.call, "qbench_run_started", "plan", planned)
        state = session.extend(on_work, begun, trust=trust) if extend else session.run(on_work, begun)
        finished = Run(folder.path, state)
        if finished.complete:
            observers.call("qbench_run_finished", "run", folder.path.absolute())
    finally:
        observers.close()
        if cache is not None:
            cache.close()
    return finished
