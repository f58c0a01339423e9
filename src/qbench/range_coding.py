"""Range coding of whole numbers that are spread like Gaussians: what most learned codecs end in.

Both ends must have exactly the same tables of frequencies, or a decoder on another machine reads nonsense. They are
made by arithmetic that is exact everywhere, and chosen by whole numbers: no processor, device or library version can
make them differ.
"""

from __future__ import annotations

import decimal
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from qbench.errors import BitstreamError

Levels = npt.NDArray[np.int32]

_PI = decimal.Decimal("3.14159265358979323846264338327950288419716939937510582097494459")


class GaussianTables:
    """Frequencies of rounded Gaussian numbers, of mean 0 and of standard deviations on a logarithmic scale.

    Class attributes:
        LARGEST: levels lie in [-LARGEST, LARGEST].
        TOTAL: the sum of the frequencies of a table.
        PER_OCTAVE: tables for each doubling of the standard deviation.
        NARROWEST: logarithm to base 2 of the first table's standard deviation.
        COUNT: tables there are.
    """

    LARGEST: ClassVar = 511
    TOTAL: ClassVar = 1 << 24
    PER_OCTAVE: ClassVar = 4
    NARROWEST: ClassVar = -5
    COUNT: ClassVar = 4 * 14

    @staticmethod
    @cache
    def frequencies(table: int) -> tuple[int, ...]:
        """Return the frequencies of the levels from -LARGEST to LARGEST; each at least 1, in all TOTAL.

        A level's probability is the integral of the Gaussian over what is rounded to it.
        """
        largest = GaussianTables.LARGEST
        with decimal.localcontext(decimal.Context(prec=64)):
            octaves = decimal.Decimal(table) / GaussianTables.PER_OCTAVE + GaussianTables.NARROWEST
            scale = decimal.Decimal(2) ** octaves * decimal.Decimal(2).sqrt()
            within = [_error_function((2 * level + 1) / (2 * scale)) for level in range(largest + 1)]
            half = [within[0], *((after - before) / 2 for before, after in pairwise(within))]
            room = GaussianTables.TOTAL - (2 * largest + 1)
            side = [1 + int(room * share / within[largest]) for share in half]
        frequencies = [*reversed(side[1:]), *side]
        frequencies[largest] += GaussianTables.TOTAL - sum(frequencies)
        return tuple(frequencies)

    @staticmethod
    @cache
    def mean_magnitudes() -> npt.NDArray[np.int64]:
        """Return the mean |level| under each table, in 1/256; whole numbers, ascending."""
        magnitudes = np.abs(np.arange(-GaussianTables.LARGEST, GaussianTables.LARGEST + 1))
        means = [
            int((256 * np.array(GaussianTables.frequencies(table)) * magnitudes).sum()) // GaussianTables.TOTAL
            for table in range(GaussianTables.COUNT)
        ]
        return np.array(means)


class LevelEncoder:
    """Range-codes levels."""

    def __init__(self) -> None:
        import constriction

        self._coder = constriction.stream.queue.RangeEncoder()

    def put(self, levels: Levels, tables: npt.NDArray[np.integer[Any]]) -> None:
        """Code levels in [-LARGEST, LARGEST], each with the table of that index; both of any, but the same, shape."""

        def code(model: Any, chosen: npt.NDArray[np.bool_]) -> None:
            symbols = levels[chosen].astype(np.int32) + GaussianTables.LARGEST
            self._coder.encode(np.ascontiguousarray(symbols), model)

        _by_table(tables, code)

    def finish(self) -> bytes:
        """Return the bytes."""
        # The decoder takes what is missing for zeros.
        return bytes(self._coder.get_compressed().astype(">u4").tobytes()).rstrip(b"\0")


class LevelDecoder:
    """Decodes what :class:`LevelEncoder` wrote, given the same tables in the same order."""

    def __init__(self, data: bytes) -> None:
        import constriction

        padded = data + bytes(-len(data) % 4)
        self._coder = constriction.stream.queue.RangeDecoder(np.frombuffer(padded, ">u4").astype(np.uint32))

    def take(self, tables: npt.NDArray[np.integer[Any]]) -> Levels:
        """Return as many levels as there are tables, in their shape.

        Raises:
            BitstreamError: the bytes can't have come from the encoder. (That is noticed by luck: most damage gives
                other levels.)
        """
        levels = np.zeros(tables.shape, np.int32)

        def decode(model: Any, chosen: npt.NDArray[np.bool_]) -> None:
            try:
                symbols = self._coder.decode(model, int(chosen.sum()))
            except (AssertionError, ValueError) as error:
                raise BitstreamError(f"the range coder's bits are damaged: {error}") from error
            levels[chosen] = symbols - GaussianTables.LARGEST

        _by_table(tables, decode)
        return levels


def _by_table(tables: npt.NDArray[np.integer[Any]], call: Callable[[Any, npt.NDArray[np.bool_]], None]) -> None:
    """Call with the model and the places of each table: symbols of one together are fewer, longer calls."""
    for table in np.unique(tables):
        call(_model(int(table)), tables == table)


@cache
def _model(table: int) -> Any:
    import constriction

    # Frequencies over a power of two are exact in floating point: nothing is rounded on the way.
    probabilities = np.array(GaussianTables.frequencies(table), np.float64) / GaussianTables.TOTAL
    return constriction.stream.model.Categorical(probabilities, perfect=False)


def _error_function(x: decimal.Decimal) -> decimal.Decimal:
    """Return erf(x) for x ≥ 0 by its Taylor series, in the precision of the context."""
    if x > 8:
        return decimal.Decimal(1)  # to 29 digits
    term = total = x
    square = x * x
    n = 0
    while abs(term) > decimal.Decimal("1e-34"):
        n += 1
        term = -term * square / n
        total += term / (2 * n + 1)
    return total * 2 / _PI.sqrt()
