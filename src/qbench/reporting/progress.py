"""What a run shows while it executes: a live display on a terminal, a plain log elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from qbench.contracts.recipe import TrainingStep
from qbench.execute import work
from qbench.reporting.tally import Tally

LOG_EVERY_SECONDS = 10.0


def _bars(console: Console) -> Progress:
    """Return bars with count, time, time left and what is at hand; they show nothing where there is no terminal."""
    return Progress(
        TextColumn("[bold]{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[now]}", style="dim"),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )


class _Display:
    """Bars on a terminal, lines now and then elsewhere. Use it as a context manager."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = _bars(console)
        self._logged = time.monotonic()

    def __enter__(self) -> Self:
        """Start."""
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self._progress.stop()


class RunDisplay(_Display):
    """Listens to a run's events and shows them: pass :meth:`on_event` on."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._tally = Tally()
        self._cells: TaskID | None = None
        self._jobs: TaskID | None = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop; a last line says where it ended."""
        super().__exit__(kind, error, trace)
        if not self._console.is_terminal and self._cells is not None:
            self._log(last=True)

    def on_event(self, event: work.Event) -> None:
        """Show one event."""
        lines = self._tally.on_event(event)
        if isinstance(event, work.Progress):
            self._cells = self._progress.add_task("coded ", total=event.cells, now="")
            self._jobs = self._progress.add_task("scored", total=event.jobs, now="")
        elif isinstance(event, work.CellStarted):
            self._now(self._cells, f"{event.image} · {event.point}")
        elif isinstance(event, work.ScoringStarted):
            self._now(self._jobs, f"{event.image} · {event.metric}")
        if isinstance(event, (work.Progress, work.Recorded)) and self._cells is not None and self._jobs is not None:
            self._progress.update(self._cells, completed=self._tally.cells_done)
            self._progress.update(self._jobs, completed=self._tally.jobs_done)
        for line in lines:
            self._console.print(line, markup=False, highlight=False, style="yellow")
        if not self._console.is_terminal and time.monotonic() - self._logged > LOG_EVERY_SECONDS:
            self._log()

    def _now(self, task: TaskID | None, text: str) -> None:
        if task is not None:
            failed = f"  ({self._tally.failures} failed)" if self._tally.failures else ""
            self._progress.update(task, now=text + failed)

    def _log(self, *, last: bool = False) -> None:
        if self._cells is None:
            return
        self._logged = time.monotonic()
        left = 0.0 if last else max(task.time_remaining or 0.0 for task in self._progress.tasks)
        eta = f", about {left:.0f} s left" if left else ""
        self._console.print(f"{self._tally}{eta}", highlight=False)


class TrainingDisplay(_Display):
    """Shows a training: a bar with loss and time left on a terminal, a line now and then elsewhere."""

    def __init__(self, console: Console, name: str) -> None:
        super().__init__(console)
        self._task = self._progress.add_task(name, total=None, now="")
        self._loss: float | None = None

    def say(self, text: str) -> None:
        """Show a line."""
        self._console.print(text, markup=False, highlight=False)

    def on_step(self, step: TrainingStep) -> None:
        """Show one step; a loss is a moving average over about a hundred of them."""
        loss = step.values.get("loss")
        if loss is not None and not step.milestone:
            self._loss = loss if self._loss is None else 0.99 * self._loss + 0.01 * loss
        known = "" if self._loss is None else f", loss {self._loss:.3f}"
        if step.milestone:
            values = "".join(f", {name} {value:.4g}" for name, value in step.values.items() if name != "epoch")
            self.say(f"epoch {step.epoch}, step {step.done} of {step.total}{known}{values}")
            return
        now = f"epoch {step.epoch}{known}"
        self._progress.update(self._task, total=step.total, completed=step.done, now=now)
        if not self._console.is_terminal and time.monotonic() - self._logged > 6 * LOG_EVERY_SECONDS:
            self._logged = time.monotonic()
            self.say(f"step {step.done} of {step.total}, {now}")
