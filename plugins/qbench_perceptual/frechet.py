"""Fréchet and kernel distances between the features of all originals and of all reconstructions."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import nullcontext
from functools import cached_property
from importlib.metadata import version
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from qbench.plugin import (
    Candidates,
    Column,
    Context,
    Direction,
    DistributionMetric,
    Embed,
    Embedding,
    LocalFile,
    ModelError,
    NotApplicable,
    Scores,
    Weights,
    find_embedding,
)
from qbench.toolkit.parallel import one_thread
from qbench_perceptual.gaussians import Samples, frechet_distance, kernel_distance
from qbench_perceptual.inception import INCEPTION
from qbench_perceptual.patches import PatchParameters, embedded, patches
from qbench_perceptual.sampling import interval, require_samples, sample_columns, together

BUNDLED = "vit-tiny-imagenet"
"""The network whose features stand in for Inception's where nothing is fetched."""

Parts = Sequence[npt.NDArray[np.float32]]

QUICK = 512
"""Features up to which linear algebra is quick in one thread, and then the same to the last digit whatever the threads.
Of Inception's 2,048 it may differ in that."""


class DistanceParameters(PatchParameters):
    """Settings of a distance between sets of images."""

    model: LocalFile | None = Field(
        None,
        min_length=1,
        description="network whose features are compared: inception, timm/NAME, open_clip/MODEL/TAG, or a path as for "
        "vit-score",
    )


class FrechetParameters(DistanceParameters):
    """Settings of a Fréchet distance."""

    shrink: bool = Field(
        False, description="allow fewer samples than features: covariances are shrunk (Ledoit & Wolf 2004)"
    )


class FeatureDistance(DistributionMetric):
    """A distance between the features of originals and reconstructions.

    Class attributes:
        short: what its columns are called with any network but its own: ``fd`` in ``fd-vit-tiny-imagenet``.
        bundled: the network in profile bundled; empty where there is none.
        hub: the network in profile hub.
        own: the network with which it bears its own name.
    """

    runs_on = "accelerator"
    Parameters: ClassVar = DistanceParameters
    short: ClassVar[str]
    bundled: ClassVar[str] = BUNDLED
    hub: ClassVar[str] = INCEPTION
    own: ClassVar[str] = INCEPTION

    def __init__(self, parameters: DistanceParameters, context: Context) -> None:
        super().__init__(parameters, context)
        self._embedding = self._chosen(parameters, context.profile)

    @classmethod
    def weights(cls, parameters: DistanceParameters, profile: str) -> Sequence[Weights]:
        """The network's."""
        return (cls._chosen(parameters, profile).weights,)

    @classmethod
    def default_label(cls, parameters: DistanceParameters, profile: str) -> str:
        """Its name with the network that it is named for; else ``fd-`` and the network; and the side of patches."""
        name = cls._chosen(parameters, profile).weights.name
        label = cls.name if name == cls.own else f"{cls.short}-{re.sub(r'[^A-Za-z0-9_+-]', '-', name)}"
        return f"{label}-patch{parameters.patch}" if parameters.patch else label

    @classmethod
    def libraries(cls) -> dict[str, str]:
        """The libraries that compute features."""
        return {name: version(name) for name in ("torch", "timm", "open_clip_torch", "torch-fidelity")}

    @classmethod
    def _chosen(cls, parameters: DistanceParameters, profile: str) -> Embedding:
        name = parameters.model or (cls.hub if profile == "hub" else cls.bundled)
        if not name:
            raise ModelError(f"{cls.name}: no network of its kind is bundled; use profile hub, or give `model`")
        return find_embedding(name)

    @cached_property
    def _embed(self) -> Embed:
        return self._embedding.load(self.context)

    def features(self, images: Candidates) -> Sequence[npt.NDArray[np.float32]]:
        """Return the features of every image, or of each of its patches."""
        return embedded(self._embed, [patches(image, self.parameters) for image in images.images], self.context)

    def finish(self, originals: Parts, reconstructions: Parts) -> Scores:
        """Compute the distance of all samples, and its interval over images."""
        samples, made = together(originals), together(reconstructions)
        require_samples(len(samples))
        self.check(samples)
        with one_thread() if samples.shape[1] <= QUICK else nullcontext():
            value = self.distance(samples, made)
            ends = interval(lambda chosen: self.distance(samples[chosen], made[chosen]), originals)
        return {self.name: value, **ends, "samples": float(len(samples))}

    def check(self, samples: Samples) -> None:
        """Refuse samples that the distance is not defined for.

        Raises:
            NotApplicable: too few, say.
        """

    @abstractmethod
    def distance(self, originals: Samples, reconstructions: Samples) -> float:
        """Return the distance between two sets of samples."""


