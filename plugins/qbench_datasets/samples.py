"""Four images of the kinds that the thesis used, from scikit-image's own package data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage

from qbench.plugin import Dataset, Image, ImageError, ImageSource, read_image

SIDE = 512


@dataclass(frozen=True)
class Crop(ImageSource):
    """A square crop of one of scikit-image's images, resized to 512×512.

    Attributes:
        name: in the dataset.
        file: in ``skimage.data``.
        box: left, top, right, lower of the square that is cut out; a box that reaches past the image is filled
            with white there.
    """

    name: str
    file: str
    box: tuple[int, int, int, int]

    def read(self) -> Image:
        """Cut the square out; squares that are not 512 wide are resized with Lanczos' filter."""
        try:
            with (files("skimage.data") / self.file).open("rb") as opened:
                path = Path(opened.name)
        except (OSError, ModuleNotFoundError) as error:
            raise ImageError(f"{self.location}: not in the installed scikit-image: {error}") from error
        image = read_image(path)
        left, top, right, lower = self.box
        whole = PillowImage.fromarray(image.pixels)
        square = PillowImage.new("RGB", (right - left, lower - top), "white")
        square.paste(whole, (-left, -top))
        if square.size != (SIDE, SIDE):
            square = square.resize((SIDE, SIDE), PillowImage.Resampling.LANCZOS)
        pixels = np.array(square)
        pixels.setflags(write=False)
        return Image(pixels, notes=image.notes)

    @property
    def location(self) -> str:
        """``skimage.data/astronaut.png [0 0 512 512]``."""
        return f"skimage.data/{self.file} [{' '.join(map(str, self.box))}]"


SAMPLES = (
    Crop("face", "astronaut.png", (0, 0, 512, 512)),  # as it is
    Crop("animal", "chelsea.png", (76, 0, 376, 300)),  # the whole height, centred on the cat's face
    Crop("logo", "logo.png", (-6, -6, 506, 506)),  # as it is, a margin of 6 pixels of white around it
    Crop("tower", "rocket.jpg", (140, 0, 567, 427)),  # the whole height, the rocket and its tower in it
)


class Samples(Dataset):
    """Stand-ins for the four images of Minchev 2022: a face, an animal, a flat logo on white, a tower and sky."""

    name = "samples"
    summary = "four 512×512 images from scikit-image: face, animal, logo, tower"
    count = 4
    licence = "public domain (astronaut, rocket: NASA), CC0 (chelsea), BSD-3-Clause (logo)"
    source = "https://github.com/scikit-image/scikit-image/tree/main/src/skimage/data"

    def images(self, home: Path) -> Sequence[ImageSource]:
        """List the four images; nothing needs to be fetched."""
        return SAMPLES
