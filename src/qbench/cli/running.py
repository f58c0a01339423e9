"""Commands that execute: run, plan, score."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from qbench.cli.options import (
    Device,
    OriginalsFolder,
    Overrides,
    PluginFiles,
    Profile,
    Quiet,
    Report,
    Seed,
    SuitePath,
    Trust,
    executes,
    listed,
    shows,
)
from qbench.cli.runs import RunName

if TYPE_CHECKING:
    from qbench.execute.work import Event, ExecutionOptions, Stop
    from qbench.planning.types import Plan
    from qbench.reporting.look import Look
    from qbench.results.run import Run

MOST_EXPLAINED = 200
"""Cells of a run whose scores are explained in the report that it ends with; `qbench report` explains any number."""
PATIENCE = 3.0
"""Seconds that what is in progress has when a run is interrupted; then it is given up."""
OK, SOME_FAILED, INTERRUPTED = 0, 1, 130


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command("run")(run_command)
    app.command("plan")(plan_command)
    app.command("score")(score_command)


@shows
@executes
def run_command(
    suite: SuitePath,
    options: ExecutionOptions,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The run folder. Default: runs/<suite>-<key of its plan>.")
    ] = None,
    overrides: Overrides = None,
    profile: Profile = None,
    seed: Seed = None,
    shard: Annotated[
        str,
        typer.Option(
            metavar="I/N", help="Do the I-th of N parts; `qbench merge` puts them together.", show_default=False
        ),
    ] = "",
    requeue: Annotated[
        bool,
        typer.Option("--requeue", help="On SIGUSR1 (time is up) have this Slurm job queued again; say how it goes on."),
    ] = False,
    report: Report = True,
    quiet: Quiet = False,
    look: Look | None = None,
) -> None:
    """Start a run of a suite, or resume one that was interrupted.

    Exit code 0: all well; 1: some cells or scores failed; 2: bad input; 130: interrupted.
    """
    from qbench.api.running import run

    planned = planned_for(suite, options, overrides, profile, seed)
    options["shard"] = shard
    check_look(planned, look)
    with watched() as watch:
        made = run(planned, output=output, on_event=watch.on_event, stop=watch.stop, **options)
    try:
        finish(made, watch.interrupted, look, quiet=quiet, report=report, shard=shard)
    finally:
        if requeue and watch.stop.reason == TIME_IS_UP:
            _requeue()


def planned_for(
    suite: Path | Mapping[str, Any],
    options: ExecutionOptions,
    overrides: Sequence[str] | None,
    profile: str | None,
    seed: int | None,
) -> Plan:
    """Return the plan of a suite that is to be executed with these options.

    Raises:
        QbenchError: the suite or an image can't be used.
    """
    from qbench.api.running import plan, plan_to_run

    away = options.get("cluster") is not None
    return (plan if options.get("in_process") or away else plan_to_run)(
        suite,
        overrides=overrides or (),
        profile=profile,
        seed=seed,
        device="cpu" if away else options.get("device", "auto"),  # the cluster's own is known when it is reached
        plugins=cast("Sequence[Path]", options.get("plugins", ())),
    )


@shows
@executes
def score_command(
    run: RunName,
    metrics: Annotated[str, typer.Option("--metrics", "-m", help="Names of metrics, separated by commas.")],
    options: ExecutionOptions,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder for a copy that is scored in the run's place."),
    ] = None,
    originals: OriginalsFolder = None,
    trust: Trust = False,
    report: Report = True,
    quiet: Quiet = False,
    look: Look | None = None,
) -> None:
    """Score a run with further metrics; nothing is encoded again."""
    from qbench.api.running import score

    with watched() as watch:
        scored = score(
            run,
            listed([metrics]),
            output=output,
            originals=originals,
            trust=trust,
            on_event=watch.on_event,
            stop=watch.stop,
            **options,
        )
    finish(scored, watch.interrupted, look, quiet=quiet, report=report)


def plan_command(
    suite: SuitePath,
    overrides: Overrides = None,
    profile: Profile = None,
    seed: Seed = None,
    device: Device = "auto",
    cells: Annotated[bool, typer.Option("--cells", help="List every cell with its content key.")] = False,
    plugin: PluginFiles = None,
) -> None:
    """Print the images, cells and scoring jobs of a suite without running them."""
    from qbench.api.running import plan
    from qbench.api.runs import default_folder
    from qbench.reporting.console import Console
    from qbench.reporting.plans import print_plan

    planned = plan(suite, overrides=overrides or (), profile=profile, seed=seed, device=device, plugins=plugin or ())
    print_plan(Console(), planned, default_folder(planned), cells=cells)


@dataclass
class Watch:
    """What a command that executes is watched by."""

    stop: Stop
    on_event: Callable[[Event], None]

    @property
    def interrupted(self) -> bool:
        """Whether a user, or whoever the machine belongs to, asked to stop."""
        return self.stop.reason in ("interrupted", TIME_IS_UP)


@contextlib.contextmanager
def watched() -> Iterator[Watch]:
    """Show progress, and let the first Ctrl-C end the work in good order."""
    from qbench.execute.work import Notice
    from qbench.reporting.console import Console
    from qbench.reporting.progress import RunDisplay

    # OpenMP's threads otherwise spin while they wait, on cores that a codec could use: a tenth of the time on two
    # cores. It must be set before torch is loaded, and only a program that owns its process may do so.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with (
        RunDisplay(Console(stderr=True)) as display,
        interruptible(lambda text: display.on_event(Notice(text))) as stop,
    ):
        yield Watch(stop, display.on_event)


OF_QUEUES = getattr(signal, "SIGUSR1", None)
"""What batch systems send, if asked to, some time before they end a job."""
INTERRUPTING = [
    signal.SIGINT,
    signal.SIGTERM,
    *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []),
    *([] if OF_QUEUES is None else [OF_QUEUES]),
]
"""Ctrl-C, what ends a job of a cluster, a terminal that is closed, and a job's time that is nearly up."""
TIME_IS_UP = "time is up"


