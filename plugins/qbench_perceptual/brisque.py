"""BRISQUE: a quality score without an original, from the statistics of natural scenes."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import Field

from qbench.plugin import Column, Direction, LocalFile, Parameters, Pixels, Weights, find_weights
from qbench.toolkit.networks import expecting
from qbench_perceptual.natural_scenes import Array, brisque_features
from qbench_perceptual.own_quality import OwnQuality

LEAST = 32
"""Pixels that the shorter side must have: at half of that a 7×7 window still sees something else than the border."""


LIVE_RANGES = (
    (0.338, 10),
    (0.017204, 0.806612),
    (0.236, 1.642),
    (-0.123884, 0.20293),
    (0.000155, 0.712298),
    (0.001122, 0.470257),
    (0.244, 1.641),
    (-0.123586, 0.179083),
    (0.000152, 0.710456),
    (0.000975, 0.470984),
    (0.249, 1.555),
    (-0.135687, 0.100858),
    (0.000174, 0.684173),
    (0.000913, 0.534174),
    (0.258, 1.561),
    (-0.143408, 0.100486),
    (0.000179, 0.685696),
    (0.000888, 0.536508),
    (0.471, 3.264),
    (0.012809, 0.703171),
    (0.218, 1.046),
    (-0.094876, 0.187459),
    (1.5e-05, 0.442057),
    (0.001272, 0.40803),
    (0.222, 1.042),
    (-0.115772, 0.162604),
    (1.6e-05, 0.444362),
    (0.001374, 0.40243),
    (0.227, 0.996),
    (-0.117188, 0.098323),
    (3e-05, 0.531903),
    (0.001122, 0.369589),
    (0.228, 0.99),
    (-0.12243, 0.098658),
    (2.8e-05, 0.530092),
    (0.001118, 0.370399),
)
"""Lowest and highest value of each feature over LIVE's images: the file `allrange` of the release."""


def live_to_safetensors(source: Path, target: Path) -> None:
    """Write LIVE's support vectors, as piq published them, with the constants of LIVE's release beside them."""
    import torch
    from safetensors.torch import save_file

    coefficients, vectors = torch.load(source, map_location="cpu", weights_only=True)
    low, high = np.array(LIVE_RANGES).reshape(-1, 2).T
    save_file(
        {
            "coefficients": coefficients.double().flatten().contiguous(),
            "vectors": vectors.double().reshape(len(coefficients.flatten()), -1).contiguous(),
            "intercept": torch.tensor([153.591], dtype=torch.float64),
            "gamma": torch.tensor([0.05], dtype=torch.float64),
            "low": torch.from_numpy(low.copy()),
            "high": torch.from_numpy(high.copy()),
        },
        target,
    )


LIVE = Weights(
    name="brisque-live",
    summary="BRISQUE's published support vector regressor, fitted to the human scores of LIVE",
    source="hf:chaofengc/IQA-PyTorch-Weights/brisque_svm_weights.pth",
    sha256="",  # as the hub declares it at the first pull
    size=0,
    licence="see https://live.ece.utexas.edu/research/quality",
    provenance="Mittal, Moorthy & Bovik 2012; LIVE's release of 2011, its tensors as piq keeps them",
    convert=live_to_safetensors,
)


BLISS = Weights(
    name="brisque-bliss",
    summary="support vector regressor on BRISQUE's features, fitted to full-reference metrics on BSDS500",
    source="package:qbench_perceptual/weights/brisque-bliss.safetensors",
    sha256="f6322746d19e10f512093d8d20441f19f8ace76f5ba955350f0079c51fc79612",
    size=414528,
    licence="Apache-2.0; trained on research data",
    provenance="this project's own `qbench train brisque`; see its model card, docs/models/brisque-bliss.md",
)


class BrisqueParameters(Parameters):
    """Settings of BRISQUE."""

    model: LocalFile | None = Field(
        None, min_length=1, description="file of `qbench train brisque`; by default the bundled one, or LIVE's in hub"
    )


class Brisque(OwnQuality):
    """Quality of a reconstruction by itself: 36 parameters of natural scene statistics, through a regressor.

    Lower is better. The support vector regressor decides the scale: LIVE's (profile hub) was fitted to people's scores,
    from about 0 to 100, and bears the name ``brisque``; the bundled one was fitted to full-reference metrics without
    any people, and is called ``brisque-bliss`` (Ye, Kumar & Doermann 2014). Values are never clamped: they may be below
    0 or above 100. Column ``original`` is the score of the original: what codecs smooth away may count as better.
    """

    name = "brisque"
    summary = "no-reference quality from natural scene statistics, and the original's own"
    reference = "Mittal, Moorthy & Bovik 2012, IEEE TIP 21(12), 4695-4708; bundled: Ye, Kumar & Doermann 2014, CVPR"
    Parameters: ClassVar = BrisqueParameters
    columns: ClassVar = (
        Column("brisque", Direction.LOWER, None, None, digits=2, title="BRISQUE"),
        Column("original", Direction.LOWER, None, None, digits=2, summary="of the original"),
    )

    what = "BRISQUE regressor"

    @classmethod
    def named_weights(cls, profile: str) -> Weights:
        """The regressor of LIVE in profile hub, else the bundled one."""
        return LIVE if profile == "hub" else BLISS

    @classmethod
    def default_label(cls, parameters: BrisqueParameters, profile: str) -> str:
        """``brisque`` with LIVE's regressor, else ``brisque-bliss``."""
        return cls.name if parameters.model is None and profile == "hub" else f"{cls.name}-bliss"

    def refusal(self, pixels: Pixels) -> str:
        """At half the size a window must still see something else than the border."""
        shorter = min(pixels.shape[:2])
        return f"shorter side is {shorter} pixels; BRISQUE needs {LEAST}" if shorter < LEAST else ""

    def quality(self, pixels: Pixels) -> float:
        """The regressor's value at the features."""
        return self._regressor(brisque_features(pixels))

    @cached_property
    def _regressor(self) -> Regressor:
        return Regressor(find_weights(self._weights))


class Regressor:
    """A support vector regressor with a radial kernel, on features scaled to [-1, 1]."""

    def __init__(self, path: Path) -> None:
        """Load one.

        Raises:
            ModelError: the file holds something else.
        """
        from safetensors.numpy import load_file

        with expecting(path, "brisque"):
            tensors = {name: tensor.astype(np.float64) for name, tensor in load_file(path).items()}
            self._coefficients, self._vectors = tensors["coefficients"], tensors["vectors"]
            self._intercept, self._gamma = float(tensors["intercept"][0]), float(tensors["gamma"][0])
            self._low, self._high = tensors["low"], tensors["high"]
            self(self._low)

    def __call__(self, features: Array) -> float:
        """Return the value at the features."""
        scaled = 2 * (features - self._low) / (self._high - self._low) - 1
        distances = ((self._vectors - scaled) ** 2).sum(axis=1)
        return float(self._coefficients @ np.exp(-self._gamma * distances) + self._intercept)
