"""The SSIM family on an accelerator, by torch: the formulas of :mod:`qbench_fidelity.similarity`, of a whole batch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from qbench_fidelity.planes import MATLAB, REC601
from qbench_fidelity.windows import C1, C2, MIDDLE, SIGMA, WINDOW

if TYPE_CHECKING:
    import torch

Values = npt.NDArray[np.float64]


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


def dissimilarities(originals: Sequence[torch.Tensor], images: torch.Tensor, *, zeros: bool = False) -> Values:
    """Return the mean over all windows of 1 - SSIM, or of 1 - its structure factor but at the last scale.

    The scales but the first are small: they are computed together, as each alone would be launches and little else.

    Args:
        originals: of every scale, 1×C×H×W, [0, 255].
        images: N×C×H×W, of the first.
        zeros: see :func:`halve`.

    Returns:
        N×C×scales.
    """
    import torch

    made = at_scales(images, len(originals), zeros=zeros)
    found = _of_levels(originals[:1], made[:1], luminance=len(originals) == 1)
    if len(originals) > 1:
        found += _of_levels(originals[1:], made[1:], luminance=True)
    positions = [math.prod(_where_it_fits(each)) for each in originals]
    means: Values = torch.stack(found, dim=2).cpu().numpy() / np.array(positions)
    return means


def _of_levels(
    originals: Sequence[torch.Tensor], images: Sequence[torch.Tensor], *, luminance: bool
) -> list[torch.Tensor]:
    """Return the sum over all windows of 1 - the structure factor, N×C, of each scale; of the last one of 1 - SSIM.

    All that is filtered is filtered together: few launches, which small images would spend their time on.
    """
    import torch

    count = len(images[0])
    one, made = _joined(originals), _joined(images)
    maps = made.new_empty((3 * count + 2, *made.shape[1:]))
    difference, squares, rise = (maps[index * count : (index + 1) * count] for index in range(3))
    torch.sub(made, one, out=difference)
    torch.mul(difference, difference, out=squares)
    torch.addcmul(squares, difference, one, value=2, out=rise)  # y² - x²
    centred = torch.sub(one, MIDDLE, out=maps[-2:-1])
    torch.mul(centred, centred, out=maps[-1:])
    filtered = _joined([smooth(each) for each in _split(maps, [level.shape[2:] for level in originals])])
    middle, spread, contrast = (filtered[index * count : (index + 1) * count] for index in range(3))
    variance = filtered[-1:].addcmul(filtered[-2:-1], filtered[-2:-1], value=-1)
    mean = filtered[-2:-1] + MIDDLE
    square = middle * middle
    product = square.addcmul(middle, mean, value=2)  # E[y]² - E[x]²
    contrast = contrast.sub_(product).add_(variance, alpha=2).add_(C2)
    lost = _split(spread.sub_(square).div_(contrast), [_where_it_fits(level) for level in originals])
    if luminance:
        last = lost[-1].shape[2:].numel()
        square, product, mean = (each.flatten(2)[..., -last:] for each in (square, product, mean))
        dimmer = square.div_(product.add_(mean.square(), alpha=2).add_(C1)).view(lost[-1].shape)
        lost[-1] = (lost[-1] + dimmer).addcmul_(lost[-1], dimmer, value=-1)
    return [each.sum(dim=(2, 3), dtype=torch.float64) for each in lost]


def _joined(levels: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return images of several sizes as one N×C×positions; those of one size as they are."""
    import torch

    return levels[0] if len(levels) == 1 else torch.cat([each.flatten(2) for each in levels], dim=2)


def _split(joined: torch.Tensor, sides: Sequence[tuple[int, ...]]) -> list[torch.Tensor]:
    """Return images of several sizes that were joined."""
    if len(sides) == 1:
        return [joined]
    import torch

    parts = torch.split(joined, [math.prod(each) for each in sides], dim=2)
    return [part.reshape(*part.shape[:2], *each) for part, each in zip(parts, sides, strict=True)]


def _where_it_fits(image: torch.Tensor) -> tuple[int, int]:
    """Return in how many rows and columns the window fits into an image."""
    height, width = image.shape[2:]
    return height - WINDOW + 1, width - WINDOW + 1


def at_scales(image: torch.Tensor, scales: int, *, zeros: bool) -> list[torch.Tensor]:
    """Return images, halved again and again."""
    found = [image]
    for _ in range(scales - 1):
        found.append(halve(found[-1], zeros=zeros))
    return found


def halve(images: torch.Tensor, *, zeros: bool) -> torch.Tensor:
    """Average 2×2 blocks; see :func:`qbench_fidelity.planes.halve`."""
    import torch.nn.functional as functional

    rows, columns = (side % 2 for side in images.shape[2:])
    if zeros:
        images = functional.pad(images, (columns, columns, rows, rows))
    elif rows or columns:
        images = functional.pad(images, (0, columns, 0, rows), mode="replicate")
    return functional.avg_pool2d(images, kernel_size=2)