@contextlib.contextmanager
def interruptible(say: Callable[[str], None]) -> Iterator[Stop]:
    """Yield a Stop that the first Ctrl-C (SIGTERM, SIGHUP) sets; the second ends process and stations at once."""
    from qbench.execute.work import Stop

    stop = Stop()

    def interrupt(number: int, frame: object) -> None:
        if stop.reason:
            for act in stop.last_acts:
                with contextlib.suppress(Exception):
                    act()
            os._exit(INTERRUPTED)  # what is on disk is whole at every instant
        stop.set(TIME_IS_UP if number == OF_QUEUES else "interrupted", PATIENCE)
        say(f"finishing work in progress, for up to {PATIENCE:g} s; press Ctrl-C again to stop at once")

    previous = [(number, signal.signal(number, interrupt)) for number in INTERRUPTING]
    try:
        yield stop
    finally:
        for number, handler in previous:
            signal.signal(number, handler)


def _requeue() -> None:
    """Have the Slurm job that this is queued again, where it is one; say how the run goes on."""
    import subprocess

    again = shlex.join(["qbench", *sys.argv[1:]])
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    job = f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID")
    command = ["scontrol", "requeue", str(job)]
    if job is None:
        said = f"not a job of Slurm's; it goes on with: {again}"
    else:
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
            trouble = done.stderr.strip() if done.returncode else ""
        except (OSError, subprocess.SubprocessError) as error:
            trouble = str(error)
        said = f"job {job} is queued again; it goes on where it stopped"
        if trouble:
            said = f"{shlex.join(command)}: {trouble}; it goes on with: {again}"
    typer.echo(said)


def check_look(plan: Plan, look: Look | None) -> None:
    """Refuse what can't be shown of a plan's run, before it is run.

    Raises:
        QbenchError: no such column, or no such codec.
    """
    from qbench.errors import QbenchError, did_you_mean

    if look is None:
        return
    look.check([name for metric in plan.metrics for name in metric.column_ids()])
    labels = list(dict.fromkeys(point.label for point in plan.points))
    if look.anchor is not None and look.anchor not in labels:
        raise QbenchError(f"no codec `{look.anchor}`{did_you_mean(look.anchor, labels)} (codecs: {', '.join(labels)})")


def finish(
    run: Run,
    interrupted: bool,
    look: Look | None = None,
    *,
    quiet: bool,
    report: bool,
    shard: str = "",
    resume: str = "",
) -> None:
    """Print what came of a run, write its report, and end with the exit code that says how it went.

    Args:
        shard: which part of the run was to be done.
        resume: how it is gone on with, in words; by default by the same command.
    """
    from qbench.api.reporting import report as write_report
    from qbench.api.reporting import report_is_current, savings_of
    from qbench.errors import QbenchError
    from qbench.planning.shards import Shard
    from qbench.reporting.console import Console
    from qbench.reporting.look import Look
    from qbench.reporting.story import print_run

    console = Console()

    def say(text: str, style: str = "") -> None:
        console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

    complete = run.measured(Shard.parse(shard)) if shard else run.complete
    if not quiet and not shard:
        chosen = look or Look()
        print_run(console, run, chosen, found=savings_of(run, chosen.anchor))
    say(f"run folder: {run.path}")
    unwritten = False
    if report and not interrupted and not shard:
        try:
            if not report_is_current(run):
                write_report(run, explain=run.plan.cells <= MOST_EXPLAINED)
        except QbenchError as error:  # what was measured is available all the same
            unwritten = True
            say(f"no report: {error}", "red")
        else:
            say(f"report: {run.path / 'report.html'}")
    if run.failures:
        told = f"qbench show {run.path} --failures shows their tracebacks; --retry-failed tries them again"
        say(f"{len(run.failures)} failed; {told}", "red")
    if shard and complete:
        say(f"shard {shard} is done; `qbench merge RUN… -o FOLDER` puts shards together")
    if not complete:
        again = resume or f"resume with: {shlex.join(['qbench', *sys.argv[1:]])}"
        say(f"incomplete; {again}")
    if interrupted or run.failures or unwritten or not complete:
        raise typer.Exit(INTERRUPTED if interrupted else SOME_FAILED)
