"""What can be done now, and who does it: an image by one hand, as long as there are enough images."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from qbench.execute.work import ImageWork

MOST_MEMORY = 2**29
"""Bytes of the images in progress above which hands help each other rather than begin another."""
WAVE_MEMORY = 2**27
"""Bytes of an image's reconstructions that are there at the same time."""
LEAST_AT_ONCE = 2
BYTES_PER_PIXEL = 3
GATHERED = 64
"""Images that are enough to be looked at together."""


@dataclass(frozen=True)
class Gathered:
    """How a task is done together with others of its kind.

    Attributes:
        kind: what those have in common.
        images: that it looks at.
        do: does several tasks, which are given by their subjects.
    """

    kind: str
    images: int
    subject: Any
    do: Callable[[Sequence[Any], int], list[Task]]


@dataclass(order=True)
class Task:
    """Something that one core can do now.

    Attributes:
        place: number of its group of images, then the later tasks of an image before its earlier ones.
        do: does it, and returns what can be done then; it is told which of the coordinator's hands does it.
        gathered: how it is done together with others, if it gains by that: it then waits for them.
        groups: numbers of all groups of images that it does something for.
    """

    place: tuple[int, int, int]
    do: Callable[[int], list[Task]] = field(compare=False)
    gathered: Gathered | None = field(default=None, compare=False)
    groups: tuple[int, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        """Take its own group for the only one unless others are given."""
        self.groups = self.groups or self.place[:1]


@dataclass
class _Group:
    """A group of images that was begun: by whom, the memory it takes, what can be done, and how much is being done.

    Tasks that wait for others of their kind are counted apart.
    """

    hand: int
    memory: int
    tasks: list[Task]
    at_work: int = 0
    waiting: int = 0


class TaskList:
    """The tasks that can be done.

    Each hand keeps to a group of images of its own: stations have the image in their caches, and what several operating
    points have in common is done once. Hands help with what is begun where no group is left, or its images are large.
    Tasks that gain by it wait until there are enough of their kind, or there is nothing else to do.
    """

    def __init__(self) -> None:
        self._ahead: deque[tuple[Sequence[Task], int]] = deque()
        self._begun: dict[int, _Group] = {}
        self._waiting: dict[str, list[tuple[Task, Gathered]]] = {}

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
        for kind, waiting in self._waiting.items():
            if sum(gathered.images for _, gathered in waiting) >= GATHERED:
                return self._together(kind)
        own = [group for group in self._begun.values() if group.tasks and group.hand == hand]
        begun = [group for group in self._begun.values() if group.tasks]
        if not own and self._ahead and (self._room or not self._begun):
            own = [self._begin(hand)]
        if not (own or begun):
            left = next(iter(self._waiting), None)
            return None if left is None else self._together(left)
        group = (own or begun)[0]
        group.at_work += 1
        return heapq.heappop(group.tasks)

    def done(self, task: Task, further: Sequence[Task]) -> None:
        """Take note that a task is done, and of what can be done then in its group."""
        for each in further:
            group = self._begun[each.place[0]]
            if each.gathered is None:
                heapq.heappush(group.tasks, each)
            else:
                self._waiting.setdefault(each.gathered.kind, []).append((each, each.gathered))
                group.waiting += 1
        for number in task.groups:
            group = self._begun[number]
            group.at_work -= 1
            if not (group.tasks or group.at_work or group.waiting):
                del self._begun[number]

    def _together(self, kind: str) -> Task:
        """Give out what waits of a kind as one task."""
        tasks, gathered = zip(*self._waiting.pop(kind), strict=True)
        for task in tasks:
            self._begun[task.place[0]].waiting -= 1
            self._begun[task.place[0]].at_work += 1
        groups = tuple(task.place[0] for task in tasks)
        if len(tasks) == 1:
            return Task(tasks[0].place, tasks[0].do)
        subjects = [each.subject for each in gathered]
        return Task(tasks[0].place, lambda hand: gathered[0].do(subjects, hand), groups=groups)

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
