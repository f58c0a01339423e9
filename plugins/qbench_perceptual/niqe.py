"""NIQE: how far an image's statistics are from those of good photographs."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import Field

from qbench.plugin import Column, Direction, LocalFile, NotApplicable, Parameters, Pixels, Weights, find_weights
from qbench.toolkit.networks import expecting
from qbench_perceptual.natural_scenes import FLAT, Array, halved, luma, niqe_features, normalised
from qbench_perceptual.own_quality import OwnQuality

BLOCK = 96
"""Side of the patches at the image's size; half of it at half its size."""
LEAST_PATCHES = 4

BSDS = Weights(
    name="niqe-bsds500",
    summary="mean and covariance of NIQE's features over 400 photographs of BSDS500",
    source="package:qbench_perceptual/weights/niqe-bsds500.safetensors",
    sha256="eabab8da7656efebe692438279ed9c0bb23ab4bbd3af5ee60ed4defef94a3d69",
    size=5472,
    licence="Apache-2.0; trained on research data",
    provenance="this project's own `qbench train niqe`; see its model card, docs/models/niqe-bsds500.md",
)


class NiqeParameters(Parameters):
    """Settings of NIQE."""

    model: LocalFile | None = Field(
        None, min_length=1, description="file of `qbench train niqe`; by default the bundled one, in every profile"
    )


class Niqe(OwnQuality):
    """Distance of an image's natural scene statistics from those of good photographs; nobody's opinion is asked.

    √((μ₁-μ₂)ᵀ ((Σ₁+Σ₂)/2)⁺ (μ₁-μ₂)) with mean and covariance of 36 features of patches of 96 pixels, of this image
    and of the photographs. Lower is better, 0 the least. The photographs decide the scale: they are not those of the
    authors' release, so the column names the model. Column ``original`` is the value of the original.
    """

    name = "niqe"
    summary = "distance from the statistics of good photographs, and the original's own"
    reference = "Mittal, Soundararajan & Bovik 2013, IEEE Signal Processing Letters 20(3), 209-212"
    Parameters: ClassVar = NiqeParameters
    columns: ClassVar = (
        Column("niqe", Direction.LOWER, 0.0, None, digits=3, title="NIQE"),
        Column("original", Direction.LOWER, 0.0, None, digits=3, summary="of the original"),
    )

    what = "NIQE statistics"

    @classmethod
    def named_weights(cls, profile: str) -> Weights:
        """The bundled photographs' statistics, in every profile."""
        return BSDS

    @classmethod
    def default_label(cls, parameters: NiqeParameters, profile: str) -> str:
        """``niqe-bsds500``; with a file of one's own ``niqe-`` and the file's name."""
        return BSDS.name if parameters.model is None else f"{cls.name}-{Path(parameters.model).stem}"

    def refusal(self, pixels: Pixels) -> str:
        """A covariance needs several patches."""
        height, width = pixels.shape[:2]
        if (height // BLOCK) * (width // BLOCK) >= LEAST_PATCHES:
            return ""
        return f"{width}×{height} pixels hold fewer than {LEAST_PATCHES} patches of {BLOCK}×{BLOCK}, too few for NIQE"

    def quality(self, pixels: Pixels) -> float:
        """The distance of the image's statistics."""
        features, _ = patch_features(pixels)
        if len(features) < 2:
            raise NotApplicable(FLAT)
        mean, covariance = self._natural
        difference = features.mean(axis=0) - mean
        spread = (np.cov(features, rowvar=False) + covariance) / 2
        return float(np.sqrt(max(0.0, difference @ np.linalg.pinv(spread) @ difference)))

    @cached_property
    def _natural(self) -> tuple[Array, Array]:
        from safetensors.numpy import load_file

        path = find_weights(self._weights)
        with expecting(path, "niqe"):
            tensors = load_file(path)
            return tensors["mean"].astype(np.float64), tensors["covariance"].astype(np.float64)


def patch_features(pixels: Pixels) -> tuple[Array, Array]:
    """Return the features of an image's patches, n×36, and how sharp each is: its mean local deviation.

    The image is cut to whole patches first. Patches of one colour have no statistics, and are left out.
    """
    rows, columns = (length // BLOCK for length in pixels.shape[:2])
    image = luma(pixels[: rows * BLOCK, : columns * BLOCK])
    scales = [normalised(image, "nearest"), normalised(halved(image), "nearest")]
    features, sharpness = [], []
    for row in range(rows):
        for column in range(columns):
            parts = []
            for values, side in zip((scale[0] for scale in scales), (BLOCK, BLOCK // 2), strict=True):
                parts.append(values[row * side : (row + 1) * side, column * side : (column + 1) * side])
            try:
                features.append(np.concatenate([niqe_features(part) for part in parts]))
            except NotApplicable:
                continue
            at = np.s_[row * BLOCK : (row + 1) * BLOCK, column * BLOCK : (column + 1) * BLOCK]
            sharpness.append(float(scales[0][1][at].mean()))
    return np.array(features).reshape(-1, 36), np.array(sharpness)
