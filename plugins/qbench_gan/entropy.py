"""The default latent coder: which Gaussian scale each element of a latent is coded with."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from qbench.toolkit.range_coding import GaussianCdfs, SymbolDecoder, SymbolEncoder, Symbols

GROUP = 16
"""So many consecutive elements of a latent are assumed to have like scales, when neighbours tell which."""
TRUST = 16
"""How many observations the expected scale is worth against those in neighbours."""


class LatentCoder:
    """Codes a grid of quantised latents, rows × columns × elements; both ends walk it in the same order.

    The scale of an element follows from the scale of such elements in general, and from what its left and upper
    neighbours have shown: a tile of sky is likely next to a tile of sky.
    """

    def __init__(self, expected: Symbols, rows: int, columns: int) -> None:
        """Begin.

        Args:
            expected: scale index of each element of a latent, as far as is known beforehand.
            rows, columns: of the grid.
        """
        self._expected = np.clip(expected, 0, GaussianCdfs.COUNT - 1).astype(np.int64)
        self._grid = (rows, columns)
        self._symbols = np.zeros((rows, columns, len(expected)), np.int32)

    def encode(self, symbols: Symbols) -> bytes:
        """Range-code symbols of shape rows × columns × elements."""
        coder = SymbolEncoder()
        self._symbols[:] = symbols
        for place in np.ndindex(self._grid):
            coder.encode(self._symbols[place], self._scale_indices(*place))
        return coder.finish()

    def decode(self, data: bytes) -> Symbols:
        """Decode what :meth:`encode` wrote.

        Raises:
            BitstreamError: the bytes can't have come from there.
        """
        coder = SymbolDecoder(data)
        for place in np.ndindex(self._grid):
            self._symbols[place] = coder.decode(self._scale_indices(*place))
        return self._symbols

    def _scale_indices(self, row: int, column: int) -> npt.NDArray[np.int64]:
        neighbours = [self._symbols[row, column - 1]] if column else []
        neighbours += [self._symbols[row - 1, column]] if row else []
        if not neighbours:
            return self._expected
        means = GaussianCdfs.mean_magnitudes()
        # Integers throughout: both ends must get the same.
        shown = sum(np.add.reduceat(np.abs(symbols).astype(np.int64), self._starts) for symbols in neighbours)
        general = np.add.reduceat(means[self._expected], self._starts)
        sizes = np.diff([*self._starts, len(self._expected)])
        count = sizes * len(neighbours)
        # What was seen over what was to be expected, in 1/256, the expectation counting as TRUST observations.
        ratio = (256 * (TRUST * general + 256 * shown * sizes)) // np.maximum(1, general * (TRUST + count))
        wanted = means[self._expected] * np.repeat(ratio, sizes) // 256
        indices: npt.NDArray[np.int64] = np.clip(np.searchsorted(means, wanted), 0, GaussianCdfs.COUNT - 1)
        return indices

    @property
    def _starts(self) -> npt.NDArray[np.int64]:
        return np.arange(0, len(self._expected), GROUP)
