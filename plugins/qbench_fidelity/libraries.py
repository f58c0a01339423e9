"""What values of several metrics depend on."""

from __future__ import annotations

from importlib.metadata import version


class OpenCv:
    """A metric whose kernels on a processor are OpenCV's."""

    @classmethod
    def libraries(cls) -> dict[str, str]:
        """OpenCV's version."""
        return {"opencv": version("opencv-python-headless")}
