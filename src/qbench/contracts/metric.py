"""The metric contract: score the reconstructions of one image."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from qbench.contracts.artifact import Artifact
from qbench.contracts.context import Context
from qbench.contracts.parameters import NoParameters, Parameters
from qbench.contracts.weights import Weights
from qbench.errors import NotApplicable
from qbench.images.image import SRGB8, Image, PixelFormat, Samples

if TYPE_CHECKING:
    import torch


class Direction(StrEnum):
    """Which end of a column is the good one."""

    HIGHER = "higher"
    LOWER = "lower"


class Scope(StrEnum):
    """What a metric looks at."""

    FULL_REFERENCE = "full-reference"
    """The original and the reconstruction."""
    NO_REFERENCE = "no-reference"
    """The reconstruction alone."""
    RATE = "rate"
    """The size of the bitstream (or of a file), not how the pixels look."""
    DISTRIBUTION = "distribution"
    """All reconstructions of an operating point together, against all originals."""


@dataclass(frozen=True)
class Column:
    """One named number that a metric gives.

    Attributes:
        name: the metric's own name for its main column; further columns have short names of their own and appear
            as ``metric.name``.
        direction: which end is better.
        lower, upper: the range of possible values, None where there is no bound.
        unit: ``"dB"``, ``"bit/pixel"`` or empty.
        digits: decimals worth showing in a table.
        summary: one line on what it says.
        ranked: whether one of its values is better than another, so that tables mark the best. Ends of intervals and
            numbers of samples say how far a value can be trusted, not how good it is.
        title: its name as papers write it, ``"MS-SSIM"``, without the unit; for figures. Empty: as tables call it.
    """

    name: str
    direction: Direction
    lower: float | None = None
    upper: float | None = None
    unit: str = ""
    digits: int = 4
    summary: str = ""
    ranked: bool = True
    title: str = ""


Scores = Mapping[str, float | NotApplicable]
"""Column name → value, for every declared column. Infinity is a value (the PSNR of identical images); NaN is not. A
column but the first may be :class:`~qbench.errors.NotApplicable`, with its reason, where the others have values."""


@dataclass(frozen=True)
class ExplanationTable:
    """One table of an explanation.

    Attributes:
        rows: each with a value per column, most important first.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | int | float, ...], ...]


@dataclass(frozen=True)
class Explanation:
    """What is behind the scores of one reconstruction.

    Attributes:
        facts: what the metric looked with and what it found: ``{"model": "ViT-B/16", "K": 100}``.
        tables: the details.
        artifacts: files to look at, such as the map of a metric that has a value at every pixel.
    """

    facts: Mapping[str, str | int | float]
    tables: tuple[ExplanationTable, ...] = ()
    artifacts: tuple[Artifact, ...] = ()


@dataclass(frozen=True)
class Reference:
    """The original image that reconstructions are compared with.

    Attributes:
        name: of the image in the run.
        image: the original.
        device: where :meth:`tensor` puts it.
    """

    name: str
    image: Image
    device: str = "cpu"

    @property
    def pixels(self) -> Samples:
        """The original's samples: uint8, shape H×W×3, sRGB, unless the metric accepts other formats."""
        return self.image.pixels

    @cached_property
    def uploaded(self) -> torch.Tensor:
        """uint8, shape 1×H×W×3, on the run's device: what :attr:`tensor` is made of there. Don't write to it."""
        return to_device([self.pixels], self.device)

    @cached_property
    def tensor(self) -> torch.Tensor:
        """float32, shape 1×3×H×W, range [0, 255], on the run's device. Shared between metrics: don't write to it."""
        return to_tensor([self.pixels], "cpu") if self.device == "cpu" else as_floats(self.uploaded)


