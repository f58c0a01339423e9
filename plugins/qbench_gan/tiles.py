"""Cutting an image into overlapping tiles, and blending tiles into an image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qbench.plugin import Pixels

Images = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Tiling:
    """A grid of tiles that covers an image.

    Attributes:
        width, height: of the image.
        tile_width, tile_height: of each tile.
        overlap: pixels that neighbours share.
    """

    width: int
    height: int
    tile_width: int
    tile_height: int
    overlap: int

    @property
    def columns(self) -> int:
        """Tiles side by side."""
        return _count(self.width, self.tile_width, self.overlap)

    @property
    def rows(self) -> int:
        """Tiles one above the other."""
        return _count(self.height, self.tile_height, self.overlap)

    def cut(self, pixels: Pixels) -> Pixels:
        """Return the tiles of an image, uint8, tiles × height × width × 3; past its edges the edge is repeated."""
        down = self.rows * (self.tile_height - self.overlap) + self.overlap - self.height
        right = self.columns * (self.tile_width - self.overlap) + self.overlap - self.width
        padded = np.pad(pixels, ((0, down), (0, right), (0, 0)), mode="edge")
        return np.stack(
            [padded[top : top + self.tile_height, left : left + self.tile_width] for top, left in self._corners()]
        )

    def blend(self, tiles: Images) -> Images:
        """Return the image, height × width × 3, of tiles × height × width × 3; neighbours fade into each other."""
        across, along = _fade(self.tile_width, self.overlap), _fade(self.tile_height, self.overlap)
        weights = (along[:, None] * across[None, :])[..., None]
        whole_height = self.rows * (self.tile_height - self.overlap) + self.overlap
        whole_width = self.columns * (self.tile_width - self.overlap) + self.overlap
        image = np.zeros((whole_height, whole_width, 3))
        total = np.zeros((whole_height, whole_width, 1))
        for tile, (top, left) in zip(tiles, self._corners(), strict=True):
            place = np.s_[top : top + self.tile_height, left : left + self.tile_width]
            image[place] += weights * tile
            total[place] += weights
        blended: Images = (image / total)[: self.height, : self.width]
        return blended

    def _corners(self) -> list[tuple[int, int]]:
        rows = [index * (self.tile_height - self.overlap) for index in range(self.rows)]
        columns = [index * (self.tile_width - self.overlap) for index in range(self.columns)]
        return [(top, left) for top in rows for left in columns]


def _count(length: int, tile: int, overlap: int) -> int:
    return max(1, -(-(length - overlap) // (tile - overlap)))


def _fade(length: int, overlap: int) -> Images:
    """Weights that rise over the overlap at one end and fall at the other; never 0."""
    ramp = (np.arange(overlap) + 1) / (overlap + 1)
    weights = np.ones(length)
    weights[:overlap] = ramp
    weights[length - overlap :] = np.minimum(weights[length - overlap :], ramp[::-1])
    return weights
