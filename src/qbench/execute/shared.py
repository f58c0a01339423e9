"""Images in memory that several processes read without a copy, and none can write to."""

from __future__ import annotations

import fcntl
import mmap
import os
import tempfile
from functools import cached_property

import numpy as np

from qbench.images.image import Image, PixelFormat

Description = tuple[tuple[int, ...], PixelFormat, tuple[str, ...]]
"""What the bytes in memory mean: shape, format and notes of the image."""


class SharedImage:
    """An image in memory of its own, behind a file descriptor that is handed from process to process.

    On Linux the memory is sealed once it is filled: nobody can write to it any more, whatever a mapping's flags say.
    """

    def __init__(self, descriptor: int, description: Description) -> None:
        self.descriptor = descriptor
        self.description = description

    @classmethod
    def of(cls, image: Image) -> SharedImage:
        """Copy an image into memory of its own."""
        descriptor = _new_memory()
        _fill(descriptor, image.pixels.data.cast("B"))
        if hasattr(fcntl, "F_ADD_SEALS") and hasattr(os, "memfd_create"):
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
        return cls(descriptor, (image.shape, image.format, image.notes))

    @cached_property
    def image(self) -> Image:
        """The image, read-only to the bottom: mapped, not copied. It remains when the descriptor is closed."""
        shape, form, notes = self.description
        memory = mmap.mmap(self.descriptor, 0, prot=mmap.PROT_READ)
        return Image(np.frombuffer(memory, form.dtype).reshape(shape), form, notes)

    def unmap(self) -> None:
        """Forget the mapping; it is mapped again when it is needed."""
        self.__dict__.pop("image", None)

    def __del__(self) -> None:
        """Give up the descriptor of what is forgotten."""
        self.close()

    def close(self) -> None:
        """Give up the descriptor; what is mapped stays."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def _new_memory() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("qbench-image", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _fill(descriptor: int, data: memoryview) -> None:
    """Write to memory as to a file: mapped, it would come page by page."""
    done = 0
    while done < len(data):
        done += os.write(descriptor, data[done:])
