"""The prior as encoder and decoder compute it: in integers, so that both get the same on any machine.

Ballé, Johnston & Minnen 2019, ICLR, "Integer networks for data compression with latent-variable models": where
floating-point sums decide which CDF a symbol is decoded with, one that is rounded otherwise makes nonsense of all that
follows. Here every number is an integer: weights in units of 2^-12, values between layers in units of 2^-8. Sums are
below 2^53, so that float64 holds them exactly, in whatever order they are added.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from qbench.toolkit.range_coding import GaussianCdfs
from qbench.toolkit.tiling import tiled
from qbench_autoencoder.network import MIDDLE, SCALE

if TYPE_CHECKING:
    import torch

WEIGHT = 2**12
VALUE = 2**8
LARGEST_VALUE = 2.0**22
"""Values are limited to this, so that damaged bitstreams can't bring sums beyond 2^53."""
TILE = 64
"""Positions, down and across, that are computed at a time: bounds the memory."""


class ExactPrior:
    """Turns hyper-latents and known neighbours into mean and scale index of every latent."""

    def __init__(self, layers: Mapping[str, torch.nn.Conv2d]) -> None:
        """Make integers of trained layers, of the names in :func:`qbench_autoencoder.network.build_prior`."""
        self._layers = {}
        for name, layer in layers.items():
            weight, bias = layer.weight.detach().double().cpu(), layer.bias
            assert bias is not None
            exact = ((weight * WEIGHT).round(), (bias.detach().double().cpu() * WEIGHT * VALUE).round())
            self._layers[name] = (*exact, layer.padding[0])

    def features(self, hyper: npt.NDArray[np.int32]) -> torch.Tensor:
        """Return what is known of every position from hyper-latents, hyper×h×w → features×4h×4w."""
        import torch
        from torch.nn.functional import pixel_shuffle

        def network(values: torch.Tensor) -> torch.Tensor:
            wide = pixel_shuffle(self._layer("hyper_wide", values), 2).relu()
            return pixel_shuffle(self._layer("hyper_fine", wide), 2).relu()

        return tiled(network, VALUE * torch.from_numpy(hyper).double(), 4, TILE // 4, 2)

    def parameters(
        self, features: torch.Tensor, known: npt.NDArray[np.int32] | None
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
        """Return mean, in units of 1/VALUE, and scale index of every latent, latent×h×w each.

        Args:
            features: of :meth:`features`.
            known: latents that are known, in units of 1/VALUE, 0 elsewhere; None if none is.
        """
        import torch

        def network(values: torch.Tensor) -> torch.Tensor:
            own, others = values[:, : len(features)], values[:, len(features) :]
            neighbours = self._layer("neighbours", others) if known is not None else torch.zeros_like(own)
            hidden = self._layer("head_hidden", torch.cat([own, neighbours], dim=1)).relu()
            return self._layer("head", hidden)

        inputs = features if known is None else torch.cat([features, torch.from_numpy(known).double()])
        means, scales = tiled(network, inputs, 1, TILE, 1).chunk(2)
        indices = torch.floor(MIDDLE + (SCALE * scales + VALUE / 2) / VALUE).clamp(0, GaussianCdfs.COUNT - 1)
        return means.to(torch.int32).numpy(), indices.to(torch.uint8).numpy()

    def _layer(self, name: str, values: torch.Tensor) -> torch.Tensor:
        from torch.nn.functional import conv2d

        weight, bias, padding = self._layers[name]
        # On a CPU float64 convolutions are plain sums of products. (Others would be by Fourier transform, not exact.)
        total = conv2d(values, weight, bias, padding=padding)
        return (total / WEIGHT).floor().clamp(-LARGEST_VALUE, LARGEST_VALUE)
