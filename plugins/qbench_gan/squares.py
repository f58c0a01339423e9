"""Training images out of any folder: small ones whole, squares cut out of larger ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from qbench.plugin import Pixels, QbenchError
from qbench.toolkit.files import replacing
from qbench.toolkit.training_data import training_images

CROPS = 24
"""Squares that are cut out of an image larger than one."""

Squares = npt.NDArray[np.uint8]


def load(data: Path, work: Path, size: int) -> tuple[Squares, Squares]:
    """Load training and held-out squares, each uint8, N×size×size×3, mapped from files in ``work``.

    Args:
        data: a folder; every image in it, in folders below, and in tar archives is used. Those with a folder or
            archive on their path whose name is or ends in ``val`` are held out.
        work: gets the decoded squares, so that they are cut once.

    Raises:
        QbenchError: nothing to train on, or nothing held out.
    """
    paths = [work / f"{part}-{size}.npy" for part in ("train", "val")]
    if not all(path.is_file() for path in paths):
        work.mkdir(parents=True, exist_ok=True)
        parts: tuple[list[Pixels], list[Pixels]] = ([], [])
        for index, image in enumerate(training_images(data)):
            parts[image.held_out].extend(_squares(image.pixels, size, index))
        for path, squares, what in zip(paths, parts, ("train on", "hold out"), strict=True):
            if not squares:
                raise QbenchError(f"{data}: no images to {what} (images in folders or archives *val are held out)")
            with replacing(path) as temporary:
                np.save(temporary, np.stack(squares))
    train, held_out = (np.load(path, mmap_mode="r") for path in paths)
    return train, held_out


def _squares(pixels: Pixels, size: int, seed: int) -> Iterator[Pixels]:
    image = Image.fromarray(pixels)
    shorter = min(image.size)
    if shorter < size:
        return
    if max(image.size) < 2 * size:
        yield np.asarray(image.resize((size, size), Image.Resampling.LANCZOS) if image.size != (size, size) else image)
        return
    # At many scales: what a tile of a photograph shows, and what a photograph as a whole shows.
    rng = np.random.default_rng(seed)
    for _ in range(CROPS):
        side = round(size * (shorter / size) ** rng.uniform())
        left, top = (int(rng.integers(length - side + 1)) for length in image.size)
        box = (left, top, left + side, top + side)
        yield np.asarray(image.resize((size, size), Image.Resampling.LANCZOS, box=box))
