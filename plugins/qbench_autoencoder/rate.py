"""What the latents cost, in a form that can be trained: rates under noise, and under rounding."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qbench.toolkit.range_coding import GaussianCdfs
from qbench_autoencoder.network import MIDDLE, SCALE, anchors

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass
class Latents:
    """What the entropy model made of a batch of latents.

    Attributes:
        rounded: as the decoder gets them; the rounding's gradient is that of the identity.
        bits: for each image.
    """

    rounded: torch.Tensor
    bits: torch.Tensor


def code(
    latents: torch.Tensor, hyper: torch.Tensor, prior: nn.ModuleDict, scales: torch.Tensor, *, exact: bool
) -> Latents:
    """Round latents, and estimate their bits and those of the hyper-latents.

    What is decoded is rounded, with a straight-through gradient (Minnen & Singh 2020, ICIP). So are the values whose
    bits are counted, if ``exact``: these are the bits that will be spent. Otherwise they have uniform noise instead
    (Ballé et al. 2017, ICLR), which has the better gradient. But for latents that are nearly always 0 it counts bits
    that nobody spends: training with it alone ends at a codec that spends a seventh more at low rates.

    Args:
        latents: N×latent×h×w, scaled by their gains.
        hyper: N×hyper×h/4×w/4.
        prior: of :func:`build_prior`.
        scales: (scale index - MIDDLE) / SCALE for each channel of the hyper-latents.
        exact: count bits of rounded values, not of noisy ones.
    """
    import torch

    sampled = _rounded if exact else _noisy
    bits = _bits(sampled(hyper), deviation(scales)[:, None, None]).sum(dim=(1, 2, 3))
    features = hyper_features(_rounded(hyper), prior)
    first = anchors(*latents.shape[2:]).to(latents.device)
    mean, scale = parameters(features, None, prior)
    known = _rounded(latents - mean) + mean
    later_mean, later_scale = parameters(features, known * first, prior)
    mean, scale = torch.where(first, mean, later_mean), torch.where(first, scale, later_scale)
    bits = bits + _bits(sampled(latents - mean), deviation(scale)).sum(dim=(1, 2, 3))
    return Latents(_rounded(latents - mean) + mean, bits)


def hyper_features(hyper: torch.Tensor, prior: nn.ModuleDict) -> torch.Tensor:
    """Return what the prior knows of every position from the hyper-latents."""
    from torch.nn.functional import pixel_shuffle

    features = pixel_shuffle(prior["hyper_wide"](hyper), 2).relu()
    return pixel_shuffle(prior["hyper_fine"](features), 2).relu()


def parameters(
    features: torch.Tensor, known: torch.Tensor | None, prior: nn.ModuleDict
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and scale of every latent, given features and the latents that are known (0 elsewhere)."""
    import torch

    neighbours = torch.zeros_like(features) if known is None else prior["neighbours"](known)
    hidden = prior["head_hidden"](torch.cat([features, neighbours.to(features.dtype)], dim=1)).relu()
    mean, scale = prior["head"](hidden).float().chunk(2, dim=1)
    return mean, scale


def deviation(scale: torch.Tensor) -> torch.Tensor:
    """Return the standard deviation that the prior's scale means."""
    index = MIDDLE + SCALE * scale
    limited = index.clamp(0, GaussianCdfs.COUNT - 1)
    index = index + (limited - index).detach()  # beyond the limits there still is a gradient back
    found: torch.Tensor = (index / GaussianCdfs.SCALES_PER_OCTAVE + GaussianCdfs.LOG2_MIN_SCALE).exp2()
    return found


def _bits(values: torch.Tensor, deviation: torch.Tensor) -> torch.Tensor:
    """Return -log2 of the probability of what is rounded to values, under Gaussians of mean 0.

    Below the smallest probability of a CDF, they go on growing, though only as the Gaussian's logarithm: what is
    spent no longer grows, but a latent that is far out must find its way back.
    """
    import torch

    magnitude = values.abs()  # the upper tail loses no digits
    upper, lower = (torch.special.log_ndtr((edge - magnitude) / deviation) for edge in (0.5, -0.5))
    bits = -(upper + torch.log1p(-(lower - upper).exp().clamp(max=1 - 1e-6))) / math.log(2)
    most = math.log2(GaussianCdfs.TOTAL_FREQUENCY)
    known: torch.Tensor = torch.where(bits > most, most + most * (bits.clamp(min=most) / most).log(), bits)
    return known


def _noisy(values: torch.Tensor) -> torch.Tensor:
    import torch

    return values + torch.rand_like(values) - 0.5


def _rounded(values: torch.Tensor) -> torch.Tensor:
    return values + (values.round() - values).detach()