@dataclass(frozen=True)
class Candidates:
    """A batch of reconstructions of one image, at different operating points.

    Attributes:
        reference: the original.
        images: N reconstructions, each of the original's shape and format.
        bitstream_sizes: N sizes in bytes.
        device: where :attr:`tensor` is.
    """

    reference: Reference
    images: Sequence[Image]
    bitstream_sizes: Sequence[int]
    device: str = "cpu"

    def __post_init__(self) -> None:
        """Refuse images of another size or format than the original's."""
        expected = self.reference.image
        for index, image in enumerate(self.images):
            if (image.shape, image.format) != (expected.shape, expected.format):
                raise ValueError(f"candidate {index} of {self.reference.name} is {image}, its original {expected}")

    def __len__(self) -> int:
        """Return N."""
        return len(self.images)

    @property
    def pixels(self) -> list[Samples]:
        """The samples of each: uint8, shape H×W×3, sRGB, unless the metric accepts other formats."""
        return [image.pixels for image in self.images]

    @cached_property
    def identical(self) -> tuple[bool, ...]:
        """Which of them are the original to the last bit: arithmetic would miss their ideal score by a little."""
        return tuple(image.equals(self.reference.image) for image in self.images)

    @cached_property
    def uploaded(self) -> torch.Tensor:
        """uint8, shape N×H×W×3, on the run's device: what :attr:`tensor` is made of there. Don't write to it."""
        return to_device(self.pixels, self.device)

    @cached_property
    def tensor(self) -> torch.Tensor:
        """float32, shape N×3×H×W, range [0, 255], on the run's device. Shared between metrics: don't write to it."""
        return to_tensor(self.pixels, "cpu") if self.device == "cpu" else as_floats(self.uploaded)

    def one(self, index: int) -> Candidates:
        """Return a batch of one of them."""
        return self.part(index, index + 1)

    def part(self, first: int, end: int) -> Candidates:
        """Return a batch of some that follow each other."""
        chosen = slice(first, end)
        return Candidates(self.reference, self.images[chosen], self.bitstream_sizes[chosen], self.device)


