"""Handing units out to workers by Dask, and taking what comes back: the coordinator of a run on several machines."""

from __future__ import annotations

import contextlib
import queue
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import distributed

from qbench.cluster.dealing import Crew, Dealer
from qbench.cluster.luggage import Luggage
from qbench.cluster.on_worker import ACCELERATOR, SILENCE, TAKES_PART, do_unit, hear, stop
from qbench.cluster.units import Done, Unit, write_files
from qbench.errors import ClusterError
from qbench.execute.flow import ImageFlow
from qbench.execute.means import Means
from qbench.execute.scoring import failed_score
from qbench.execute.work import GIVING_UP, CellStarted, Event, ImageWork, Notice, Recorded, ScoringStarted, Stop
from qbench.records import CellRecord, Failure, ScoreRecord

KEPT = "what was done is kept, and the same command goes on with it"
LISTENING = 0.2
"""Seconds between two looks at whether to go on waiting."""
AHEAD = 2
"""Units for each slot that are with workers, or on their way: what one is done with is followed at once."""
MOST_BYTES = 2**29
"""Of originals and bitstreams that are on their way to workers."""
LOOKING = 1.0
"""Seconds between two looks at which workers there are."""
DOING: dict[str, type[CellStarted | ScoringStarted]] = {"coding": CellStarted, "scoring": ScoringStarted}
SPEAKING = SILENCE / 20
"""Seconds between two signs of life."""
FETCHING = 3.0
"""Seconds between two looks at whether a worker is there that a result is fetched from."""
LONELY = 60.0
"""Seconds without any worker, after which those that a scheduler has had are not waited for."""
TRIES = 3
"""Of a unit that fails for reasons of its worker's own."""
DEATHS = 2
"""Workers that end while they are at one cell, beside others, before it is tried alone; there once more is enough."""


@dataclass
class Flight:
    """A unit that a worker has, or will have.

    Attributes:
        sent: which try it is.
        size: bytes that travel with it.
        starts: how often a worker began it.
        worker: the name of the last one that did.
    """

    unit: Unit
    future: Any
    sent: int
    size: int = 0
    starts: int = 0
    worker: str = ""


@dataclass
class Arrived:
    """What Dask calls back with."""

    number: int
    future: Any


@dataclass
class Past:
    """What is known of a unit from earlier tries.

    Attributes:
        sent: how often it was handed out.
        ended: workers that ended while they were at it.
        failed: how often it failed otherwise.
    """

    sent: int = 0
    ended: list[str] = field(default_factory=list)
    failed: int = 0


