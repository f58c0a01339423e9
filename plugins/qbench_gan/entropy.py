"""The default latent coder: which of the Gaussian tables each number of a latent is coded with."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from qbench import GaussianTables, LevelDecoder, LevelEncoder

Levels = npt.NDArray[np.int32]

GROUP = 16
"""So many consecutive numbers of a latent are thought to spread alike, when neighbours tell how far."""
TRUST = 16
"""How many observations the expected spread is worth against those in neighbours."""


class LatentCoder:
    """Codes a grid of quantised latents, rows × columns × numbers; both ends walk it in the same order.

    The table of a number follows from how far such numbers spread in general, and from what its left and upper
    neighbours have shown: a tile of sky is likely next to a tile of sky.
    """

    def __init__(self, expected: Levels, rows: int, columns: int) -> None:
        """Begin.

        Args:
            expected: indices of :class:`qbench.GaussianTables` for each number of a latent, as far as is known
                beforehand.
            rows, columns: of the grid.
        """
        self._expected = np.clip(expected, 0, GaussianTables.COUNT - 1).astype(np.int64)
        self._grid = (rows, columns)
        self._levels = np.zeros((rows, columns, len(expected)), np.int32)

    def encode(self, levels: Levels) -> bytes:
        """Range-code levels of shape rows × columns × numbers."""
        coder = LevelEncoder()
        self._levels[:] = levels
        for place in np.ndindex(self._grid):
            coder.put(self._levels[place], self._tables(*place))
        return coder.finish()

    def decode(self, data: bytes) -> Levels:
        """Decode what :meth:`encode` wrote.

        Raises:
            BitstreamError: the bytes can't have come from there.
        """
        coder = LevelDecoder(data)
        for place in np.ndindex(self._grid):
            self._levels[place] = coder.take(self._tables(*place))
        return self._levels

    def _tables(self, row: int, column: int) -> npt.NDArray[np.int64]:
        neighbours = [self._levels[row, column - 1]] if column else []
        neighbours += [self._levels[row - 1, column]] if row else []
        if not neighbours:
            return self._expected
        means = GaussianTables.mean_magnitudes()
        # Whole numbers throughout: both ends must come to the same.
        shown = sum(np.add.reduceat(np.abs(levels).astype(np.int64), self._starts) for levels in neighbours)
        general = np.add.reduceat(means[self._expected], self._starts)
        sizes = np.diff([*self._starts, len(self._expected)])
        count = sizes * len(neighbours)
        # What was seen over what was to be expected, in 1/256, the expectation counting as TRUST observations.
        ratio = (256 * (TRUST * general + 256 * shown * sizes)) // np.maximum(1, general * (TRUST + count))
        wanted = means[self._expected] * np.repeat(ratio, sizes) // 256
        tables: npt.NDArray[np.int64] = np.clip(np.searchsorted(means, wanted), 0, GaussianTables.COUNT - 1)
        return tables

    @property
    def _starts(self) -> npt.NDArray[np.int64]:
        return np.arange(0, len(self._expected), GROUP)
