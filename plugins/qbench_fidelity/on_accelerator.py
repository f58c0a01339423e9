"""The SSIM family on an accelerator, by torch: the formulas of :mod:`qbench_fidelity.similarity`, of a whole batch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from qbench_fidelity.planes import MATLAB, REC601
from qbench_fidelity.windows import C1, C2, MIDDLE, SIGMA, WINDOW

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Moments:
    """Originals (N×C×H×W, [0, 255]), with local means and variances where whole windows fit (N×C×H-10×W-10)."""

    image: torch.Tensor
    mean: torch.Tensor
    variance: torch.Tensor


def luma(images: torch.Tensor, *, rounded: bool) -> torch.Tensor:
    """Return luma, N×1×H×W in [0, 255], of N×3×H×W: BT.601's, or MATLAB's rounded one."""
    wide = images.double()  # what is rounded must not depend on the order of a sum
    red, green, blue = MATLAB if rounded else REC601
    found = red * wide[:, 0:1] + green * wide[:, 1:2] + blue * wide[:, 2:3]
    return ((found + 0.5).floor() if rounded else found).to(images.dtype)


@cache
def _window(channels: int, device: Any, kind: Any) -> torch.Tensor:
    import torch

    offsets = torch.arange(WINDOW, dtype=torch.float64) - WINDOW // 2
    window = torch.exp(-(offsets**2) / (2 * SIGMA**2))
    return (window / window.sum()).to(device, kind).view(1, 1, 1, -1).expand(channels, 1, 1, WINDOW)


def smooth(images: torch.Tensor) -> torch.Tensor:
    """Filter N×C×H×W with the 11×11 Gaussian of σ 1.5, only where the whole window fits: N×C×(H-10)×(W-10)."""
    import torch.nn.functional as functional

    channels = images.shape[1]
    window = _window(channels, images.device, images.dtype)
    rows = functional.conv2d(images, window, groups=channels)
    return functional.conv2d(rows, window.transpose(2, 3), groups=channels)


def moments(image: torch.Tensor) -> Moments:
    """Return originals with their local moments."""
    centred = image - MIDDLE
    mean = smooth(centred)
    return Moments(image, mean + MIDDLE, smooth(centred * centred).addcmul_(mean, mean, value=-1))


def dissimilarity(original: Moments, images: torch.Tensor, *, luminance: bool) -> torch.Tensor:
    """Return the mean over all windows of 1 - SSIM, or of 1 - its structure factor alone: N×C, float64."""
    import torch

    difference = images - original.image
    middle = smooth(difference)
    square = middle * middle
    spread = smooth(difference * difference).sub_(square)
    product = (middle + 2 * original.mean).mul_(middle)
    contrast = smooth(difference * (difference + 2 * original.image)).sub_(product).add_(2 * original.variance + C2)
    spread.div_(contrast)
    total = spread.sum(dim=(2, 3), dtype=torch.float64)
    if luminance:
        square.div_(product.add_(2 * original.mean.square() + C1))
        total = total + square.sum(dim=(2, 3), dtype=torch.float64)
        total = total - (square * spread).sum(dim=(2, 3), dtype=torch.float64)
    return total / (spread.shape[2] * spread.shape[3])


def moments_at_scales(image: torch.Tensor, scales: int, *, zeros: bool) -> list[Moments]:
    """Return originals with their local moments at every scale."""
    found = [moments(image)]
    for _ in range(scales - 1):
        found.append(moments(halve(found[-1].image, zeros=zeros)))
    return found


def dissimilarities(originals: list[Moments], images: torch.Tensor, *, zeros: bool) -> torch.Tensor:
    """Return 1 - the mean factor of every plane and scale: N×C×scales, float64."""
    import torch

    found = []
    for original in originals:
        found.append(dissimilarity(original, images, luminance=original is originals[-1]))
        if original is not originals[-1]:
            images = halve(images, zeros=zeros)
    return torch.stack(found, dim=2)


def halve(images: torch.Tensor, *, zeros: bool) -> torch.Tensor:
    """Average 2×2 blocks; see :func:`qbench_fidelity.planes.halve`."""
    import torch.nn.functional as functional

    rows, columns = (side % 2 for side in images.shape[2:])
    if zeros:
        images = functional.pad(images, (columns, columns, rows, rows))
    elif rows or columns:
        images = functional.pad(images, (0, columns, 0, rows), mode="replicate")
    return functional.avg_pool2d(images, kernel_size=2)
