"""Refusing images that a bitstream can't describe, in the same words everywhere. Stable."""

from __future__ import annotations

from qbench.errors import BitstreamError, NotApplicable
from qbench.images.image import Image

__all__ = ["MOST_PIXELS", "require_describable", "require_pixels", "require_sides"]

MOST_PIXELS = 1 << 28
"""Pixels of the largest image that a bitstream of qbench's own codecs describes: so that a damaged header does not ask
for all memory."""


def require_sides(image: Image, longest: int, what: str) -> None:
    """Refuse an image one of whose sides is longer than a format allows.

    Args:
        what: the format, as the message names it.

    Raises:
        NotApplicable: a side is longer than ``longest``.
    """
    if max(image.height, image.width) > longest:
        raise NotApplicable(f"{image.width}×{image.height} pixels; {what} codes sides up to {longest}")


def require_pixels(width: int, height: int) -> None:
    """Refuse sizes in a decoded header that no encoder writes.

    Raises:
        BitstreamError: more than :data:`MOST_PIXELS`.
    """
    if width * height > MOST_PIXELS:
        raise BitstreamError(f"{width}×{height} pixels in the header are more than any encoder writes")


def require_describable(image: Image, longest: int) -> None:
    """Refuse an image that exceeds the limits of a bitstream of qbench's own codecs.

    Raises:
        NotApplicable: a side is longer than ``longest``, or there are more than :data:`MOST_PIXELS` pixels.
    """
    if max(image.height, image.width) > longest or image.height * image.width > MOST_PIXELS:
        raise NotApplicable(
            f"{image.width}×{image.height} pixels exceed the limits of the bitstream: sides of {longest}, and "
            f"{MOST_PIXELS} pixels"
        )
