"""The codec contract: pixels into a bitstream, a bitstream into pixels."""

from __future__ import annotations

import hashlib
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from qbench.models.weights import Weights

Pixels = npt.NDArray[np.uint8]
"""An 8-bit sRGB image, shape H×W×3, C-contiguous."""


class Parameters(BaseModel):
    """Base of every codec's and metric's parameter model.

    Give each field a description, a default and bounds: this model is the suite's validation, the command line's
    help, the JSON schema and the documentation. Unknown keys are refused, and a number written as text is not
    quietly converted.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class NoParameters(Parameters):
    """For codecs and metrics without settings."""


def _warn(text: str) -> None:
    warnings.warn(text, stacklevel=3)


@dataclass(frozen=True)
class Context:
    """What a run tells a codec or a metric about the place it works in.

    Attributes:
        device: a torch device string, ``"cpu"`` or ``"cuda:0"``.
        seed: the run's seed.
        profile: the suite's profile, ``"bundled"`` or ``"hub"``: which weights to load.
        notice: tells the person who runs this something that is no failure; say a thing once.
    """

    device: str = "cpu"
    seed: int = 0
    profile: str = "bundled"
    notice: Callable[[str], None] = field(default=_warn, repr=False, compare=False)

    def rng(self, pixels: Pixels) -> np.random.Generator:
        """Return a generator seeded from the run's seed and this image.

        Codecs that draw random numbers take them from here, so that a cell's result does not depend on which
        cells were coded before it, or in which process.
        """
        digest = hashlib.sha256(repr((self.seed, pixels.shape)).encode())
        digest.update(np.ascontiguousarray(pixels).data)
        return np.random.default_rng(int.from_bytes(digest.digest(), "big"))


@dataclass(frozen=True)
class Artifact:
    """Something that a person wants to see beside a cell's result: a loss curve, a picture of the latent.

    Attributes:
        name: a file name whose ending says what it is: ``"loss.csv"``, ``"latent.png"``.
        data: the file's contents.
        summary: one line on what it shows.
    """

    name: str
    data: bytes
    summary: str = ""


@dataclass(frozen=True)
class Knob:
    """The setting that trades bytes for quality, for suites that ask for a target: ``target: {bpp: 0.5}``.

    Attributes:
        parameter: its name.
        low, high: the values to look between, both accepted.
        rising: more bytes at higher values.
        whole: only whole numbers are accepted.
    """

    parameter: str
    low: float
    high: float
    rising: bool = True
    whole: bool = True


class Codec(ABC):
    """A codec at one operating point.

    An instance is made per operating point. The run decodes with an instance that did not encode, and another
    process or machine must be able to: size, settings and side information travel in the bitstream.

    Class attributes:
        name: how suites name it, lower case with hyphens.
        summary: one line for ``qbench plugins``.
        version: raise it when the bytes or pixels for the same input change; it is part of the cache key.
        file_extension: of stored bitstreams (``"jpg"`` lets an image viewer open them).
        reference: the standard or paper.
        deterministic: the same image, parameters and seed give the same bytes.
        lossless: decoding always gives the pixels back exactly, at every setting.
        runs_on: ``"cpu"``, or ``"accelerator"`` when it computes on ``context.device``.
        knob: the setting that a target is reached with; None if there is none.
        Parameters: the model of its settings.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    version: ClassVar[int] = 1
    file_extension: ClassVar[str] = "bin"
    reference: ClassVar[str] = ""
    deterministic: ClassVar[bool] = True
    lossless: ClassVar[bool] = False
    runs_on: ClassVar[Literal["cpu", "accelerator"]] = "cpu"
    knob: ClassVar[Knob | None] = None
    Parameters: ClassVar[type[Parameters]] = NoParameters

    def __init__(self, parameters: Any, context: Context) -> None:
        self.parameters = parameters
        self.context = context

    @abstractmethod
    def encode(self, image: Pixels) -> bytes:
        """Code an image.

        Args:
            image: uint8, shape H×W×3, sRGB. Not to be written to.

        Returns:
            The whole bitstream; the rate is its length.

        Raises:
            NotApplicable: this codec can't code such an image at all (sides too long for the format).
        """

    @property
    def batch_size(self) -> int:
        """How many images :meth:`encode_batch` takes at once to advantage; 1 unless overridden.

        A run that codes in one process hands over so many where it can. No artifacts are asked for then: a codec
        that is to leave some takes one image at a time.
        """
        return 1

    def encode_batch(self, images: Sequence[Pixels]) -> Sequence[bytes]:
        """Code several images, perhaps of different sizes, together: each to what :meth:`encode` makes of it.

        Only the rounding of a device that adds in another order may make a difference. If it raises anything, the run
        encodes these images one by one, so that each succeeds or fails alone.
        """
        return [self.encode(image) for image in images]

    @abstractmethod
    def decode(self, bitstream: bytes) -> Pixels:
        """Decode a bitstream into uint8, shape H×W×3, sRGB, of the size that was encoded.

        Raises:
            BitstreamError: the bytes are truncated, damaged or foreign. Check sizes before allocating.
        """

    def artifacts(self) -> Sequence[Artifact]:
        """Return what the latest :meth:`encode` of this instance left to look at; nothing, unless overridden.

        Not part of the bitstream, and not timed. Kept in the run folder, but not in the cache across runs.
        """
        return ()

    @classmethod
    def libraries(cls) -> dict[str, str]:
        """Name and version of the libraries that decide the bytes: ``{"libjpeg-turbo": "3.1.3"}``.

        Recorded as provenance and part of the cache key.
        """
        return {}

    @classmethod
    def weights(cls, parameters: Any, profile: str) -> Sequence[Weights]:
        """Return the weights that these parameters use in a profile.

        Asked when a run is planned: their digests are recorded and part of the cache key, and that they are here is
        checked before anything is coded.

        Raises:
            ModelError: there are none of that name.
        """
        return ()