class HandOut:
    """Hands out the units of a session.

    Args:
        client: Dask's, of the cluster.
        crew: says which workers there are.
        patient: whether to wait for workers however long that takes.
    """

    def __init__(
        self,
        client: distributed.Client,
        works: Sequence[ImageWork],
        means: Means,
        stop: Stop,
        crew: Callable[[], Crew],
        events: queue.SimpleQueue[Any],
        *,
        patient: bool,
    ) -> None:
        self._client = client
        self._wanted = {(work.image.name, cell.point.id): cell for work in works for cell in work.cells}
        self._means = means
        self._session = means.setup.session
        self._folder = means.setup.folder
        self._plan = means.setup.plan
        self._stop = stop
        self._crew = crew
        self._events = events
        self._dealer = Dealer(self._plan, crew(), means.seconds)
        self._address = client.scheduler_info()["address"]
        self._pending: deque[Unit] = deque(self._dealer.units(works))
        self._suspects: deque[Unit] = deque()
        self._flying: dict[int, Flight] = {}
        self._luggage = Luggage(client, works, means)
        for unit in self._pending:
            self._luggage.expect(unit)
        self._past: dict[int, Past] = {}
        self._told: set[str] = set()
        self._patient = patient
        self._there = time.monotonic()
        self._looked, self._known_slots = -LOOKING, 0
        self._heard = time.monotonic()
        self._asked_to_stop = False

    def run(self) -> Generator[Event]:
        """Yield events until all is done, or the work was stopped."""
        self._client.subscribe_topic(self._session, lambda event: self._events.put(event[1]))
        try:
            yield from self._run()
        except OSError as error:
            if self._client.status != "running":
                raise self._unreachable() from error
            raise ClusterError(f"the Dask scheduler at {self._address}: {error}; {KEPT}") from error
        finally:
            self._end()

    def _run(self) -> Iterator[Event]:
        while self._flying or ((self._pending or self._suspects) and not self._stop.is_set()):
            self._send()
            yield from self._take()
            if self._stop.is_set() and not self._asked_to_stop:
                self._ask_to_stop()
            if self._stop.overdue:
                return

    # -- out ----------------------------------------------------------------------------------------------------------

    def _send(self) -> None:
        """Give workers units, as many as they have room for; what is suspected of ending workers by itself at last."""
        while self._pending and not self._stop.is_set() and self._room():
            self._submit(self._pending.popleft())
        if self._suspects and not (self._pending or self._flying or self._stop.is_set()):
            self._submit(self._suspects.popleft())

    def _room(self) -> bool:
        size = sum(flight.size for flight in self._flying.values())
        return len(self._flying) < AHEAD * self._slots() + 2 and size + self._luggage.size < MOST_BYTES

    def _slots(self) -> int:
        """Return how many units workers do at a time, as it was a moment ago."""
        if time.monotonic() - self._looked > LOOKING:
            self._looked, self._known_slots = time.monotonic(), self._crew().slots
            if self._looked - self._heard > SPEAKING:
                self._heard = self._looked
                self._client.run(hear, self._session, wait=False, on_error="ignore")  # of workers that just went
        return self._known_slots

    def _submit(self, unit: Unit) -> None:
        unit, originals = self._luggage.packed(unit)
        past = self._past.setdefault(unit.number, Past())
        past.sent += 1
        what = f"{TAKES_PART}-{self._session}", f"{ACCELERATOR}-{self._session}"
        future = self._client.submit(
            do_unit,
            unit,
            originals,
            self._session,
            past.sent,
            key=f"qbench-{self._session}-{unit.number}-{past.sent}",
            resources=dict.fromkeys(what if unit.accelerator else what[:1], 1),
            retries=0,
            pure=False,
        )
        self._flying[unit.number] = Flight(unit, future, past.sent, sum(map(len, unit.files.values())))
        future.add_done_callback(lambda future: self._events.put(Arrived(unit.number, future)))

    # -- back ---------------------------------------------------------------------------------------------------------

    def _take(self) -> Iterator[Event]:
        """Wait for something to come back, or to be told, and yield what it means."""
        try:
            event = self._events.get(timeout=LISTENING)
        except queue.Empty:
            self._require_connection()
            yield from self._require_workers()
            return
        if isinstance(event, Notice):
            yield from self._once(event.text)
        elif isinstance(event, Arrived):
            flight = self._flying.get(event.number)
            if flight is not None and flight.future is event.future:
                yield from self._arrived(flight)
        else:
            yield from self._said(event)

    def _said(self, event: Mapping[str, Any]) -> Iterator[Event]:
        """Take what a worker says: that it begins a unit, what it is doing, whether it takes part."""
        what, name = event["event"], event["name"]
        if what == "started":
            yield from self._started(event["unit"], event["sent"], name)
        elif what in DOING:
            yield DOING[what](event["image"], f"{event['about']} ({name})")
        elif what == "unfit":
            yield from self._once(f"worker {name} takes no part: {'; '.join(event['problems'])}")
        elif what == "fit":
            # Dask gives units that nobody could take to a worker that comes, but not when it says what it takes.
            for flight in [each for each in self._flying.values() if not each.starts]:
                del self._flying[flight.unit.number]
                flight.future.cancel()
                self._pending.appendleft(flight.unit)

    def _arrived(self, flight: Flight) -> Iterator[Event]:
        future, unit = flight.future, flight.unit
        if future.status == "finished":
            done = self._fetched(future)
            del self._flying[unit.number]
            if done is None:  # the worker has gone since
                self._pending.appendleft(unit)
            else:
                yield from self._done(unit, done)
            return
        if future.status != "error":  # cancelled: by the end of the connection, or with an original that was lost
            self._require_connection()
            self._luggage.forget(unit)
            yield from self._again(flight, "what it needs was lost with a worker")
            return
        error = future.exception()
        if isinstance(error, distributed.scheduler.KilledWorker):
            yield from self._ended(flight, str(error.last_worker.name if error.last_worker else "?"))
        else:
            yield from self._again(flight, f"{type(error).__name__}: {error}")

    def _fetched(self, future: Any) -> Done | None:
        """Return a result that a worker has; None if it has gone, and the result with it."""
        while True:
            try:
                done: Done = future.result(timeout=FETCHING)
                return done
            except TimeoutError:
                if not any(self._client.who_has([future]).values()):
                    future.cancel()
                    return None

    def _done(self, unit: Unit, done: Done) -> Iterator[Event]:
        for text in done.notices:
            yield from self._once(text)
        if done.unseen:
            self._luggage.send_along(done.unseen)
            yield from self._once(f"worker {done.worker} doesn't see the originals' files: they are sent along")
            self._pending.appendleft(unit)
            return
        write_files(self._folder, done.files)
        for point, seconds in done.seconds.items():
            self._means.seconds[point] = max(self._means.seconds.get(point, 0.0), seconds)
        if done.records:
            yield Recorded(done.records)
        further = self._luggage.scoring_of(unit, done, self._dealer)
        if further is not None:
            self._pending.appendleft(further)
            self._luggage.expect(further)
        self._past.pop(unit.number, None)
        self._luggage.unpack(unit)

    # -- trouble ------------------------------------------------------------------------------------------------------

    def _started(self, number: int, sent: int, worker: str) -> Iterator[Event]:
        flight = self._flying.get(number)
        if flight is None or flight.sent != sent:
            return
        flight.starts += 1
        if flight.starts > 1:  # Dask began it again by itself: the worker before is gone
            before, flight.starts = flight.worker, 1
            flight.future.cancel()
            yield from self._ended(flight, before)
        flight.worker = worker

    def _ended(self, flight: Flight, worker: str) -> Iterator[Event]:
        """Go on after a worker ended that had a unit: with it, its cells alone, or without the cell that did it."""
        unit = flight.unit
        past = self._past[unit.number]
        del self._flying[unit.number]
        if not flight.starts and past.sent % TRIES:  # it only waited there
            self._pending.appendleft(unit)
            return
        yield from self._once(f"worker {flight.worker or worker} has gone; what it was at is done elsewhere")
        past.ended.append(flight.worker or worker)
        if unit.cells > 1:
            for parts in unit.alone():
                alone = self._dealer.unit(parts, accelerator=unit.accelerator, later=unit.later)
                self._pending.append(alone)
                self._luggage.expect(alone)
            self._luggage.unpack(unit)
        elif len(past.ended) <= DEATHS:
            (self._pending if len(past.ended) < DEATHS else self._suspects).append(unit)
        else:
            yield from self._failed(unit, past)

    def _again(self, flight: Flight, reason: str) -> Iterator[Event]:
        """Do a unit again that failed for what is not its own fault, if it has not done so too often."""
        unit = flight.unit
        past = self._past[unit.number]
        del self._flying[unit.number]
        past.failed += 1
        if past.failed >= TRIES:
            raise ClusterError(f"worker {flight.worker or '?'} can't do {unit.name}: {reason}")
        yield from self._once(f"worker {flight.worker or '?'} failed ({reason}); what it was at is done again")
        self._pending.appendleft(unit)

    def _failed(self, unit: Unit, past: Past) -> Iterator[Event]:
        """Record that a cell ends the workers that it is done at."""
        ((work,), (part,)) = unit.works(self._plan), unit.parts
        (cell,) = work.cells
        flow = ImageFlow(work, 0, self._means)
        text = f"{len(past.ended)} workers ended while they were at it ({', '.join(past.ended)})"
        failure = Failure(plugin=cell.point.owner, error="WorkersEnded", message=text)
        self._past.pop(unit.number, None)
        self._luggage.unpack(unit)
        records: tuple[CellRecord | ScoreRecord, ...]
        if cell.coded is None:
            records = (flow.failed(self._wanted[part.image, cell.point.id], failure),)
        else:
            records = tuple(
                failed_score(self._plan, self._session, work.image, cell.coded, name, failure) for name in cell.metrics
            )
        yield Recorded(records)

    def _require_connection(self) -> None:
        """Raise ClusterError if the scheduler can't be reached any more."""
        if self._client.status != "running":
            raise self._unreachable()

    def _unreachable(self) -> ClusterError:
        return ClusterError(f"the Dask scheduler at {self._address} can't be reached any more; {KEPT}")

    def _require_workers(self) -> Iterator[Event]:
        """Tell, or raise ClusterError, if nobody has taken part for a while."""
        if self._slots() or not self._flying:
            self._there = time.monotonic()
        elif time.monotonic() - self._there > LONELY:
            if not self._patient:
                raise ClusterError(f"no worker has taken part for {LONELY:g} s; {KEPT}")
            yield from self._once("no worker takes part at the moment; the queue is waited for")

    def _once(self, text: str) -> Iterator[Event]:
        if text not in self._told:
            self._told.add(text)
            yield Notice(text)

    def _ask_to_stop(self) -> None:
        self._asked_to_stop = True
        self._pending.clear()
        self._suspects.clear()
        with contextlib.suppress(OSError):  # a connection that is lost is found out elsewhere
            # What is done by then comes back in time.
            self._client.run(
                stop, self._session, max(0.0, self._stop.patience - GIVING_UP), wait=False, on_error="ignore"
            )

    def _end(self) -> None:
        with contextlib.suppress(Exception):
            self._client.unsubscribe_topic(self._session)
            self._client.cancel([flight.future for flight in self._flying.values()], force=True)
        self._flying.clear()
        self._luggage.clear()
