"""Augmentation of whole batches on the training device."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

GROUPS = 8
"""RandAugment draws its operations once a call: a batch is cut into so many groups that each get their own."""


def augment(
    pixels: torch.Tensor, labels: torch.Tensor, count: int, *, magnitude: int, mixing: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Augment a batch for training.

    RandAugment (Cubuk et al. 2020) per group; random resized crop and flip per image; CutMix (Yun et al. 2019) or
    Mixup (Zhang et al. 2018) with probability ``mixing``.

    Args:
        pixels: uint8, N×3×S×S.
        labels: int64, N.
        count: how many labels there are.
        magnitude: RandAugment's, of 30; 0 leaves it out.

    Returns:
        Images, float32, N×3×S×S in [-1, 1], and targets, float32, N×count.
    """
    import torch
    from torch.nn import functional
    from torchvision.transforms import v2

    if magnitude:
        randomly = v2.RandAugment(num_ops=2, magnitude=magnitude)
        pixels = torch.cat([randomly(group) for group in pixels.chunk(GROUPS)])
    images = crop_and_flip(pixels.float() / 127.5 - 1)
    if torch.rand(()) < mixing:
        mix = v2.RandomChoice([v2.CutMix(alpha=1.0, num_classes=count), v2.MixUp(alpha=0.2, num_classes=count)])
        mixed, targets = mix(images, labels)
        return mixed, targets.float()
    return images, functional.one_hot(labels, count).float()


def crop_and_flip(images: torch.Tensor) -> torch.Tensor:
    """Cut a crop of 40 to 100 % of the area and a ratio of sides of 3:4 to 4:3 out of each image; flip half of them.

    One bilinear resampling for the batch, at the same size as before: each image has its own crop, which
    torchvision's batched transforms would not give it.
    """
    import torch
    from torch.nn import functional

    count = len(images)
    device = images.device
    area = torch.empty(count, device=device).uniform_(0.4, 1.0)
    ratio = torch.exp(torch.empty(count, device=device).uniform_(-0.2877, 0.2877))  # log(4/3)
    width = (area * ratio).sqrt().clamp(max=1.0)
    height = (area / ratio).sqrt().clamp(max=1.0)
    left = (torch.rand(count, device=device) * 2 - 1) * (1 - width)
    top = (torch.rand(count, device=device) * 2 - 1) * (1 - height)
    flip = torch.where(torch.rand(count, device=device) < 0.5, -1.0, 1.0)
    zero = torch.zeros_like(area)
    rows = torch.stack([width * flip, zero, left, zero, height, top], dim=1).view(count, 2, 3)
    grid = functional.affine_grid(rows, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
