"""Where originals come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from qbench.errors import ImageError, shown
from qbench.images.image import Image
from qbench.images.reading import Alpha, read_image


class ImageSource(ABC):
    """Where an original comes from. Small and picklable: workers read the pixels themselves."""

    name: str

    @abstractmethod
    def read(self) -> Image:
        """Read and convert the image.

        Raises:
            ImageError: it can't be read; the text names the file and the reason.
        """

    @property
    @abstractmethod
    def location(self) -> str:
        """A path or address to show to people."""


@dataclass(frozen=True)
class ImageFile(ImageSource):
    """An image in a file."""

    path: Path
    name: str = ""
    alpha: Alpha = "white"

    def read(self) -> Image:
        """Read the file; see :func:`qbench.read_image`."""
        return read_image(self.path, alpha=self.alpha)

    @property
    def location(self) -> str:
        """The file's path."""
        return str(self.path)


def read_again(source: ImageSource, sha256: str, location: str) -> Image:
    """Read an original of a run.

    Raises:
        ImageError: it can't be read, or has changed since the run was planned.
    """
    image = source.read()
    if image.digest != sha256:
        raise ImageError(f"{shown(location)}: the image has changed since the run was planned")
    return image
