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
PACKED = 2**6
"""Means and scale indices, which are fewer than that, are one number of 32 bits between them."""
assert GaussianCdfs.COUNT <= PACKED
assert LARGEST_VALUE * PACKED < 2**31
TILE = 32
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

    def walk(self, hyper: npt.NDArray[np.int32]) -> Walk:
        """Begin with latents of which the hyper-latents are all that is known, hyper×h×w → latent×4h×4w."""
        import torch
        from torch.nn.functional import pixel_shuffle

        def network(values: torch.Tensor) -> torch.Tensor:
            wide = pixel_shuffle(self._layer("hyper_wide", VALUE * values.double()), 2).relu()
            return pixel_shuffle(self._layer("hyper_fine", wide), 2).relu().float()

        features = tiled(network, torch.from_numpy(hyper), 4, TILE // 4, 2)
        latents = self._layers["neighbours"][0].shape[1]
        return Walk(self, torch.cat([features, features.new_zeros(latents, *features.shape[1:])]), len(features))

    def parameters(self, known: torch.Tensor, features: int, *, first: bool) -> torch.Tensor:
        """Return mean and scale index of every latent, packed; see :class:`Walk`."""
        import torch

        def network(values: torch.Tensor) -> torch.Tensor:
            own, others = values[:, :features].double(), values[:, features:].double()
            neighbours = torch.zeros_like(own) if first else self._layer("neighbours", others)
            hidden = self._layer("head_hidden", torch.cat([own, neighbours], dim=1)).relu()
            means, scales = self._layer("head", hidden).chunk(2, dim=1)
            indices = torch.floor(MIDDLE + (SCALE * scales + VALUE / 2) / VALUE).clamp(0, GaussianCdfs.COUNT - 1)
            return (means * PACKED + indices).to(torch.int32)

        return tiled(network, known, 1, TILE, 1)

    def _layer(self, name: str, values: torch.Tensor) -> torch.Tensor:
        from torch.nn.functional import conv2d

        weight, bias, padding = self._layers[name]
        # On a CPU float64 convolutions are plain sums of products. (Others would be by Fourier transform, not exact.)
        total = conv2d(values, weight, bias, padding=padding)
        return (total / WEIGHT).floor().clamp(-LARGEST_VALUE, LARGEST_VALUE)


class Walk:
    """Latents that become known, and what follows from them for the others.

    Attributes:
        latents: latent×h×w, float32, in units of 1/VALUE; 0 where nothing is known yet. All are integers below 2^24.
    """

    def __init__(self, prior: ExactPrior, known: torch.Tensor, features: int) -> None:
        self._prior = prior
        self._known = known
        self._features = features
        self.latents: npt.NDArray[np.float32] = known[features:].numpy()

    def parameters(self, *, first: bool) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
        """Return mean, in units of 1/VALUE, and scale index of every latent, latent×h×w each.

        Args:
            first: whether no latent is known yet.
        """
        packed = self._prior.parameters(self._known, self._features, first=first).numpy()
        indices = np.empty(packed.shape, np.uint8)
        np.bitwise_and(packed, PACKED - 1, out=indices, casting="unsafe")
        packed >>= PACKED.bit_length() - 1
        return packed, indices
