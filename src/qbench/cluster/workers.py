"""Workers that a session's work is given to: what they are, and having them do it."""

from __future__ import annotations

import contextlib
import json
import queue
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from qbench.cluster.dealing import Crew
from qbench.cluster.units import Contract, WorkerReport
from qbench.errors import ClusterError
from qbench.execute.means import Means
from qbench.execute.work import Event, ImageWork, Stop
from qbench.planning.types import OperatingPoint, Plan, PlannedMetric

if TYPE_CHECKING:
    import distributed


TRIES = 3
"""Of telling all workers something, where one has just gone."""


class Cluster:
    """Workers that a session's work is given to.

    Args:
        label: what they were asked for by.
        wait: waits until there is a worker.
        own: whether they were started for this session alone, by it.
        patient: whether others may come after any time, as from a queue.
    """

    def __init__(
        self,
        client: distributed.Client,
        label: str,
        wait: Callable[[], None],
        *,
        own: bool,
        patient: bool,
    ) -> None:
        self.label = label
        self._client = client
        self._wait = wait
        self._own = own
        self._patient = patient
        self._kind: Mapping[str, str] | None = None
        self._device = "auto"
        self._reports: dict[str, WorkerReport] = {}

    # -- what they are ------------------------------------------------------------------------------------------------

    def look(self, participants: Sequence[OperatingPoint | PlannedMetric], device: str) -> None:
        """Find out what the workers are, and where their networks compute.

        Raises:
            ClusterError: one lacks qbench, or the accelerator that is asked for; or theirs are of several models.
        """
        from qbench.cluster import on_worker

        needed = device != "auto" or any(each.runs_on == "accelerator" for each in participants)
        self._device = device
        found = self._asked(on_worker.look, device, needed)
        self._reports = {address: each for address, each in found.items() if isinstance(each, WorkerReport)}
        self._refuse(
            {
                self._name(address): [_told(each)] if isinstance(each, Exception) else each.problems
                for address, each in found.items()
            }
        )
        kinds = {json.dumps(each.kind, sort_keys=True) for each in self._reports.values() if each.kind is not None}
        if len(kinds) > 1:
            raise ClusterError(
                f"{self.label}: workers have accelerators of several kinds ({'; '.join(sorted(kinds))}), whose results "
                "differ in their last digits; have workers of one kind, or choose --device cpu"
            )
        self._kind = json.loads(kinds.pop()) if kinds else None

    def require(self, plan: Plan) -> None:
        """Check that the workers' plugins, libraries and weights are those of a plan.

        Raises:
            ClusterError: some are not; the differences are listed.
        """
        from qbench.cluster import on_worker

        found = self._asked(on_worker.differs, plan)
        self._refuse(
            {
                self._name(address): [_told(each)] if isinstance(each, Exception) else each
                for address, each in found.items()
            }
        )
        hosts = Counter(each.host for each in self._reports.values())
        if plan.timing["exclusive"] and (max(hosts.values()) > 1 or any(w.threads > 1 for w in self._reports.values())):
            raise ClusterError(
                f"{self.label}: `timing: {{exclusive: true}}` measures with nothing beside it, but workers share a "
                "machine; have one worker with one thread on each, or leave `exclusive` out"
            )

    def _asked(self, function: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
        """Return what a function gives at each worker, or raises there; of those that are gone meanwhile, nothing."""
        while True:
            found: dict[str, Any] = self._client.run(function, *arguments, on_error="return")
            there = {address: each for address, each in found.items() if not isinstance(each, OSError)}
            if there:
                return there
            self._wait()

    def _refuse(self, problems: Mapping[str, Sequence[str]]) -> None:
        wrong = {name: each for name, each in problems.items() if each}
        if wrong:
            lines = [f"  {name}: {'; '.join(each)}" for name, each in sorted(wrong.items())]
            raise ClusterError(
                "\n".join([f"{self.label}: {len(wrong)} worker{'s' * (len(wrong) > 1)} can't take part:", *lines])
            )

    def _name(self, address: str) -> str:
        report = self._reports.get(address)
        return address if report is None else f"{report.name} on {report.host}"

    @property
    def kind(self) -> Mapping[str, str] | None:
        """What decides results on the workers' accelerators; None where networks compute on processors."""
        return self._kind

    @property
    def device_name(self) -> str:
        """The accelerators' model, or ``cpu``."""
        return next((each.device_name for each in self._reports.values() if each.kind is not None), "cpu")

    @property
    def slots(self) -> int:
        """How many units the workers do at a time."""
        return max(1, sum(each.threads for each in self._reports.values()))

    def provenance(self) -> dict[str, Any]:
        """Describe the workers as they were at first, in the terms of a session's provenance."""
        reports = list(self._reports.values())
        there = next((each for each in reports if each.kind is not None), None)
        return {
            "processor": "; ".join(sorted({each.processor for each in reports})),
            "cores": self.slots,
            "device": "cpu" if there is None else there.device,
            "device_name": self.device_name,
            "accelerators": None if there is None else there.accelerators,
            "jobs": self.slots,
            "cluster": {
                "scheduler": self.label,
                "workers": [
                    {"name": each.name, "host": each.host, "threads": each.threads, "device": each.device_name}
                    | {"processor": each.processor, **each.versions}
                    for each in reports
                ],
            },
        }

    # -- work ---------------------------------------------------------------------------------------------------------

    def work(
        self, works: Sequence[ImageWork], means: Means, stop: Stop, events: queue.SimpleQueue[Any]
    ) -> Generator[Event]:
        """Yield events until the work is done or stopped."""
        from qbench.cluster.hand_out import HandOut
        from qbench.cluster.on_worker import AtWork, plugin_name

        setup = means.setup
        neighbours = dict(Counter(each.host for each in self._reports.values()))
        contract = Contract(
            setup.plan, setup.session, self._device, setup.timing.repeats, setup.timing.budget, neighbours
        )
        name = plugin_name(setup.session)
        try:
            self._register(AtWork(contract, self._kind, own=self._own), name)
            crew = partial(self._crew, setup.session)
            yield from HandOut(self._client, works, means, stop, crew, events, patient=self._patient).run()
        finally:
            with contextlib.suppress(Exception):  # it may be gone
                self._client.unregister_worker_plugin(name)

    def _register(self, plugin: Any, name: str) -> None:
        """Have all workers take part, those that come later, too; again, if one goes meanwhile."""
        for left in reversed(range(TRIES)):
            try:
                self._client.register_plugin(plugin, name=name)
                return
            except OSError as error:
                if self._client.status != "running" or not left:
                    raise ClusterError(f"{self.label}: workers can't be reached: {error}") from error

    def _crew(self, session: str) -> Crew:
        """Return which workers take part now."""
        from qbench.cluster.on_worker import ACCELERATOR, TAKES_PART

        workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
        offered = [each["resources"] for each in workers if each["resources"].get(f"{TAKES_PART}-{session}")]
        with_one = [bool(each.get(f"{ACCELERATOR}-{session}")) for each in offered]
        slots = int(sum(each[f"{TAKES_PART}-{session}"] for each in offered))
        return Crew(slots, any(with_one), any(with_one) and not all(with_one))


def _told(error: Exception) -> str:
    """Say what a worker could not do."""
    if isinstance(error, ModuleNotFoundError) or "ModuleNotFoundError" in str(error):
        return f"qbench can't be imported there ({error})"
    return f"{type(error).__name__}: {error}"
