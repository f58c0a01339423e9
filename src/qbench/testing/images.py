"""Small images that find what goes wrong: one pixel, one row, odd sizes, flat colour, noise, a gradient."""

from __future__ import annotations

import numpy as np

from qbench.images.image import Image


def test_images() -> dict[str, Image]:
    """Return named images, 8-bit sRGB, the same at every call."""
    rng = np.random.default_rng(20220601)
    rows, columns = np.mgrid[0:48, 0:64]
    gradient = np.stack([rows * 5, columns * 3, (rows + columns) * 2], axis=2).astype(np.uint8)
    arrays = {
        "one pixel": np.array([[[200, 30, 60]]], dtype=np.uint8),
        "one row": rng.integers(0, 256, (1, 37, 3), dtype=np.uint8),
        "one column": rng.integers(0, 256, (29, 1, 3), dtype=np.uint8),
        "odd sides": rng.integers(0, 256, (13, 31, 3), dtype=np.uint8),
        "black": np.zeros((16, 16, 3), dtype=np.uint8),
        "white": np.full((17, 24, 3), 255, dtype=np.uint8),
        "gradient": gradient,
        "noise": rng.integers(0, 256, (40, 40, 3), dtype=np.uint8),
    }
    return {name: Image(array).frozen() for name, array in arrays.items()}


test_images.__test__ = False  # type: ignore[attr-defined]  # its name would make pytest collect it
