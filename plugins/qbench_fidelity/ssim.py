"""SSIM with a Gaussian window, and its multi-scale form.

Both per RGB channel and averaged over channels, on the device, with everything that depends on the original alone
computed once an image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from qbench.plugin import Candidates, Column, Direction, Metric, NotApplicable, Reference, Scores

if TYPE_CHECKING:
    import torch

WINDOW = 11
SIGMA = 1.5
C1 = (0.01 * 255) ** 2
C2 = (0.03 * 255) ** 2
CENTRE = 127.5
"""Subtracted before variances are taken: they don't change, and float32 keeps more of them."""
STRIP_PIXELS = 100_000
"""Pixels of a candidate that are in hands at a time on a CPU."""
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


@dataclass(frozen=True)
class Moments:
    """A centred image x (N×3×H×W, [-127.5, 127.5]) with its local means and variances (N×3×H-10×W-10)."""

    image: torch.Tensor
    mean: torch.Tensor
    variance: torch.Tensor

    def rows(self, start: int, stop: int) -> Moments:
        """Return the windows of rows start to stop, with the pixels that they cover."""
        pixels = slice(start, stop + WINDOW - 1)
        windows = slice(start, stop)
        return Moments(self.image[:, :, pixels], self.mean[:, :, windows], self.variance[:, :, windows])


def gaussian_filter(images: torch.Tensor) -> torch.Tensor:
    """Filter N×C×H×W with the 11×11 Gaussian of σ 1.5, only where the whole window fits: N×C×(H-10)×(W-10)."""
    import torch
    import torch.nn.functional as functional

    channels = images.shape[1]
    offsets = torch.arange(WINDOW, dtype=torch.float64) - WINDOW // 2
    window = torch.exp(-(offsets**2) / (2 * SIGMA**2))
    window = (window / window.sum()).to(images)
    rows = functional.conv2d(images, window.view(1, 1, 1, -1).expand(channels, 1, 1, WINDOW), groups=channels)
    return functional.conv2d(rows, window.view(1, 1, -1, 1).expand(channels, 1, WINDOW, 1), groups=channels)


def moments(image: torch.Tensor) -> Moments:
    """Return an image's local moments."""
    mean = gaussian_filter(image)
    return Moments(image, mean, gaussian_filter(image * image).addcmul_(mean, mean, value=-1))


def structure_map(reference: Moments, candidates: Moments) -> torch.Tensor:
    """Return SSIM's contrast-structure factor, N×3×(H-10)×(W-10)."""
    covariance = gaussian_filter(candidates.image * reference.image)
    covariance.addcmul_(candidates.mean, reference.mean, value=-1)
    # In place, as memory is what this waits for.
    return covariance.mul_(2).add_(C2).div_((candidates.variance + reference.variance).add_(C2))


def luminance_map(reference: Moments, candidates: Moments) -> torch.Tensor:
    """Return SSIM's luminance factor, N×3×(H-10)×(W-10)."""
    here, there = candidates.mean + CENTRE, reference.mean + CENTRE
    return (2 * here * there).add_(C1).div_((here * here).addcmul_(there, there).add_(C1))