def columns(name: str, digits: int, title: str) -> tuple[Column, ...]:
    """Return the columns of a distance."""
    own = Column(name, Direction.LOWER, None, None, digits=digits, title=title)
    return (own, *sample_columns(Direction.LOWER, digits))


class Fid(FeatureDistance):
    """Fréchet distance between Gaussians fitted to the features of all originals and of all reconstructions.

    With Inception-v3's pooled features (those of the original TensorFlow graph, by torch-fidelity) it is the FID and
    bears that name; with any other network it is ``fd-`` and the network's name. It falls with the number of samples,
    so that only distances of as many are comparable (column ``samples``). Not applicable with no more samples than
    features, unless covariances are to be shrunk, which defines another distance.
    """

    name = "fid"
    summary = "Fréchet distance of network features (FID with Inception, else named for the network)"
    reference = "Heusel et al. 2017, NeurIPS; patches: Mentzer et al. 2020, NeurIPS"
    Parameters: ClassVar = FrechetParameters
    columns: ClassVar = columns("fid", 3, "FID")
    short = "fd"

    @classmethod
    def default_label(cls, parameters: DistanceParameters, profile: str) -> str:
        """As for every distance; where covariances are shrunk, that too."""
        label = super().default_label(parameters, profile)
        return f"{label}-shrunk" if isinstance(parameters, FrechetParameters) and parameters.shrink else label

    def check(self, samples: Samples) -> None:
        """Refuse fewer samples than make a covariance."""
        count, features = samples.shape
        if count <= features and not self.parameters.shrink:
            raise NotApplicable(
                f"{count} samples of {features} features: their covariance is singular. More images or smaller "
                "patches help, or `shrink: true`, which defines another distance"
            )

    def distance(self, originals: Samples, reconstructions: Samples) -> float:
        """Return the Fréchet distance."""
        return frechet_distance(originals, reconstructions, shrink=self.parameters.shrink, device=self.context.device)


class FdDino(Fid):
    """Fréchet distance of the features of DINOv2, which people agree with more than with Inception's.

    The network is ViT-L/14 as timm publishes and prepares images for it, not the authors' code; its name is in the
    column's.
    """

    name = "fd-dino"
    summary = "Fréchet distance of DINOv2's features"
    reference = "Stein et al. 2023, NeurIPS; DINOv2: Oquab et al. 2024, TMLR"
    columns: ClassVar = columns("fd-dino", 3, "FD (DINOv2)")
    bundled = ""
    hub = "timm/vit_large_patch14_dinov2.lvd142m"
    own = ""


class FdClip(Fid):
    """Fréchet distance of the embeddings of a CLIP model, by open_clip; the model's name is in the column's."""

    name = "fd-clip"
    summary = "Fréchet distance of CLIP embeddings"
    reference = "Kynkäänniemi et al. 2023, ICLR; open_clip: Cherti et al. 2023, CVPR"
    columns: ClassVar = columns("fd-clip", 5, "FD (CLIP)")
    bundled = ""
    hub = "open_clip/ViT-B-32/laion2b_s34b_b79k"
    own = ""


class Kid(FeatureDistance):
    """Kernel distance: squared maximum mean discrepancy of features under a cubic kernel, unbiased.

    With Inception's features it is the KID and bears that name; else it is ``kd-`` and the network's name. Unlike the
    Fréchet distance it does not fall with the number of samples; of close distributions it may be below 0. Computed
    from all samples at once, of which means over random subsets are an estimate. An original and its own
    reconstruction are no independent samples, and are not compared: the distance is 0 where nothing is lost. Tools that
    compare sets without knowing the pairs give lower values, the lower the fewer images there are.
    """

    name = "kid"
    version = 2
    summary = "kernel distance of network features (KID with Inception, else named for the network)"
    reference = "Bińkowski et al. 2018, ICLR"
    columns: ClassVar = columns("kid", 5, "KID")
    short = "kd"

    def distance(self, originals: Samples, reconstructions: Samples) -> float:
        """Return the kernel distance."""
        return kernel_distance(originals, reconstructions)
