"""The codec contract: an image into a bitstream, a bitstream into an image."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from qbench.contracts.artifact import Artifact
from qbench.contracts.context import Context
from qbench.contracts.parameters import NoParameters, Parameters
from qbench.contracts.weights import Weights
from qbench.images.image import SRGB8, Image, PixelFormat


@dataclass(frozen=True)
class RateParameter:
    """The setting that trades bytes for quality, for suites that ask for a target: ``target: {bpp: 0.5}``.

    Attributes:
        name: of the setting.
        low, high: the values to search between, both accepted.
        increasing: higher values give more bytes.
        integer: only integers are accepted.
    """

    name: str
    low: float
    high: float
    increasing: bool = True
    integer: bool = True


@dataclass(frozen=True)
class Complexity:
    """What coding an image costs, wherever it runs. None where it is not known.

    Attributes:
        parameters: numbers that the networks learnt, at both ends together.
        encode_macs, decode_macs: multiply–adds for the whole image. One multiplication with its addition is one, so
            that these are half of what is counted as FLOPs.
        encode_memory, decode_memory: bytes that tensors take at the same time, weights included, at most.
    """

    parameters: int | None = None
    encode_macs: int | None = None
    decode_macs: int | None = None
    encode_memory: int | None = None
    decode_memory: int | None = None


class Codec(ABC):
    """A codec at one operating point.

    An instance is made per operating point. The run decodes with an instance that did not encode, and another
    process or machine must be able to: size, settings and side information travel in the bitstream.

    Class attributes:
        name: how suites name it, lower case with hyphens.
        summary: one line for ``qbench plugins``.
        version: bump it when the bytes or pixels for the same input change; it is part of the cache key.
        file_extension: of stored bitstreams (``"jpg"`` lets an image viewer open them).
        reference: the standard or paper.
        runs_on: ``"cpu"``, or ``"accelerator"`` when it computes on ``context.device``.
        threads: how many a call uses, where the codec fixes that; None means as many as numerical libraries may use.
            Recorded with its times.
        usual: whether it is compared where nobody says with what.
        usual_anchor: whether others are customarily compared with it, where nobody says with what.
        Parameters: the model of its settings.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    version: ClassVar[int] = 1
    usual_anchor: ClassVar[bool] = False
    usual: ClassVar[bool] = False
    file_extension: ClassVar[str] = "bin"
    reference: ClassVar[str] = ""
    runs_on: ClassVar[Literal["cpu", "accelerator"]] = "cpu"
    threads: ClassVar[int | None] = None
    Parameters: ClassVar[type[Parameters]] = NoParameters

    def __init__(self, parameters: Any, context: Context) -> None:
        self.parameters = parameters
        self.context = context

    def setup(self) -> None:  # noqa: B027 - most codecs need none
        """Load what coding needs, such as networks. Called once, before the first image; not timed."""

    def close(self) -> None:  # noqa: B027 - likewise
        """Release what :meth:`setup` took. Called once, when no more images come."""

    # -- coding -------------------------------------------------------------------------------------------------------

    @abstractmethod
    def encode(self, image: Image) -> bytes:
        """Code an image.

        Args:
            image: of a format that :meth:`accepts`; ``image.pixels`` is uint8, shape H×W×3, sRGB, read-only, unless
                you accept more.

        Returns:
            The whole bitstream; the rate is its length.

        Raises:
            NotApplicable: this codec can't code such an image at all (sides too long for the format).
        """

    @abstractmethod
    def decode(self, bitstream: bytes) -> Image:
        """Decode a bitstream into an image of the size and format that was encoded: ``return Image(array)``.

        Raises:
            BitstreamError: the bytes are truncated, damaged or foreign. Check sizes before allocating.
        """

    @property
    def batch_size(self) -> int:
        """How many images :meth:`encode_batch` and :meth:`decode_batch` take at once to advantage; 1 unless overridden.

        A run that codes in one process hands over so many where it can. No artifacts are asked for then: a codec
        that is to leave some takes one image at a time.
        """
        return 1

    def encode_batch(self, images: Sequence[Image]) -> Sequence[bytes]:
        """Code several images, perhaps of different sizes, together: each to what :meth:`encode` makes of it.

        Only the rounding of a device that adds in another order may make a difference. If it raises anything, the run
        encodes these images one by one, so that each succeeds or fails alone.
        """
        return [self.encode(image) for image in images]

    def decode_batch(self, bitstreams: Sequence[bytes]) -> Sequence[Image]:
        """Decode several bitstreams together: each to the very pixels that :meth:`decode` makes of it.

        If it raises anything, the run decodes these bitstreams one by one.
        """
        return [self.decode(bitstream) for bitstream in bitstreams]

    # -- what it says about itself ------------------------------------------------------------------------------------

    @property
    def lossless(self) -> bool:
        """Whether decoding gives the pixels back exactly, with these parameters."""
        return False

    @property
    def deterministic(self) -> bool:
        """Whether the same image, parameters and seed give the same bytes."""
        return True

    def accepts(self, pixel_format: PixelFormat) -> bool:
        """Whether images of a format can be coded; others are *not applicable*."""
        return pixel_format == SRGB8

    def parts(self, bitstream: bytes) -> Mapping[str, int]:
        """Return what a bitstream of this codec consists of: names and bytes that add up to the whole.

        ``{"header": 12, "side information": 310, "latents": 4801}``; nothing unless overridden.
        """
        return {}

    def complexity(self, height: int, width: int) -> Complexity | None:
        """Return what coding an image of that size costs; None unless overridden. Asked for every cell, not timed."""
        return None

    def artifacts(self) -> Sequence[Artifact]:
        """Return what the latest :meth:`encode` of this instance left to look at; nothing, unless overridden.

        Not part of the bitstream, and not timed. Kept in the run folder, but not in the cache across runs.
        """
        return ()

    @classmethod
    def rate_parameter(cls, parameters: Any) -> RateParameter | None:
        """Return the setting that a target is reached with, the others being as given; None if there is none."""
        return None

    @classmethod
    def libraries(cls) -> dict[str, str]:
        """Name and version of the libraries that decide the bytes: ``{"libjpeg-turbo": "3.1.3"}``.

        Recorded as provenance and part of the cache key.
        """
        return {}

    @classmethod
    def versions(cls, parameters: Any) -> dict[str, str]:
        """Name and version of what else decides the bytes with these settings, such as a program that they name.

        Asked and recorded as :meth:`libraries` are.
        """
        return {}

    @classmethod
    def code(cls, parameters: Any) -> Sequence[str]:
        """Return importable modules, and files, whose code these parameters make it run.

        Their digests are part of the cache key; and a run folder that names some is decoded and scored only by somebody
        who trusts it. Nothing, unless overridden.
        """
        return ()

    @classmethod
    def check(cls, parameters: Any) -> None:
        """Look at settings when a suite is planned, once for each operating point; does nothing by default.

        Only of a user's own suite: it may run the code that they name.

        Raises:
            QbenchError: they can't work; the text says why.
        """
        _ = parameters

    @classmethod
    def weights(cls, parameters: Any, profile: str) -> Sequence[Weights]:
        """Return the weights that these parameters use in a profile.

        Asked when a run is planned: their digests are recorded and part of the cache key, and that they are available
        is checked before anything is coded.

        Raises:
            ModelError: there are none of that name.
        """
        return ()
