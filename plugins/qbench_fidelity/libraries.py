"""What the kernels of metrics on a processor are made of."""

from __future__ import annotations

import threading
from importlib.metadata import version
from typing import TYPE_CHECKING, Any


class _OpenCv(threading.local):
    """OpenCV, loaded where it is first used: whoever only lists or plans metrics doesn't wait for it.

    Each thread has its own, as IPP is switched off for a thread.
    """

    def __getattr__(self, name: str) -> Any:
        import cv2

        cv2.ipp.setUseIPP(False)  # no faster here, and what it rounds differs from processor to processor
        found = getattr(cv2, name)
        setattr(self, name, found)
        return found


if TYPE_CHECKING:
    import cv2 as cv2
else:
    cv2 = _OpenCv()


class Compiled:
    """A metric whose kernels on a processor are compiled by Numba, and take planes that OpenCV cut."""

    @classmethod
    def libraries(cls) -> dict[str, str]:
        """Numba's version, and OpenCV's."""
        return {"numba": version("numba"), "opencv": version("opencv-python-headless")}


class OpenCv:
    """A metric whose kernels on a processor are OpenCV's."""

    @classmethod
    def libraries(cls) -> dict[str, str]:
        """OpenCV's version."""
        return {"opencv": version("opencv-python-headless")}
