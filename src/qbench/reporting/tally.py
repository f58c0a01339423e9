"""How far a run is, counted from its events."""

from __future__ import annotations

from collections import Counter

from qbench.execute import work
from qbench.records import CellRecord, Failure


class Tally:
    """Counts what a run's events tell: pass each on to :meth:`on_event`.

    Attributes:
        cells, jobs: how many there are in all; None before the run says so.
        cells_done, jobs_done: how many are done.
        failures: how many failed in this session.
    """

    def __init__(self) -> None:
        self.cells: int | None = None
        self.jobs = self.cells_done = self.jobs_done = self.failures = 0
        self._causes: Counter[tuple[str, str]] = Counter()

    def on_event(self, event: work.Event) -> list[str]:
        """Count an event; return what is worth a line."""
        if isinstance(event, work.Progress):
            self.cells, self.jobs = event.cells, event.jobs
            self.cells_done, self.jobs_done = event.cells_done, event.jobs_done
            if event.cells_done:
                scores = f"{event.jobs_done} of {event.jobs} scores"
                return [f"{event.cells_done} of {event.cells} cells and {scores} already done"]
        elif isinstance(event, work.Recorded):
            return self._recorded(event)
        elif isinstance(event, work.Notice):
            return [event.text]
        return []

    def _recorded(self, event: work.Recorded) -> list[str]:
        lines = []
        for record in event.records:
            if isinstance(record, CellRecord):
                self.cells_done += 1
                if record.outcome != "coded" and self.cells:
                    self.jobs_done += self.jobs // self.cells  # they are skipped
            elif record.image:  # not of an operating point as a whole, which comes on top
                self.jobs_done += 1
            if record.failure is not None:
                self.failures += 1
                lines += self._told(f"{record.image} · {record.point}", record.failure)
        return lines

    def _told(self, where: str, failure: Failure) -> list[str]:
        """Say a cause once; and that it is one of many when it comes the second time."""
        cause = failure.plugin, failure.message
        self._causes[cause] += 1
        if self._causes[cause] == 1:
            return [f"failed: {where} · {failure.plugin}: {failure.message.splitlines()[0]}"]
        if self._causes[cause] == 2:
            return [f"failed: {where}, and perhaps others, in the same way; the end says how many"]
        return []

    def __str__(self) -> str:
        """Say how far it is."""
        failed = f", {self.failures} failed" if self.failures else ""
        return f"{self.cells_done}/{self.cells} cells, {self.jobs_done}/{self.jobs} scores{failed}"
