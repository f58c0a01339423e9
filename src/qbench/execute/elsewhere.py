"""Other machines, as a session sees them: it gives them its work, and takes events."""

from __future__ import annotations

import queue
from collections.abc import Generator, Mapping, Sequence
from typing import Any, Protocol

from qbench.execute.means import Means
from qbench.execute.work import Event, ImageWork, Stop
from qbench.planning.types import Plan


class Elsewhere(Protocol):
    """Machines that code and score for a session."""

    @property
    def slots(self) -> int:
        """How much they do at a time."""

    @property
    def kind(self) -> Mapping[str, str] | None:
        """What decides results on their accelerators; None where networks compute on processors."""

    @property
    def device_name(self) -> str:
        """The accelerators' model, or ``cpu``."""

    def provenance(self) -> dict[str, Any]:
        """Describe them, in the terms of a session's provenance."""

    def require(self, plan: Plan) -> None:
        """Check that they are as a plan needs them.

        Raises:
            ClusterError: some are not; the differences are listed.
        """

    def work(
        self, works: Sequence[ImageWork], means: Means, stop: Stop, events: queue.SimpleQueue[Any]
    ) -> Generator[Event]:
        """Yield events until the work is done or stopped. Files of records that are yielded are in the run folder.

        Args:
            means: of the session, on this machine.
            events: where this machine's stations tell what they have to.

        Raises:
            ClusterError: they can't be reached any more.
        """
