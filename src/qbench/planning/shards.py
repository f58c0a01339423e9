"""A run in parts that know nothing of each other: which cells of a plan are one's."""

from __future__ import annotations

import re
from dataclasses import dataclass

from qbench.errors import QbenchError
from qbench.planning.types import Plan

MOST_SHARDS = 100_000


@dataclass(frozen=True)
class Shard:
    """One of several parts of a plan, of about the same size, which together are all of it.

    Whole images are dealt out where there are at least as many of them as shards, else single cells.

    Attributes:
        number: from 1.
        of: how many there are.
    """

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Return the shard that ``3/16`` means.

        Raises:
            QbenchError: it means none.
        """
        found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
        if found is None or not 1 <= int(found[1]) <= int(found[2]) <= MOST_SHARDS:
            raise QbenchError(f"--shard {text}: accepted is NUMBER/COUNT, such as 3/16, of at most {MOST_SHARDS}")
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        """As it is written: ``3/16``."""
        return f"{self.number}/{self.of}"

    def holds(self, plan: Plan, image: int, point: int) -> bool:
        """Whether a cell belongs to it, which is given by the places of its image and operating point in the plan."""
        if len(plan.images) >= self.of:
            return image % self.of == self.number - 1
        return (image * len(plan.points) + point) % self.of == self.number - 1