class MetricDeclaration:
    """What every metric declares of itself; derive from :class:`Metric` or :class:`DistributionMetric`.

    Class attributes:
        name: how suites name it, lower case with hyphens.
        summary: one line for ``qbench plugins``.
        version: bump it when values change for the same input; it is part of the cache key.
        scope: what it looks at.
        columns: the numbers it gives; the main one first, named like the metric.
        pooling: how :meth:`pool` aggregates, in words: ``"PSNR of the mean MSE"``; empty if it does not.
        reference: the paper or standard behind the formula.
        runs_on: ``"cpu"``, or ``"accelerator"`` when it computes on ``context.device``, where tensors of batches are.
        parallel: whether on a processor it scores as many reconstructions at a time as its context has threads; its
            batches are as many times larger.
        usual: whether it is measured where nobody says what is to be.
        Parameters: the model of its settings.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    version: ClassVar[int] = 1
    scope: ClassVar[Scope] = Scope.FULL_REFERENCE
    columns: ClassVar[tuple[Column, ...]]
    pooling: ClassVar[str] = ""
    reference: ClassVar[str] = ""
    runs_on: ClassVar[Literal["cpu", "accelerator"]] = "cpu"
    parallel: ClassVar[bool] = False
    usual: ClassVar[bool] = False
    Parameters: ClassVar[type[Parameters]] = NoParameters

    def __init__(self, parameters: Any, context: Context) -> None:
        self.parameters = parameters
        self.context = context

    @classmethod
    def libraries(cls) -> dict[str, str]:
        """Name and version of the libraries that decide the values; recorded, and part of the cache key."""
        return {}

    @classmethod
    def code(cls, parameters: Any) -> Sequence[str]:
        """Return importable modules, and files, whose code these parameters make it run.

        Their digests are part of the cache key; and a run folder that names some is decoded and scored only by somebody
        who trusts it. Nothing, unless overridden.
        """
        return ()

    @classmethod
    def weights(cls, parameters: Any, profile: str) -> Sequence[Weights]:
        """Return the weights that these parameters use in a profile.

        Asked when a run is planned: their digests are recorded and part of the cache key, tables name them, and that
        they are downloaded is checked before anything is coded.

        Raises:
            ModelError: there are none of that name.
        """
        return ()

    @classmethod
    def default_label(cls, parameters: Any, profile: str) -> str:
        """Return what its columns are called where the suite gives no label: the metric's name.

        A metric whose values mean nothing without the network behind them puts it in here: ``lpips-alex``.
        """
        return cls.name

    @classmethod
    def accepts(cls, pixel_format: PixelFormat) -> bool:
        """Whether images of a format can be scored; others are *not applicable*."""
        return pixel_format == SRGB8

    @classmethod
    def pool(cls, column: str, values: Sequence[float], pixels: Sequence[int]) -> float | None:
        """Aggregate a column over images in the metric's own way, where that is not the mean of the values.

        Args:
            column: its name.
            values: of N images.
            pixels: width × height of each.

        Returns:
            The aggregate; None where there is none but the mean.
        """
        return None


class Metric(MetricDeclaration, ABC):
    """A metric that gives every reconstruction a score of its own, with one set of parameters."""

    def prepare(self, reference: Reference) -> Any:
        """Compute once what every reconstruction of this image needs; passed to :meth:`score` as ``prepared``.

        Raises:
            NotApplicable: the metric is not defined for this image (too small, say).
        """
        return None

    @abstractmethod
    def score(self, candidates: Candidates, prepared: Any) -> Sequence[Scores | NotApplicable]:
        """Score a batch of reconstructions of one image.

        A candidate's scores must not depend on what else is in the batch.

        Returns:
            For each candidate, in order, a value for every declared column, or :class:`NotApplicable`.
        """

    def score_several(self, works: Sequence[tuple[Candidates, Any]]) -> Sequence[Sequence[Scores | NotApplicable]]:
        """Score batches of several images, each given with what :meth:`prepare` made of its original.

        Override it where looking at many images together costs little more than looking at a few, as for a network on
        an accelerator: there, and only if it is overridden, qbench gathers images before it asks for their scores.

        Returns:
            For each batch, in order, what :meth:`score` gives for it alone.
        """
        return [self.score(candidates, prepared) for candidates, prepared in works]

    def explain(self, candidates: Candidates, prepared: Any) -> Explanation:
        """Say what is behind the scores of one reconstruction (a batch of one), for ``qbench explain``.

        Raises:
            NotApplicable: as :meth:`score`; also where there is nothing to say, which is so unless overridden.
        """
        raise NotApplicable(f"{self.name} has nothing to explain beyond its value")


class DistributionMetric(MetricDeclaration, ABC):
    """A metric of all reconstructions of an operating point together, such as a Fréchet distance.

    Features are computed image by image, beside the other metrics and in whichever process has the image; they
    are kept in the run folder until every image of the operating point is done, and then finished once.
    """

    scope: ClassVar[Scope] = Scope.DISTRIBUTION

    @abstractmethod
    def features(self, images: Candidates) -> Sequence[npt.NDArray[np.float32]]:
        """Return the features of a batch of images of one size: reconstructions, or the original alone.

        Returns:
            For each image, in order, float32 of shape n×d: n samples (one, or one per patch) of d features.

        Raises:
            NotApplicable: the metric is not defined for images of this size.
        """

    @abstractmethod
    def finish(
        self, originals: Sequence[npt.NDArray[np.float32]], reconstructions: Sequence[npt.NDArray[np.float32]]
    ) -> Scores:
        """Score an operating point from the features of all images, in the same order in both lists.

        Raises:
            NotApplicable: too few samples, say.
        """


def column_id(label: str, metric_name: str, column_name: str) -> str:
    """Return the name a column has in tables: ``ssim``, or ``vit-score.top1`` for a further column."""
    return label if column_name == metric_name else f"{label}.{column_name}"


def range_text(column: Column) -> str:
    """Return a column's range: ``0 to 1``, ``-∞ to ∞``."""
    low = "-∞" if column.lower is None else f"{column.lower:g}"
    high = "∞" if column.upper is None else f"{column.upper:g}"
    return f"{low} to {high}"


def to_tensor(pixels: Sequence[Samples], device: str) -> torch.Tensor:
    """Return images as float32, shape N×3×H×W, range [0, 255], on a device."""
    return as_floats(to_device(pixels, device))


def to_device(pixels: Sequence[Samples], device: str) -> torch.Tensor:
    """Return images as uint8, shape N×H×W×3, on a device: a quarter of what floats would carry there."""
    import torch

    return torch.from_numpy(np.stack(pixels)).to(device)


def as_floats(uploaded: torch.Tensor) -> torch.Tensor:
    """Return uint8 N×H×W×3 as float32, shape N×3×H×W, range [0, 255], where it is."""
    # The view keeps the memory in N,H,W,C order: torch calls it channels_last, and its convolutions like it.
    return uploaded.permute(0, 3, 1, 2).float()
