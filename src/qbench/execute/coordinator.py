"""The coordinator: hands out the tasks of all images, as many at a time as there are cores to use."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace

from qbench.contracts.codec import Codec
from qbench.errors import NotApplicable
from qbench.execute.desks import Setting
from qbench.execute.groups import GroupFlow
from qbench.execute.means import Means, at_coder
from qbench.execute.stations import PluginFailedError, StoppedError
from qbench.execute.tasks import Task, TaskList, memory_of
from qbench.execute.work import GIVING_UP, Event, ImageWork, Recorded, Stop, WorkEvent
from qbench.planning.types import OperatingPoint
from qbench.registry.registry import Registry

MOST_PIXELS = 2**26
"""Pixels of a group that is coded together: its images are in memory at the same time."""
LISTENING = 0.2
"""Seconds between two looks at whether to go on waiting."""


@dataclass
class Taken:
    """An event, and whether whoever listens has taken it."""

    event: WorkEvent
    taken: threading.Event = field(default_factory=threading.Event)


class Coordinator:
    """Codes and scores images; runs no plugin's code itself.

    Args:
        hands: how many tasks are done at a time; each is a thread that waits for stations.
        events: where stations' notices go, too.
    """

    def __init__(
        self,
        works: Sequence[ImageWork],
        means: Means,
        registry: Registry,
        stop: Stop,
        hands: int,
        events: queue.SimpleQueue[Event | Taken | BaseException | None],
    ) -> None:
        self._works = works
        self._means = replace(means, emit=self.emit)
        self._registry = registry
        self._stop = stop
        self._hands = hands
        self._events = events
        self._changed = threading.Condition()
        self._tasks = TaskList()
        self._gone = threading.Event()

    def emit(self, event: WorkEvent) -> None:
        """Hand an event to whoever listens; return once records are stored, so that nobody works on unawares."""
        if not isinstance(event, Recorded):
            self._events.put(event)
            return
        handed = Taken(event)
        self._events.put(handed)
        while not (handed.taken.wait(LISTENING) or self._gone.is_set()):
            continue

    def run(self) -> Generator[Event]:
        """Yield events until the work is done or stopped."""
        sizes = self._batch_sizes()
        for number, group in enumerate(self._groups(max(sizes.values(), default=1))):
            self._tasks.expect(GroupFlow(group, number, self._means, sizes).begin(), memory_of(group))
        threads = [
            threading.Thread(target=self._work, args=(number,), name=f"qbench-hand-{number}", daemon=True)
            for number in range(self._hands)
        ]
        for thread in threads:
            thread.start()
        running = len(threads)
        trouble: BaseException | None = None
        try:
            while running:
                try:
                    event = self._events.get(timeout=LISTENING)
                except queue.Empty:
                    if self._stop.overdue:  # in this process nothing can be ended
                        return
                    continue
                if event is None:
                    running -= 1
                elif isinstance(event, BaseException):
                    trouble = trouble or event
                elif isinstance(event, Taken):
                    yield event.event
                    event.taken.set()
                else:
                    yield event
        finally:
            self._gone.set()
            if running:
                self._stop.set(patience=0)  # whoever listens has gone: leave nobody at work behind
                with self._changed:
                    self._changed.notify_all()
            for thread in threads:
                thread.join(2 * GIVING_UP)
        if trouble is not None:
            raise trouble

    def _work(self, hand: int) -> None:
        try:
            while (task := self._next(hand)) is not None:
                further: list[Task] = []
                try:
                    further = task.do(hand)
                finally:
                    with self._changed:
                        self._tasks.done(task, further)
                        self._changed.notify_all()
        except StoppedError:
            pass
        except BaseException as error:  # handed to whoever listens, who raises it
            self._stop.set()
            self._events.put(error)
        self._events.put(None)

    def _next(self, hand: int) -> Task | None:
        """Wait for something to do; None if there will be nothing any more."""
        with self._changed:
            while True:
                if self._stop.is_set() or self._tasks.finished:
                    self._changed.notify_all()
                    return None
                task = self._tasks.take(hand)
                if task is not None:
                    return task
                self._changed.wait(LISTENING)

    # -- several images at once ---------------------------------------------------------------------------------------

    def _groups(self, largest: int) -> Iterator[Sequence[ImageWork]]:
        """Split work into what is coded together: single images unless a codec takes more."""
        group: list[ImageWork] = []
        for work in self._works:
            pixels = sum(member.image.pixels for member in (*group, work))
            if group and (len(group) == largest or pixels > MOST_PIXELS):
                yield group
                group = []
            group.append(work)
        if group:
            yield group

    def _batch_sizes(self) -> dict[str, int]:
        """Return how many images the codecs of operating points take at once."""
        points = {cell.point.id: cell.point for work in self._works for cell in work.cells if cell.coded is None}
        return {name: self._batch_size(point) for name, point in points.items() if len(self._works) > 1}

    def _batch_size(self, point: OperatingPoint) -> int:
        if point.target is not None or self._registry.codecs[point.codec].batch_size is Codec.batch_size:
            return 1
        try:
            promises = at_coder(self._means, "encode", Setting(point), "all images", "promises")
        except (PluginFailedError, NotApplicable):  # it fails, with its reason, in each of its cells
            return 1
        size: int = promises.batch_size
        return size
