"""Images to train on, from any folder. May change."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from qbench.errors import QbenchError
from qbench.images.image import Pixels

__all__ = ["TrainingImage", "random_crop", "split_images", "training_images"]

SUFFIXES = {".jpg", ".jpeg", ".png"}


@dataclass(frozen=True)
class TrainingImage:
    """An image to train on, or to measure the training's success with.

    Attributes:
        name: its path below the data folder; an archive is a folder in it.
        pixels: uint8, H×W×3.
    """

    name: str
    pixels: Pixels

    @property
    def held_out(self) -> bool:
        """Whether it must not be trained on: a folder or archive on its path has a name that ends in ``val``."""
        return any(part.endswith("val") for part in self.name.split("/")[:-1])


def training_images(data: Path) -> Iterator[TrainingImage]:
    """Yield every JPEG and PNG in a folder, in folders below it, and in tar archives there, in order of path.

    Raises:
        QbenchError: one of them can't be read.
    """
    for name, content in _files(data):
        try:
            with Image.open(io.BytesIO(content)) as opened:
                pixels = np.array(opened.convert("RGB"))
        except (UnidentifiedImageError, OSError) as error:
            raise QbenchError(f"{data}: the training image {name} can't be read: {error}") from error
        yield TrainingImage(name, pixels)


def split_images(data: Path, smallest: int) -> tuple[list[Pixels], list[Pixels]]:
    """Return the images to train on and those held out, without those of which a side is below ``smallest`` pixels.

    Raises:
        QbenchError: one of the two parts is empty, or an image can't be read.
    """
    parts: tuple[list[Pixels], list[Pixels]] = ([], [])
    for image in training_images(data):
        if min(image.pixels.shape[:2]) >= smallest:
            parts[image.held_out].append(image.pixels)
    for part, what in zip(parts, ("train on", "hold out"), strict=True):
        if not part:
            raise QbenchError(
                f"{data}: no images to {what} with sides of at least {smallest} pixels (images in folders or "
                "archives *val are held out)"
            )
    return parts


def random_crop(images: Sequence[Pixels], side: int, rng: np.random.Generator) -> Pixels:
    """Return a square crop of one of the images, none of whose sides is shorter; rotated and flipped at random.

    Half of them are of something larger, downscaled: other scales, and fewer traces of how the image was stored.
    """
    image = images[int(rng.integers(len(images)))]
    height, width = image.shape[:2]
    wide = int(rng.integers(side, min(2 * side, height, width) + 1)) if rng.random() < 0.5 else side
    top, left = int(rng.integers(height - wide + 1)), int(rng.integers(width - wide + 1))
    crop = image[top : top + wide, left : left + wide]
    if wide > side:
        crop = np.asarray(Image.fromarray(crop).resize((side, side), Image.Resampling.LANCZOS))
    turned: Pixels = np.rot90(crop, int(rng.integers(4)))
    return turned[:, ::-1] if rng.random() < 0.5 else turned


def _files(data: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(data.rglob("*")):
        name = path.relative_to(data).as_posix()
        if path.suffix.lower() in SUFFIXES:
            yield name, path.read_bytes()
        elif ".tar" in path.suffixes and path.is_file():
            with tarfile.open(path) as archive:
                for member in archive:
                    content = archive.extractfile(member) if Path(member.name).suffix.lower() in SUFFIXES else None
                    if content is not None:
                        yield f"{name.partition('.tar')[0]}/{member.name}", content.read()
