"""The default latent coder: uniform quantisation, and range coding with tables of whole numbers.

Both ends must have exactly the same tables. They are made by arithmetic on whole numbers alone, so that no processor,
device or library version can make them differ.
"""

from __future__ import annotations

import decimal
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from qbench import BitstreamError

Levels = npt.NDArray[np.int32]

LARGEST = 511
"""Levels lie in [-LARGEST, LARGEST]."""
TOTAL = 1 << 24
"""The sum of every table of frequencies."""
PER_OCTAVE = 4
NARROWEST = -5
SPREADS = PER_OCTAVE * 14
"""Tables there are: standard deviations from 2^-5 steps of the quantiser on, four an octave."""
GROUP = 16
"""So many consecutive numbers of a latent are thought to spread alike, when neighbours tell how far."""
TRUST = 16
"""How many observations the expected spread is worth against those in neighbours."""


@cache
def frequencies(index: int) -> tuple[int, ...]:
    """Return the frequencies of the levels from -LARGEST to LARGEST; each at least 1, in all TOTAL.

    A Gaussian over the whole numbers, computed in decimal arithmetic, which is exact everywhere.
    """
    with decimal.localcontext(decimal.Context(prec=40)):
        deviation = decimal.Decimal(2) ** (decimal.Decimal(index) / PER_OCTAVE + NARROWEST)
        # A level k stands for what was rounded to it; that widens the distribution by a twelfth.
        variance = deviation * deviation + decimal.Decimal(1) / 12
        half = [(-(decimal.Decimal(k) ** 2) / (2 * variance)).exp() for k in range(LARGEST + 1)]
        whole = half[0] + 2 * sum(half[1:])
        room = TOTAL - (2 * LARGEST + 1)
        side = [1 + int(room * weight / whole) for weight in half]
    table = [*reversed(side[1:]), *side]
    table[LARGEST] += TOTAL - sum(table)
    return tuple(table)


@cache
def mean_magnitudes() -> npt.NDArray[np.int64]:
    """Return the mean |level| under each table, in 1/256; whole numbers, ascending."""
    magnitudes = np.abs(np.arange(-LARGEST, LARGEST + 1))
    return np.array([int((256 * np.array(frequencies(index)) * magnitudes).sum()) // TOTAL for index in range(SPREADS)])


class LatentCoder:
    """Codes a grid of quantised latents, rows × columns × numbers; both ends walk it in the same order.

    The table of a number follows from how far such numbers spread in general, and from what its left and upper
    neighbours have shown: a tile of sky is likely next to a tile of sky.
    """

    def __init__(self, expected: Levels, rows: int, columns: int) -> None:
        """Begin.

        Args:
            expected: indices of tables for each number of a latent, as far as is known beforehand.
            rows, columns: of the grid.
        """
        self._expected = np.clip(expected, 0, SPREADS - 1).astype(np.int64)
        self._grid = (rows, columns)
        self._levels = np.zeros((rows, columns, len(expected)), np.int32)

    def encode(self, levels: Levels) -> bytes:
        """Range-code levels of shape rows × columns × numbers, in [-LARGEST, LARGEST]."""
        import constriction

        coder = constriction.stream.queue.RangeEncoder()
        self._levels[:] = levels
        for row, column in np.ndindex(self._grid):
            tables = self._tables(row, column)
            for index in np.unique(tables):  # symbols of one table together: fewer, longer calls
                chosen = self._levels[row, column, tables == index] + LARGEST
                coder.encode(np.ascontiguousarray(chosen, np.int32), _model(int(index)))
        return bytes(coder.get_compressed().astype(">u4").tobytes()).rstrip(b"\0")

    def decode(self, data: bytes) -> Levels:
        """Decode what :meth:`encode` wrote.

        Raises:
            BitstreamError: the bytes can't have come from there.
        """
        import constriction

        padded = data + bytes(-len(data) % 4)
        coder = constriction.stream.queue.RangeDecoder(np.frombuffer(padded, ">u4").astype(np.uint32))
        for row, column in np.ndindex(self._grid):
            tables = self._tables(row, column)
            for index in np.unique(tables):
                chosen = tables == index
                try:
                    symbols = coder.decode(_model(int(index)), int(chosen.sum()))
                except (AssertionError, ValueError) as error:
                    raise BitstreamError(f"the latents' bits are damaged: {error}") from error
                self._levels[row, column, chosen] = symbols - LARGEST
        return self._levels

    def _tables(self, row: int, column: int) -> npt.NDArray[np.int64]:
        neighbours = [self._levels[row, column - 1]] if column else []
        neighbours += [self._levels[row - 1, column]] if row else []
        if not neighbours:
            return self._expected
        means = mean_magnitudes()
        # Whole numbers throughout: both ends must come to the same.
        shown = sum(np.add.reduceat(np.abs(levels).astype(np.int64), self._starts) for levels in neighbours)
        general = np.add.reduceat(means[self._expected], self._starts)
        sizes = np.diff([*self._starts, len(self._expected)])
        count = sizes * len(neighbours)
        # What was seen over what was to be expected, in 1/256, the expectation counting as TRUST observations.
        ratio = (256 * (TRUST * general + 256 * shown * sizes)) // np.maximum(1, general * (TRUST + count))
        wanted = means[self._expected] * np.repeat(ratio, sizes) // 256
        tables: npt.NDArray[np.int64] = np.clip(np.searchsorted(means, wanted), 0, SPREADS - 1)
        return tables

    @property
    def _starts(self) -> npt.NDArray[np.int64]:
        return np.arange(0, len(self._expected), GROUP)


@cache
def _model(index: int) -> Any:
    import constriction

    # Frequencies over a power of two are exact in floating point: nothing is rounded on the way.
    probabilities = np.array(frequencies(index), np.float64) / TOTAL
    return constriction.stream.model.Categorical(probabilities, perfect=False)
