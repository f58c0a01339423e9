"""The SSIM family on an accelerator, by torch: the formulas of :mod:`qbench_fidelity.similarity`, of a whole batch."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from qbench_fidelity.planes import MATLAB, REC601
from qbench_fidelity.windows import C1, C2, MIDDLE, SIGMA, WINDOW

if TYPE_CHECKING:
    import torch


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


def dissimilarity(original: torch.Tensor, images: torch.Tensor, *, luminance: bool) -> torch.Tensor:
    """Return the mean over all windows of 1 - SSIM, or of 1 - its structure factor alone: N×C, float64.

    All that is filtered is filtered together: few launches, which small images would spend their time on.

    Args:
        original: 1×C×H×W, [0, 255].
        images: N×C×H×W.
    """
    import torch

    count = len(images)
    maps = images.new_empty((3 * count + 2, *images.shape[1:]))
    difference, squares, rise = (maps[index * count : (index + 1) * count] for index in range(3))
    torch.sub(images, original, out=difference)
    torch.mul(difference, difference, out=squares)
    torch.addcmul(squares, difference, original, value=2, out=rise)  # y² - x²
    centred = torch.sub(original, MIDDLE, out=maps[-2:-1])
    torch.mul(centred, centred, out=maps[-1:])
    filtered = smooth(maps)
    middle, spread, contrast = (filtered[index * count : (index + 1) * count] for index in range(3))
    variance = filtered[-1:].addcmul(filtered[-2:-1], filtered[-2:-1], value=-1)
    mean = filtered[-2:-1] + MIDDLE
    square = middle * middle
    product = square.addcmul(middle, mean, value=2)  # E[y]² - E[x]²
    contrast = contrast.sub_(product).add_(variance, alpha=2).add_(C2)
    lost = spread.sub_(square).div_(contrast)
    if luminance:
        dimmer = square.div_(product.add_(mean.square(), alpha=2).add_(C1))
        lost = (lost + dimmer).addcmul_(lost, dimmer, value=-1)
    return lost.sum(dim=(2, 3), dtype=torch.float64) / (lost.shape[2] * lost.shape[3])


def at_scales(image: torch.Tensor, scales: int, *, zeros: bool) -> list[torch.Tensor]:
    """Return images, halved again and again."""
    found = [image]
    for _ in range(scales - 1):
        found.append(halve(found[-1], zeros=zeros))
    return found


def dissimilarities(originals: list[torch.Tensor], images: torch.Tensor, *, zeros: bool) -> torch.Tensor:
    """Return 1 - the mean factor of every plane and scale: N×C×scales, float64."""
    import torch

    pairs = list(zip(originals, at_scales(images, len(originals), zeros=zeros), strict=True))
    found = [dissimilarity(one, made, luminance=one is originals[-1]) for one, made in pairs]
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