def mean_similarity(reference: Moments, candidates: torch.Tensor, *, luminance: bool) -> torch.Tensor:
    """Return the mean over positions of SSIM (or of its contrast-structure factor alone), N×3, float64.

    On a CPU this goes strip by strip: what is in hands stays in the caches, and memory does not grow with the image.
    """
    import torch

    height, width = reference.mean.shape[2:]
    step = height if candidates.is_cuda else max(16, STRIP_PIXELS // width)
    total = torch.zeros(candidates.shape[:2], dtype=torch.float64, device=candidates.device)
    for start in range(0, height, step):
        stop = min(start + step, height)
        there = reference.rows(start, stop)
        here = moments(candidates[:, :, start : stop + WINDOW - 1])
        maps = structure_map(there, here)
        if luminance:
            maps.mul_(luminance_map(there, here))
        total += maps.sum(dim=(2, 3), dtype=torch.float64)
    return total / (height * width)


class Ssim(Metric):
    """Structural similarity: 11×11 Gaussian window (σ 1.5), K1 0.01, K2 0.03, range 255, no downsampling.

    Taken per RGB channel where the whole window fits, and averaged over positions and channels. scikit-image with
    ``gaussian_weights=True, sigma=1.5, use_sample_covariance=False`` and piq with ``downsample=False`` agree. Piq's
    default, and Wang's published script, first shrink large images and give higher values.
    """

    name = "ssim"
    summary = "structural similarity, Gaussian 11×11 window, RGB mean"
    reference = "Wang, Bovik, Sheikh & Simoncelli 2004, IEEE TIP 13(4), 600-612"
    columns: ClassVar = (Column("ssim", Direction.HIGHER, -1.0, 1.0),)

    def prepare(self, reference: Reference) -> Moments:
        """Compute the original's local moments."""
        require_side(reference, WINDOW, "SSIM's window")
        return moments(reference.tensor - CENTRE)

    def score(self, candidates: Candidates, prepared: Any) -> Sequence[Scores]:
        """Score a batch."""
        values = mean_similarity(prepared, candidates.tensor - CENTRE, luminance=True)
        return [{"ssim": value} for value in one_if_identical(values.mean(dim=1).tolist(), candidates)]


class MsSsim(Metric):
    """Multi-scale SSIM: five scales, halved by 2×2 averaging, weights 0.0448, 0.2856, 0.3001, 0.2363, 0.1333.

    Per RGB channel, then averaged over channels. A scale whose mean contrast-structure is negative counts as 0, as its
    fractional power is not defined; pytorch-msssim and torchmetrics do the same. Defined for shorter sides of at
    least 161 pixels.
    """

    name = "ms-ssim"
    summary = "multi-scale structural similarity, five scales, RGB mean"
    reference = "Wang, Simoncelli & Bovik 2003, Asilomar Conference on Signals, Systems & Computers"
    columns: ClassVar = (
        Column("ms-ssim", Direction.HIGHER, 0.0, 1.0),
        Column("db", Direction.HIGHER, 0.0, None, "dB", 2, "-10·log10(1 - MS-SSIM), as rate-distortion plots show it"),
    )

    def prepare(self, reference: Reference) -> list[Moments]:
        """Compute the original's local moments at every scale."""
        require_side(reference, (WINDOW - 1) * 2 ** (len(SCALE_WEIGHTS) - 1) + 1, "MS-SSIM")
        image = reference.tensor - CENTRE
        scales = []
        for _ in SCALE_WEIGHTS:
            scales.append(moments(image))
            image = halve(image)
        return scales

    def score(self, candidates: Candidates, prepared: Any) -> Sequence[Scores]:
        """Score a batch."""
        import torch

        images = candidates.tensor - CENTRE
        factors = []
        for scale, reference in enumerate(prepared):
            coarsest = scale == len(prepared) - 1  # the only one that looks at luminance
            factors.append(mean_similarity(reference, images, luminance=coarsest).clamp(min=0))
            if not coarsest:
                images = halve(images)
        weights = torch.tensor(SCALE_WEIGHTS, dtype=torch.float64, device=images.device).view(-1, 1, 1)
        values = torch.prod(torch.stack(factors) ** weights, dim=0).mean(dim=1).tolist()
        return [{"ms-ssim": value, "db": decibel(value)} for value in one_if_identical(values, candidates)]


def halve(images: torch.Tensor) -> torch.Tensor:
    """Average 2×2 blocks; an odd last row or column is padded with zero on both sides, as pytorch-msssim does."""
    import torch.nn.functional as functional

    padding = [side % 2 for side in images.shape[2:]]
    # Zero means black in the images' own range, which is what the reference implementations pad with.
    padded = functional.pad(images, (padding[1], padding[1], padding[0], padding[0]), value=-CENTRE)
    return functional.avg_pool2d(padded, kernel_size=2)


def one_if_identical(values: list[float], candidates: Candidates) -> list[float]:
    """Return the values, exactly 1 for candidates that are the original: float32 may miss it, which dB would show."""
    return [1.0 if same else value for value, same in zip(values, candidates.identical, strict=True)]


def decibel(value: float) -> float:
    """Return -10·log10(1 - value); infinite for identical images."""
    return math.inf if value >= 1 else -10 * math.log10(1 - value)


def require_side(reference: Reference, least: int, what: str) -> None:
    """Raise NotApplicable if the image's shorter side is less than ``least`` pixels."""
    shorter = min(reference.pixels.shape[:2])
    if shorter < least:
        raise NotApplicable(f"shorter side is {shorter} pixels; {what} needs {least}")
