"""Range coding of integers with Gaussian distributions: what most learned codecs end in. Stable.

Encoder and decoder must have exactly the same cumulative distributions (CDFs), or a decoder on another machine reads
nonsense. They are made by arithmetic that is exact everywhere, and chosen by integers: no processor, device or library
version can make them differ.
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

__all__ = ["GaussianCdfs", "SymbolDecoder", "SymbolEncoder", "Symbols"]

Symbols = npt.NDArray[np.int32]
"""Quantised values, in [-MAX_SYMBOL, MAX_SYMBOL]."""

_PI = decimal.Decimal("3.14159265358979323846264338327950288419716939937510582097494459")


class GaussianCdfs:
    """Quantised CDFs of rounded Gaussian variables of mean 0, with scales (standard deviations) in geometric steps.

    Class attributes:
        MAX_SYMBOL: symbols lie in [-MAX_SYMBOL, MAX_SYMBOL].
        TOTAL_FREQUENCY: the last value of every CDF.
        SCALES_PER_OCTAVE: scales for each doubling of the standard deviation.
        LOG2_MIN_SCALE: log2 of the scale of index 0.
        COUNT: number of scales.
    """

    MAX_SYMBOL: ClassVar = 511
    TOTAL_FREQUENCY: ClassVar = 1 << 24
    SCALES_PER_OCTAVE: ClassVar = 4
    LOG2_MIN_SCALE: ClassVar = -5
    COUNT: ClassVar = 4 * 14

    @staticmethod
    @cache
    def frequencies(scale_index: int) -> tuple[int, ...]:
        """Return the frequencies of the symbols from -MAX_SYMBOL to MAX_SYMBOL; each at least 1, summing to the total.

        A symbol's probability is the integral of the Gaussian over what is rounded to it.
        """
        largest = GaussianCdfs.MAX_SYMBOL
        with decimal.localcontext(decimal.Context(prec=64)):
            octaves = decimal.Decimal(scale_index) / GaussianCdfs.SCALES_PER_OCTAVE + GaussianCdfs.LOG2_MIN_SCALE
            scale = decimal.Decimal(2) ** octaves * decimal.Decimal(2).sqrt()
            within = [_error_function((2 * symbol + 1) / (2 * scale)) for symbol in range(largest + 1)]
            half = [within[0], *((after - before) / 2 for before, after in pairwise(within))]
            room = GaussianCdfs.TOTAL_FREQUENCY - (2 * largest + 1)
            side = [1 + int(room * share / within[largest]) for share in half]
        frequencies = [*reversed(side[1:]), *side]
        frequencies[largest] += GaussianCdfs.TOTAL_FREQUENCY - sum(frequencies)
        return tuple(frequencies)

    @staticmethod
    @cache
    def mean_magnitudes() -> npt.NDArray[np.int64]:
        """Return the mean absolute value of a symbol for each scale, in 1/256; integers, ascending."""
        magnitudes = np.abs(np.arange(-GaussianCdfs.MAX_SYMBOL, GaussianCdfs.MAX_SYMBOL + 1))
        means = [
            int((256 * np.array(GaussianCdfs.frequencies(index)) * magnitudes).sum()) // GaussianCdfs.TOTAL_FREQUENCY
            for index in range(GaussianCdfs.COUNT)
        ]
        return np.array(means)


class SymbolEncoder:
    """Range-codes symbols."""

    def __init__(self) -> None:
        import constriction

        self._coder = constriction.stream.queue.RangeEncoder()

    def encode(self, symbols: Symbols, scale_indices: npt.NDArray[np.integer[Any]]) -> None:
        """Code symbols, each with the CDF of that scale index; both of any, but the same, shape."""

        flat = symbols.ravel()

        def code(model: Any, chosen: npt.NDArray[np.intp]) -> None:
            self._coder.encode(flat[chosen].astype(np.int32) + GaussianCdfs.MAX_SYMBOL, model)

        _by_scale(scale_indices, code)

    def finish(self) -> bytes:
        """Return the bytes."""
        # The decoder takes what is missing for zeros.
        return bytes(self._coder.get_compressed().astype(">u4").tobytes()).rstrip(b"\0")


class SymbolDecoder:
    """Decodes what :class:`SymbolEncoder` wrote, given the same scale indices in the same order."""

    def __init__(self, data: bytes) -> None:
        import constriction

        padded = data + bytes(-len(data) % 4)
        self._coder = constriction.stream.queue.RangeDecoder(np.frombuffer(padded, ">u4").astype(np.uint32))

    def decode(self, scale_indices: npt.NDArray[np.integer[Any]]) -> Symbols:
        """Return as many symbols as there are scale indices, in their shape.

        Raises:
            BitstreamError: the bytes can't have come from the encoder. (That is noticed by luck: most damage gives
                other symbols.)
        """
        symbols = np.zeros(scale_indices.size, np.int32)

        def decode(model: Any, chosen: npt.NDArray[np.intp]) -> None:
            try:
                shifted = self._coder.decode(model, len(chosen))
            except (AssertionError, ValueError) as error:
                raise BitstreamError(f"the range coder's bits are damaged: {error}") from error
            symbols[chosen] = shifted - GaussianCdfs.MAX_SYMBOL

        _by_scale(scale_indices, decode)
        return symbols.reshape(scale_indices.shape)


def _by_scale(scale_indices: npt.NDArray[np.integer[Any]], call: Callable[[Any, npt.NDArray[np.intp]], None]) -> None:
    """Call with the model and the positions of each scale: symbols of one scale together are fewer, longer calls."""
    flat = scale_indices.ravel()
    order = np.argsort(flat.astype(np.uint8), kind="stable")  # bytes are sorted fast
    first = 0
    for index, count in enumerate(np.bincount(flat, minlength=GaussianCdfs.COUNT)):
        if count:
            call(_model(index), order[first : first + count])
            first += count


@cache
def _model(scale_index: int) -> Any:
    import constriction

    # Frequencies over a power of two are exact in floating point: nothing is rounded on the way.
    probabilities = np.array(GaussianCdfs.frequencies(scale_index), np.float64) / GaussianCdfs.TOTAL_FREQUENCY
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
