"""What of a run is shown, where there is room for some of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qbench.errors import QbenchError, did_you_mean


@dataclass(frozen=True)
class Look:
    """What of a run a terminal shows.

    Attributes:
        columns: names; by default every metric's main one, as many as fit.
        wide: all columns with their standard deviations, in as many blocks as it takes.
        cells: the list of cells, however long it is.
        anchor: the codec that BD-rates are against; by default the one that is customary.
    """

    columns: tuple[str, ...] = ()
    wide: bool = False
    cells: bool = False
    anchor: str | None = None

    def check(self, known: Sequence[str]) -> None:
        """Check that the columns that are to be shown are there.

        Raises:
            QbenchError: one is not; with the nearest name.
        """
        for name in self.columns:
            if name not in known:
                raise QbenchError(f"no column `{name}`{did_you_mean(name, known)} (columns: {', '.join(known)})")
