"""What the pixels cost."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, ClassVar

import numpy as np

from qbench.plugin import Candidates, Column, Direction, Metric, Pixels, Reference, Scope, Scores

LEVEL = 4
"""Of libdeflate; packs a little better than the usual level 6 of zlib, in a fifth of the time."""


class BitsPerPixel(Metric):
    """Size of the whole bitstream in bits, divided by width × height."""

    name = "bpp"
    summary = "bits per pixel of the whole bitstream"
    pooling = "total bits by total pixels"
    scope = Scope.RATE
    columns: ClassVar = (Column("bpp", Direction.LOWER, 0.0, None, "bit/pixel", 3),)

    def score(self, candidates: Candidates, prepared: Any) -> Sequence[Scores]:
        """Score a batch."""
        height, width = candidates.reference.pixels.shape[:2]
        return [{"bpp": 8 * size / (height * width)} for size in candidates.bitstream_sizes]

    @classmethod
    def pool(cls, column: str, values: Sequence[float], pixels: Sequence[int]) -> float:
        """Return total bits by total pixels."""
        return float(np.average(values, weights=pixels))


class CompressionRatio(Metric):
    """Size of the raw 8-bit RGB pixels, divided by the size of the bitstream. 24 / bpp."""

    name = "compression-ratio"
    summary = "raw RGB bytes / bitstream bytes"
    scope = Scope.RATE
    columns: ClassVar = (Column("compression-ratio", Direction.HIGHER, 0.0, None, "", 1, title="compression ratio"),)

    def score(self, candidates: Candidates, prepared: Any) -> Sequence[Scores]:
        """Score a batch."""
        raw = candidates.reference.pixels.size
        return [{"compression-ratio": raw / size} for size in candidates.bitstream_sizes]


class PngSizeRatio(Metric):
    """The “CR” of Minchev 2022: size of the reconstruction as PNG / size of the original as PNG.

    It says how much simpler the reconstruction has become, nothing about the bitstream. Both are written by the
    same encoder here (each row by the filter that leaves least, libdeflate's level 4, one IDAT chunk), so that a
    well-packed original file makes no difference; below 1 is smaller. Other encoders give ratios that differ by a few
    per cent.
    """

    name = "png-size-ratio"
    summary = "PNG bytes of the reconstruction / of the original (the thesis's CR)"
    version = 2
    scope = Scope.RATE
    reference = "Minchev 2022, Table 3.5, column CR; PNG: ISO/IEC 15948"
    columns: ClassVar = (Column("png-size-ratio", Direction.LOWER, 0.0, None, "", 2, title="PNG size ratio"),)

    def prepare(self, reference: Reference) -> int:
        """Return the size of the original as PNG."""
        return png_size(reference.pixels)

    def score(self, candidates: Candidates, prepared: Any) -> Sequence[Scores]:
        """Score a batch."""
        return [{"png-size-ratio": png_size(pixels) / prepared} for pixels in candidates.pixels]

    @classmethod
    def libraries(cls) -> dict[str, str]:
        """The libraries that filter, and that decide a PNG's size."""
        import imagecodecs

        return {"numba": version("numba"), "libdeflate": imagecodecs.deflate_version().removeprefix("libdeflate ")}


def png_size(pixels: Pixels) -> int:
    """Return how many bytes a PNG of these pixels has: signature, IHDR, IDAT and IEND."""
    return 8 + 25 + 12 + len(idat(pixels)) + 12


def idat(pixels: Pixels) -> bytes:
    """Return the image data of a PNG of 8-bit RGB: filtered rows in a zlib stream."""
    import imagecodecs

    from qbench_fidelity.png_kernel import filter_rows

    height, width = pixels.shape[:2]
    found = np.empty((height, 1 + 3 * width), np.uint8)
    filter_rows(np.ascontiguousarray(pixels).reshape(height, 3 * width), found)
    return bytes(imagecodecs.deflate_encode(found.tobytes(), level=LEVEL))
