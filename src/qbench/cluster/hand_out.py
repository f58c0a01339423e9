"""Handing units out to workers by Dask, and taking what comes back: the coordinator of a run on several machines."""

from __future__ import annotations

import contextlib
import queue
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import distributed

from qbench.cluster.dealing import Crew, Dealer
from qbench.cluster.on_worker import ACCELERATOR, TAKES_PART, do_unit, stop
from qbench.cluster.units import CellPart, Done, ImagePart, Unit, write_files
from qbench.errors import ClusterError, NotApplicable
from qbench.execute.flow import ImageFlow
from qbench.execute.means import Means
from qbench.execute.scoring import failed_score
from qbench.execute.stations import PluginFailedError
from qbench.execute.tasks import BYTES_PER_PIXEL
from qbench.execute.work import GIVING_UP, CellStarted, Event, ImageWork, Notice, Recorded, ScoringStarted, Stop
from qbench.images.image import Image
from qbench.records import CellRecord, Failure, ScoreRecord

LISTENING = 0.2
"""Seconds between two looks at whether to go on waiting."""
AHEAD = 2
"""Units for each slot that are with workers, or on their way: what one is done with is followed at once."""
MOST_BYTES = 2**29
"""Of originals and bitstreams that are on their way to workers."""
TRIES = 3
"""Of a unit that fails for reasons of its worker's own."""
DEATHS = 2
"""Workers that end while they are at one cell, beside others, before it is tried alone; there once more is enough."""


