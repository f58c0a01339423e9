"""Originals that were read when a plan was made and are needed at once, so that they need not be read twice."""

from __future__ import annotations

import threading

from qbench.images.image import Image

MOST_MEMORY = 2**26
"""Bytes; what doesn't fit is read again."""


class AtHand:
    """Images by what they are, until they are taken or there is no room."""

    def __init__(self) -> None:
        self._images: dict[str, Image] = {}
        self._room = MOST_MEMORY
        self._lock = threading.Lock()

    def put(self, image: Image) -> None:
        """Keep an image, if there is room."""
        with self._lock:
            if image.digest not in self._images and image.pixels.nbytes <= self._room:
                self._room -= image.pixels.nbytes
                self._images[image.digest] = image

    def take(self, digest: str) -> Image | None:
        """Return an image, and keep it no longer."""
        with self._lock:
            image = self._images.pop(digest, None)
            if image is not None:
                self._room += image.pixels.nbytes
            return image

    def clear(self) -> None:
        """Keep none."""
        with self._lock:
            self._images.clear()
            self._room = MOST_MEMORY


ORIGINALS = AtHand()
"""Of the plan that is about to be executed in this process."""
