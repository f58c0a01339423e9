"""What can be done now, and who does it: an image by one hand, as long as there are enough images."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from qbench.execute.work import ImageWork

MOST_MEMORY = 2**29
"""Bytes of the images in progress above which hands help each other rather than begin another."""
WAVE_MEMORY = 2**27
"""Bytes of an image's reconstructions that are there at the same time."""
LEAST_AT_ONCE = 2
BYTES_PER_PIXEL = 3


@dataclass(order=True)
class Task:
    """Something that one core can do now.

    Attributes:
        place: number of its group of images, then the later tasks of an image before its earlier ones.
        do: does it, and returns what can be done then; it is told which of the coordinator's hands does it.
    """

    place: tuple[int, int, int]
    do: Callable[[int], list[Task]] = field(compare=False)


@dataclass
class _Group:
    """A group of images that was begun: by whom, the memory it takes, what can be done, and how much is being done."""

    hand: int
    memory: int
    tasks: list[Task]
    at_work: int = 0


class TaskList:
    """The tasks that can be done.

    Each hand keeps to a group of images of its own: stations have the image in their caches, and what several operating
    points have in common is done once. Hands help with what is begun where no group is left, or its images are large.
    """

    def __init__(self) -> None:
        self._ahead: deque[tuple[Sequence[Task], int]] = deque()
        self._begun: dict[int, _Group] = {}

    def expect(self, tasks: Sequence[Task], memory: int) -> None:
        """Take the first tasks of a group, in the order of groups, and the bytes that it takes while in progress."""
        if tasks:
            self._ahead.append((tasks, memory))

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do, nor being done that could lead to more."""
        return not (self._ahead or self._begun)

    def take(self, hand: int) -> Task | None:
        """Give out a task; None if there is none before another is done.

        Args:
            hand: whose next one it is.
        """
        own = [group for group in self._begun.values() if group.tasks and group.hand == hand]
        begun = [group for group in self._begun.values() if group.tasks]
        if not own and self._ahead and (self._room or not self._begun):
            own = [self._begin(hand)]
        if not (own or begun):
            return None
        group = (own or begun)[0]
        group.at_work += 1
        return heapq.heappop(group.tasks)

    def done(self, task: Task, further: Sequence[Task]) -> None:
        """Take note that a task is done, and of what can be done then in its group."""
        group = self._begun[task.place[0]]
        group.at_work -= 1
        for each in further:
            heapq.heappush(group.tasks, each)
        if not group.tasks and not group.at_work:
            del self._begun[task.place[0]]

    @property
    def _room(self) -> bool:
        return sum(group.memory for group in self._begun.values()) + self._ahead[0][1] <= MOST_MEMORY

    def _begin(self, hand: int) -> _Group:
        tasks, memory = self._ahead.popleft()
        found = self._begun[tasks[0].place[0]] = _Group(hand, memory, list(tasks))
        heapq.heapify(found.tasks)
        return found


def memory_of(works: Sequence[ImageWork]) -> int:
    """Return the bytes of images and as many of their reconstructions as are there at the same time."""
    return sum(BYTES_PER_PIXEL * work.image.pixels * (1 + at_once(work)) for work in works)


def at_once(work: ImageWork) -> int:
    """Return how many of an image's reconstructions are there at the same time; they are scored together."""
    return min(len(work.cells), max(LEAST_AT_ONCE, WAVE_MEMORY // (BYTES_PER_PIXEL * max(1, work.image.pixels))))
