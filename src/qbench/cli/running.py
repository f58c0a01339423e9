"""Commands that execute: run, plan, score."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qbench.cli.runs import RunName

if TYPE_CHECKING:
    from qbench.execute import Event, Stop
    from qbench.results import Run

SuitePath = Annotated[Path, typer.Argument(help="The suite, a YAML file.", show_default=False)]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Override a value: codecs.jpeg.quality=[10,50]. Repeatable."),
]
Profile = Annotated[str | None, typer.Option(help="Profile instead of the suite's own: bundled, hub, …")]
Seed = Annotated[int | None, typer.Option(help="Seed instead of the suite's own.")]
Jobs = Annotated[str, typer.Option("--jobs", "-j", metavar="N|auto", help="Worker processes; 1 works in this one.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
NoCache = Annotated[bool, typer.Option("--no-cache", help="Neither use nor fill the cache across runs.")]
FailFast = Annotated[bool, typer.Option("--fail-fast", help="Stop at the first failure.")]
RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="Try again what failed before.")]
Report = Annotated[bool, typer.Option("--report/--no-report", help="Write report.html into the run folder.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no tables at the end.")]

MOST_EXPLAINED = 200
"""Cells of a run whose scores are explained in the report that it ends with; `qbench report` explains any number."""
OK, SOME_FAILED, INTERRUPTED = 0, 1, 130


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command("run")(run_command)
    app.command("plan")(plan_command)
    app.command("score")(score_command)


def run_command(
    suite: SuitePath,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The run folder. Default: runs/<suite>-<key of its plan>.")
    ] = None,
    overrides: Overrides = None,
    profile: Profile = None,
    seed: Seed = None,
    jobs: Jobs = "1",
    device: Device = "auto",
    no_cache: NoCache = False,
    fail_fast: FailFast = False,
    retry_failed: RetryFailed = False,
    report: Report = True,
    quiet: Quiet = False,
) -> None:
    """Run a suite, or go on with a run of it that was interrupted.

    Exit code 0: all well; 1: some cells or scores failed; 2: bad input; 130: interrupted.
    """
    from qbench import api

    workers = _jobs(jobs)
    plan = api.plan_suite(suite, overrides=overrides or (), profile=profile, seed=seed)
    folder = output or api.default_folder(plan)
    with _watched() as watch:
        run = api.run(
            plan,
            output=folder,
            jobs=workers,
            device=device,
            cache=not no_cache,
            fail_fast=fail_fast,
            retry_failed=retry_failed,
            on_event=watch.on_event,
            stop=watch.stop,
        )
    _finish(run, watch.interrupted, quiet=quiet, report=report)


def score_command(
    run: RunName,
    metrics: Annotated[str, typer.Option("--metrics", "-m", help="Names of metrics, separated by commas.")],
    jobs: Jobs = "1",
    device: Device = "auto",
    no_cache: NoCache = False,
    fail_fast: FailFast = False,
    retry_failed: RetryFailed = False,
    report: Report = True,
    quiet: Quiet = False,
) -> None:
    """Score a run with further metrics, without coding anything anew."""
    from qbench import api

    workers = _jobs(jobs)
    path = api.find_run(run)
    names = [name.strip() for name in metrics.split(",") if name.strip()]
    with _watched() as watch:
        scored = api.score(
            path,
            names,
            jobs=workers,
            device=device,
            cache=not no_cache,
            fail_fast=fail_fast,
            retry_failed=retry_failed,
            on_event=watch.on_event,
            stop=watch.stop,
        )
    _finish(scored, watch.interrupted, quiet=quiet, report=report)


def plan_command(
    suite: SuitePath,
    overrides: Overrides = None,
    profile: Profile = None,
    seed: Seed = None,
    cells: Annotated[bool, typer.Option("--cells", help="List every cell with its content key.")] = False,
) -> None:
    """Print the images, cells and scoring jobs of a suite without running them."""
    from rich.console import Console

    from qbench import api
    from qbench.report.plans import print_plan

    plan = api.plan_suite(suite, overrides=overrides or (), profile=profile, seed=seed)
    print_plan(Console(), plan, api.default_folder(plan), cells=cells)


@dataclass
class _Watch:
    stop: Stop
    on_event: Callable[[Event], None]

    @property
    def interrupted(self) -> bool:
        """Whether the user asked to stop."""
        return self.stop.reason == "interrupted"


@contextlib.contextmanager
def _watched() -> Iterator[_Watch]:
    """Show progress, and let the first Ctrl-C end the work in good order."""
    from rich.console import Console

    from qbench.execute import Notice
    from qbench.report.progress import RunDisplay

    # OpenMP's threads otherwise spin while they wait, on cores that a codec could use: a tenth of the time on two
    # cores. It must be set before torch is loaded, and only a program that owns its process may do so.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with (
        RunDisplay(Console(stderr=True)) as display,
        interruptible(lambda text: display.on_event(Notice(text))) as stop,
    ):
        yield _Watch(stop, display.on_event)


@contextlib.contextmanager
def interruptible(say: Callable[[str], None]) -> Iterator[Stop]:
    """Yield a Stop that the first Ctrl-C (or SIGTERM) sets; the second ends the process at once."""
    from qbench.execute import Stop

    stop = Stop()

    def interrupt(number: int, frame: object) -> None:
        if stop.reason:
            os._exit(INTERRUPTED)  # what is on disk is whole at every instant
        stop.set("interrupted")
        say("stopping after what is in flight; press Ctrl-C again to stop at once")

    previous = [(number, signal.signal(number, interrupt)) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        yield stop
    finally:
        for number, handler in previous:
            signal.signal(number, handler)


def _finish(run: Run, interrupted: bool, *, quiet: bool, report: bool) -> None:
    from rich.console import Console

    from qbench import api
    from qbench.errors import QbenchError
    from qbench.report.page import write_page
    from qbench.report.tables import print_run

    console = Console()
    if not quiet:
        print_run(console, run)
    console.print(f"run folder: {run.path}", markup=False, highlight=False, soft_wrap=True)
    if report and not interrupted:
        path = run.path / "report.html"
        try:
            explained = api.explain_all(run) if run.plan.cells <= MOST_EXPLAINED else {}
            write_page(path, [run], api.original, {run.name: explained})
        except QbenchError as error:  # what was measured is there all the same
            console.print(f"no report: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        else:
            console.print(f"report: {path}", markup=False, highlight=False, soft_wrap=True)
    if run.failures:
        hint = f"qbench show {run.path} --failures shows their tracebacks"
        console.print(f"{len(run.failures)} failed; {hint}", style="red", markup=False, highlight=False, soft_wrap=True)
    if not run.complete:
        command = shlex.join(["qbench", *sys.argv[1:]])
        console.print(f"stopped before the end; to go on: {command}", markup=False, highlight=False, soft_wrap=True)
    if interrupted or run.failures or not run.complete:
        raise typer.Exit(INTERRUPTED if interrupted else SOME_FAILED)


def _jobs(text: str) -> int:
    if text == "auto":
        return 0
    if text.isascii() and text.isdigit() and 1 <= int(text) <= 1024:
        return int(text)
    raise typer.BadParameter(
        f"{text!r} is not accepted; write a whole number from 1 to 1024, or auto", param_hint="--jobs"
    )
