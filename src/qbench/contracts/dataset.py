"""The dataset contract: a name for a set of images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

from qbench.errors import DatasetError
from qbench.images.sources import ImageSource

FetchProgress = Callable[[int, int, str], None]
"""Called with (files done, files in total, name of the current file)."""


class Dataset(ABC):
    """A named set of images.

    Class attributes:
        name: how suites name it.
        summary: one line for ``qbench datasets``.
        count: how many images it has.
        licence: what may be done with them.
        source: its public home.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    count: ClassVar[int]
    licence: ClassVar[str]
    source: ClassVar[str]

    @abstractmethod
    def images(self, home: Path) -> Sequence[ImageSource]:
        """List the images.

        Args:
            home: the folder that this dataset's files are kept in.

        Raises:
            DatasetError: they are not available; the text names the command that fetches them.
        """

    def present(self, home: Path) -> bool:
        """Whether :meth:`images` would work without fetching anything."""
        try:
            self.images(home)
        except DatasetError:
            return False
        return True

    def fetch(self, home: Path, progress: FetchProgress) -> None:
        """Fetch the images into ``home``. Never called unless a person asks for it."""
        raise DatasetError(f"dataset `{self.name}` has nothing to fetch: it ships with its plugin")
