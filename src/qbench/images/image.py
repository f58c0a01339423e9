"""The image as a value: pixels that say how deep they are, in which colour space, and which channels they have."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
"""The samples of an 8-bit image, shape H×W×3."""

Samples = npt.NDArray[Any]
"""The samples of an image of any depth: uint8 up to 8 bits, else uint16; shape H×W×C."""

Channels = Literal["RGB", "grey", "RGBA"]
CHANNEL_COUNTS: dict[Channels, int] = {"RGB": 3, "grey": 1, "RGBA": 4}


@dataclass(frozen=True)
class PixelFormat:
    """What the numbers of an image mean.

    Attributes:
        bit_depth: bits per sample, 1 to 16; white is 2^bit_depth - 1.
        colour_space: ``"sRGB"`` (IEC 61966-2-1), or another by its customary name.
        channels: which, in this order.
    """

    bit_depth: int = 8
    colour_space: str = "sRGB"
    channels: Channels = "RGB"

    def __str__(self) -> str:
        """``8-bit sRGB``, with the channels where they are not red, green and blue."""
        return f"{self.bit_depth}-bit {self.colour_space}" + (f" ({self.channels})" if self.channels != "RGB" else "")

    @property
    def dtype(self) -> np.dtype[np.unsignedinteger[Any]]:
        """Type of the samples."""
        return np.dtype(np.uint8 if self.bit_depth <= 8 else np.uint16)


SRGB8 = PixelFormat()
"""8-bit sRGB, red, green and blue: what every original is read as, and what codecs accept unless they say otherwise."""


@dataclass(frozen=True, eq=False)
class Image:
    """An image. NumPy functions take it as the array of its samples; ``image.pixels`` is that array.

    Attributes:
        pixels: the samples, shape H×W×C, C-contiguous, of the type that the format asks for.
        format: what they mean.
        notes: conversions made when an original was read, in the order they were made; empty for all other images.
    """

    pixels: Samples
    format: PixelFormat = SRGB8
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what is no image.

        Raises:
            ValueError: not an array, or of another shape or type than the format asks for.
        """
        pixels: Any = self.pixels
        if not isinstance(pixels, np.ndarray) or pixels.dtype != self.format.dtype:
            kind = f"{pixels.dtype} array" if isinstance(pixels, np.ndarray) else type(pixels).__name__
            raise ValueError(f"{kind}, not a {self.format.dtype} array as a {self.format} image needs")
        if pixels.ndim != 3 or pixels.shape[2] != CHANNEL_COUNTS[self.format.channels] or not pixels.size:
            expected = f"height × width × {CHANNEL_COUNTS[self.format.channels]}"
            raise ValueError(f"an array of shape {pixels.shape}, not {expected} as a {self.format} image needs")
        object.__setattr__(self, "pixels", np.ascontiguousarray(pixels))

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """Return the samples, so that ``np.asarray(image)`` and every NumPy function take an image."""
        if copy is False and dtype is not None and np.dtype(dtype) != self.pixels.dtype:
            raise ValueError(f"{self.pixels.dtype} samples can't be given as {np.dtype(dtype)} without a copy")
        array: npt.NDArray[Any] = self.pixels if dtype is None else self.pixels.astype(dtype, copy=False)
        return array.copy() if copy else array

    def __getitem__(self, index: Any) -> Any:
        """Return samples, as indexing the array would: ``image[..., 0]`` is red."""
        return self.pixels[index]

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.pixels.shape[1])

    @property
    def shape(self) -> tuple[int, ...]:
        """Height, width and number of channels."""
        return self.pixels.shape

    @property
    def size(self) -> int:
        """Number of samples: height × width × channels."""
        return int(self.pixels.size)

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of shape, samples and, unless 8-bit sRGB, format: what an image *is*, whatever its file."""
        described = self.shape if self.format == SRGB8 else (self.shape, self.format)
        digest = hashlib.sha256(repr(described).encode())
        digest.update(self.pixels.data)
        return digest.hexdigest()

    def equals(self, other: Image) -> bool:
        """Whether format and every sample are the same."""
        return self.format == other.format and np.array_equal(self.pixels, other.pixels)

    def crop(self, top: int, left: int, height: int, width: int) -> Image:
        """Return a rectangle of the image."""
        return replace(self, pixels=self.pixels[top : top + height, left : left + width])

    def frozen(self) -> Image:
        """Return the image with samples of its own that can't be written to."""
        pixels = self.pixels.copy()  # always: whoever made the array may write to it, whatever its flags say
        pixels.setflags(write=False)
        return replace(self, pixels=pixels)

    def __repr__(self) -> str:
        """``<Image 768×512, 8-bit sRGB>``."""
        return f"<Image {self.width}×{self.height}, {self.format}>"


def encode_png(pixels: Pixels) -> bytes:
    """Return 8-bit RGB pixels as PNG, for keeping and showing."""
    import imagecodecs

    # Paeth-filtered rows with run-length matching only: as small as level 6 on photographs, ten times faster.
    strategy, paeth = imagecodecs.PNG.STRATEGY.RLE, imagecodecs.PNG.FILTER.PAETH
    return bytes(imagecodecs.png_encode(pixels, level=1, strategy=strategy, filter=paeth))