@dataclass
class Flight:
    """A unit that a worker has, or will have.

    Attributes:
        size: bytes that travel with it.
        starts: how often a worker began it.
        worker: the name of the last one that did.
    """

    unit: Unit
    future: Any
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
    """

    def __init__(
        self,
        client: distributed.Client,
        works: Sequence[ImageWork],
        means: Means,
        stop: Stop,
        crew: Callable[[], Crew],
        events: queue.SimpleQueue[Any],
    ) -> None:
        self._client = client
        self._works = {work.image.name: work for work in works}
        self._wanted = {(work.image.name, cell.point.id): cell for work in works for cell in work.cells}
        self._means = means
        self._session = means.setup.session
        self._folder = means.setup.folder
        self._plan = means.setup.plan
        self._points = {point.id: point for point in self._plan.points}
        self._stop = stop
        self._crew = crew
        self._events = events
        self._dealer = Dealer(self._plan, crew(), means.seconds)
        self._address = client.scheduler_info()["address"]
        self._pending: deque[Unit] = deque(self._dealer.units(works))
        self._suspects: deque[Unit] = deque()
        self._flying: dict[int, Flight] = {}
        self._scattered: dict[str, Any] = {}
        self._units_of = Counter(part.image for unit in self._pending for part in unit.parts)
        self._past: dict[int, Past] = {}
        self._by_value: set[str] = set()
        self._told: set[str] = set()
        self._asked_to_stop = False

    def run(self) -> Generator[Event]:
        """Yield events until all is done, or the work was stopped."""
        self._client.subscribe_topic(self._session, lambda event: self._events.put(event[1]))
        try:
            while self._flying or ((self._pending or self._suspects) and not self._stop.is_set()):
                self._send()
                yield from self._take()
                if self._stop.is_set() and not self._asked_to_stop:
                    self._ask_to_stop()
                if self._stop.overdue:
                    return
        finally:
            self._end()

    # -- out ----------------------------------------------------------------------------------------------------------

    def _send(self) -> None:
        """Give workers units, as many as they have room for; what is suspected of ending workers by itself at last."""
        while self._pending and not self._stop.is_set() and self._room():
            self._submit(self._pending.popleft())
        if self._suspects and not (self._pending or self._flying or self._stop.is_set()):
            self._submit(self._suspects.popleft())

    def _room(self) -> bool:
        size = sum(flight.size for flight in self._flying.values())
        size += sum(BYTES_PER_PIXEL * self._works[name].image.pixels for name in self._scattered)
        return len(self._flying) < AHEAD * self._crew().slots + 2 and size < MOST_BYTES

    def _submit(self, unit: Unit) -> None:
        unit = replace(unit, files=self._files(unit))
        originals = {}
        for part in unit.parts:
            if part.image in self._by_value and not unit.looked_for:
                if (sent := self._sent(part)) is None:
                    unit = replace(unit, looked_for=True)
                else:
                    originals[part.image] = sent
        past = self._past.setdefault(unit.number, Past())
        past.sent += 1
        what = f"{TAKES_PART}-{self._session}", f"{ACCELERATOR}-{self._session}"
        future = self._client.submit(
            do_unit,
            unit,
            originals,
            self._session,
            key=f"qbench-{self._session}-{unit.number}-{past.sent}",
            resources=dict.fromkeys(what if unit.accelerator else what[:1], 1),
            retries=0,
            pure=False,
        )
        self._flying[unit.number] = Flight(unit, future, sum(map(len, unit.files.values())))
        future.add_done_callback(lambda future: self._events.put(Arrived(unit.number, future)))

    def _files(self, unit: Unit) -> Mapping[str, bytes]:
        """Return what a unit needs of the run folder: of cells that were coded before."""
        if unit.files:
            return unit.files
        found = {}
        for part in unit.parts:
            for cell in part.cells:
                if cell.coded is not None:
                    point = self._points[cell.point]
                    for path in (
                        self._folder.reconstruction_path(point, part.image),
                        self._folder.bitstream_path(point, part.image),
                    ):
                        if (data := self._folder.read_file(path)) is not None:
                            found[path.relative_to(self._folder.path).as_posix()] = data
                            break
        return found

    def _sent(self, part: ImagePart) -> Any:
        """Return an original as Dask has it, which takes it to each worker once; None if it can't be read here."""
        if part.image not in self._scattered:
            work = self._works[part.image]
            try:
                shared = self._means.read(work.source, work.image)
            except (PluginFailedError, NotApplicable):
                return None
            image = Image(shared.image.pixels.copy(), shared.image.format, shared.image.notes)
            shared.close()
            self._scattered[part.image] = self._client.scatter(image, hash=False)
        return self._scattered[part.image]

    # -- back ---------------------------------------------------------------------------------------------------------

    def _take(self) -> Iterator[Event]:
        """Wait for something to come back, or to be told, and yield what it means."""
        try:
            event = self._events.get(timeout=LISTENING)
        except queue.Empty:
            self._require_connection()
            return
        if isinstance(event, Notice):
            yield from self._once(event.text)
        elif isinstance(event, Arrived):
            flight = self._flying.get(event.number)
            if flight is not None and flight.future is event.future:
                yield from self._arrived(flight)
        elif "started" in event:
            yield from self._started(event["started"], event["worker"])
        elif "doing" in event:
            about = f"{event['about']} ({event['worker']})"
            kind = CellStarted if event["doing"] == "coding" else ScoringStarted
            yield kind(event["image"], about)
        elif "unfit" in event:
            yield from self._once(f"worker {event['unfit']} takes no part: {'; '.join(event['problems'])}")

    def _arrived(self, flight: Flight) -> Iterator[Event]:
        future, unit = flight.future, flight.unit
        if future.status == "finished":
            del self._flying[unit.number]
            yield from self._done(unit, future.result())
            return
        if future.status != "error":  # cancelled: by the end of the connection, or with an original that was lost
            self._require_connection()
            self._forget(unit)
            yield from self._again(flight, "what it needs was lost with a worker")
            return
        error = future.exception()
        if isinstance(error, distributed.scheduler.KilledWorker):
            yield from self._ended(flight, str(error.last_worker.name if error.last_worker else "?"))
        else:
            yield from self._again(flight, f"{type(error).__name__}: {error}")

    def _done(self, unit: Unit, done: Done) -> Iterator[Event]:
        for text in done.notices:
            yield from self._once(text)
        if done.unseen:
            self._by_value.update(done.unseen)
            yield from self._once(f"worker {done.worker} doesn't see the originals' files: they are sent along")
            self._pending.appendleft(unit)
            return
        write_files(self._folder, done.files)
        for point, seconds in done.seconds.items():
            self._means.seconds[point] = max(self._means.seconds.get(point, 0.0), seconds)
        if done.records:
            yield Recorded(done.records)
        further = self._scoring_of(unit, done)
        if further is not None:
            self._pending.appendleft(further)
        self._past.pop(unit.number, None)
        for part in unit.parts:
            self._units_of[part.image] -= 1
            if not self._units_of[part.image] and further is None:
                self._scattered.pop(part.image, None)

    def _scoring_of(self, unit: Unit, done: Done) -> Unit | None:
        """Return what is left to score where there is an accelerator, of cells that a processor has coded."""
        coded = {(each.image, each.point): each for each in done.records if isinstance(each, CellRecord)}
        parts, files = [], {}
        for part in unit.parts if unit.later else ():
            cells = []
            for cell in part.cells:
                record = coded.get((part.image, cell.point), cell.coded)
                left = tuple(n for n in self._wanted[part.image, cell.point].metrics if n in unit.later)
                if record is not None and record.outcome == "coded" and left:
                    cells.append(CellPart(cell.point, cell.key, record, left))
                    path = self._folder.bitstream_path(self._points[cell.point], part.image)
                    name = path.relative_to(self._folder.path).as_posix()
                    if name in done.files:
                        files[name] = done.files[name]
            if cells:
                parts.append(replace(part, cells=tuple(cells)))
                self._units_of[part.image] += 1
        if not parts:
            return None
        return replace(self._dealer.unit(tuple(parts), accelerator=True), files=files)

    # -- trouble ------------------------------------------------------------------------------------------------------

    def _started(self, number: int, worker: str) -> Iterator[Event]:
        flight = self._flying.get(number)
        if flight is None:
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
                self._pending.append(self._alone(unit, parts))
                self._units_of[parts[0].image] += 1
            for part in unit.parts:
                self._units_of[part.image] -= 1
        elif len(past.ended) <= DEATHS:
            (self._pending if len(past.ended) < DEATHS else self._suspects).append(unit)
        else:
            yield from self._failed(unit, past)

    def _alone(self, unit: Unit, parts: tuple[ImagePart, ...]) -> Unit:
        made = self._dealer.unit(parts, accelerator=unit.accelerator)
        return replace(made, later=unit.later)

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
        records: tuple[CellRecord | ScoreRecord, ...]
        if cell.coded is None:
            records = (flow.failed(self._wanted[part.image, cell.point.id], failure),)
        else:
            records = tuple(
                failed_score(self._plan, self._session, work.image, cell.coded, name, failure) for name in cell.metrics
            )
        yield Recorded(records)

    def _forget(self, unit: Unit) -> None:
        for part in unit.parts:
            self._scattered.pop(part.image, None)

    def _require_connection(self) -> None:
        """Raise ClusterError if the scheduler can't be reached any more."""
        if self._client.status != "running":
            raise ClusterError(
                f"the Dask scheduler at {self._address} can't be reached any more; what was done is kept, and the same "
                "command goes on with it"
            )

    def _once(self, text: str) -> Iterator[Event]:
        if text not in self._told:
            self._told.add(text)
            yield Notice(text)

    def _ask_to_stop(self) -> None:
        self._asked_to_stop = True
        self._pending.clear()
        self._suspects.clear()
        with contextlib.suppress(Exception):  # whatever is wrong with the connection is found out elsewhere
            # What is done by then comes back in time.
            self._client.run(stop, self._session, max(0.0, self._stop.patience - GIVING_UP), wait=False)

    def _end(self) -> None:
        with contextlib.suppress(Exception):
            self._client.unsubscribe_topic(self._session)
            self._client.cancel([flight.future for flight in self._flying.values()], force=True)
        self._flying.clear()
        self._scattered.clear()
