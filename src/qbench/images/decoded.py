"""What a file holds, before it becomes an original: samples at their own depth, and what says what they mean."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from qbench.errors import ImageError

Model = Literal["grey", "RGB", "CMYK"]
MOST_PIXELS = 178_956_970
"""Of an original, unless QBENCH_MAX_PIXELS says otherwise: half a gigabyte of 8-bit RGB."""


@dataclass(frozen=True)
class IccProfile:
    """Colours are described by an ICC profile (ISO 15076-1)."""

    data: bytes


@dataclass(frozen=True)
class CodePoints:
    """Colours are described by code points of ITU-T H.273, as in PNG's cICP and in AVIF's nclx."""

    primaries: int
    transfer: int


@dataclass(frozen=True)
class GammaAndPrimaries:
    """Colours are described by an exponent and chromaticities, as in PNG's gAMA and cHRM.

    Attributes:
        gamma: exponent from light to samples, such as 1/2.2; None means the transfer function of sRGB.
        chromaticities: x and y of white, red, green and blue; None means those of sRGB.
        name: for the note that says what was converted; empty where they have none.
    """

    gamma: float | None
    chromaticities: tuple[float, ...] | None
    name: str = ""


@dataclass(frozen=True)
class CurvesAndPrimaries:
    """Colours are described by tables, as TIFF's transfer function, and by chromaticities.

    Attributes:
        light: of every sample 0 … maximum, shape (maximum + 1)×1 or ×3, in [0, 1]; None means sRGB's.
        chromaticities: x and y of white, red, green and blue; None means those of sRGB.
    """

    light: npt.NDArray[np.float64] | None
    chromaticities: tuple[float, ...] | None


ColourDescription = IccProfile | CodePoints | GammaAndPrimaries | CurvesAndPrimaries


@dataclass
class Decoded:
    """The first image of a file.

    Attributes:
        samples: uint8 or uint16, shape H×W×C: 1 channel of grey, 3 of RGB, or 4 of CMYK (0 is no ink).
        maximum: the sample of white, or of full ink.
        alpha: opacity, shape H×W, with the same maximum; None where everything is opaque.
        premultiplied: whether the samples are multiplied by alpha.
        colour: what describes the colours; None is sRGB (a CMYK of no description likewise).
        orientation: as EXIF counts, 1 (upright) to 8; other values mean nothing.
        notes: what was converted while decoding.
    """

    samples: npt.NDArray[Any]
    maximum: int
    model: Model
    alpha: npt.NDArray[Any] | None = None
    premultiplied: bool = False
    colour: ColourDescription | None = None
    orientation: int = 1
    notes: list[str] = field(default_factory=list)


def from_channels(samples: npt.NDArray[Any], maximum: int) -> Decoded:
    """Split an array of shape H×W or H×W×C by its number of channels: grey, grey and alpha, RGB, RGB and alpha."""
    if samples.ndim == 2:
        samples = samples[..., None]
    channels = samples.shape[2]
    if samples.ndim != 3 or channels > 4 or samples.dtype not in (np.uint8, np.uint16):
        raise ImageError(f"samples of type {samples.dtype} and shape {samples.shape} are not supported")
    colours = 1 if channels < 3 else 3
    alpha = samples[..., colours] if channels > colours else None
    return Decoded(samples[..., :colours], maximum, "grey" if colours == 1 else "RGB", alpha)


def most_pixels() -> int:
    """Return how many pixels an original may have.

    Raises:
        ImageError: QBENCH_MAX_PIXELS is not a number.
    """
    text = os.environ.get("QBENCH_MAX_PIXELS", "")
    if text and not (text.isascii() and text.isdigit() and len(text) < 16):
        raise ImageError(f"QBENCH_MAX_PIXELS is `{text}`; accepted: a number of pixels, such as {MOST_PIXELS}")
    return int(text or MOST_PIXELS)


def require_size(width: int, height: int) -> None:
    """Refuse an image before it is decoded.

    Raises:
        ImageError: it has no pixels, or too many.
    """
    if width < 1 or height < 1:
        raise ImageError(f"{width}×{height} is not an image size")
    most = most_pixels()
    if width * height > most:
        raise ImageError(
            f"refused: {width}×{height} are {width * height} pixels, more than {most}; "
            "set QBENCH_MAX_PIXELS to accept more"
        )


def require_described(colour: ColourDescription | None) -> None:
    """Refuse colours that have no agreed conversion to sRGB, by their code points.

    Raises:
        ImageError: high dynamic range, or a transfer function of no standard.
    """
    if isinstance(colour, CodePoints) and colour.transfer in (16, 18):
        name = {16: "PQ", 18: "HLG"}[colour.transfer]
        raise ImageError(
            f"high dynamic range ({name} transfer function) has no agreed conversion to 8-bit sRGB; "
            "map its tones with a tool of your choice first"
        )
