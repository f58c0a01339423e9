"""SSIM with a Gaussian window, and its multi-scale form.

On a processor by :mod:`qbench_fidelity.similarity`, on an accelerator by :mod:`qbench_fidelity.on_accelerator`: by the
same formula, with everything that depends on the original alone computed once an image.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from qbench.plugin import Candidates, Column, Direction, NotApplicable, Parameters, Pixels, Reference, Scores
from qbench_fidelity import on_accelerator
from qbench_fidelity.libraries import Compiled
from qbench_fidelity.one_by_one import OneByOne
from qbench_fidelity.planes import Plane, channels, luma, matlab_luma
from qbench_fidelity.windows import WINDOW

if TYPE_CHECKING:
    from qbench_fidelity.similarity import Original

SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


class _GaussianSsim(Compiled, OneByOne):
    """What the SSIM family shares: planes that are compared each by itself, and averaged."""

    runs_on = "accelerator"

    def planes(self, pixels: Pixels) -> Sequence[Plane]:
        """Return the planes of an image."""
        return channels(pixels)

    def tensor(self, tensor: Any) -> Any:
        """Return the planes of N×3×H×W on an accelerator, N×C×H×W."""
        return tensor


class _OneScale(_GaussianSsim):
    def prepare(self, reference: Reference) -> Any:
        """Compute the original's local moments."""
        require_side(reference, WINDOW, "SSIM's window")
        if reference.device != "cpu":
            return self.tensor(reference.tensor)
        from qbench_fidelity.similarity import prepare

        return self.of_planes(prepare, self.planes(reference.pixels), reference)

    def score(self, candidates: Candidates, prepared: Any) -> Sequence[Scores]:
        """Score a batch."""
        if candidates.device != "cpu":
            found = on_accelerator.dissimilarities([prepared], self.tensor(candidates.tensor))
            values = found.mean(axis=(1, 2)).tolist()
        else:
            from qbench_fidelity.similarity import mean_dissimilarity

            values = self.each(lambda pixels: mean_dissimilarity(prepared, self.planes(pixels)), candidates)
        return [{self.name: 1 - value} for value in values]


class Ssim(_OneScale):
    """Structural similarity: 11×11 Gaussian window (σ 1.5), K1 0.01, K2 0.03, range 255, no downsampling.

    Taken per RGB channel where the whole window fits, and averaged over positions and channels. scikit-image with
    ``gaussian_weights=True, sigma=1.5, use_sample_covariance=False`` and piq with ``downsample=False`` agree. Piq's
    default, and Wang's published script, first shrink large images and give higher values.
    """

    name = "ssim"
    summary = "structural similarity, Gaussian 11×11 window, RGB mean"
    version = 2
    reference = "Wang, Bovik, Sheikh & Simoncelli 2004, IEEE TIP 13(4), 600-612"
    usual = True
    columns: ClassVar = (Column("ssim", Direction.HIGHER, -1.0, 1.0, title="SSIM"),)


class LumaParameters(Parameters):
    """Settings of metrics that look at luma."""

    luma: Literal["bt601", "rgb2gray"] = Field(
        "bt601", description="BT.601 over the full range, not rounded; or MATLAB's rgb2gray, rounded to 8 bits"
    )


class _OfLuma:
    """What of an image is looked at: its luma alone."""

    parameters: Any

    def planes(self, pixels: Pixels) -> Sequence[Plane]:
        """Return the luma of an image."""
        taken: Callable[[Pixels], Plane] = luma if self.parameters.luma == "bt601" else matlab_luma
        return [taken(pixels)]

    def tensor(self, tensor: Any) -> Any:
        """Return the luma of N×3×H×W on an accelerator, N×1×H×W."""
        return on_accelerator.luma(tensor, rounded=self.parameters.luma != "bt601")


class SsimY(_OfLuma, _OneScale):
    """SSIM as ``ssim`` takes it (Gaussian 11×11 window, no downsampling), of luma."""

    name = "ssim-y"
    summary = "structural similarity of luma (BT.601, full range)"
    version = 2
    reference = "Wang, Bovik, Sheikh & Simoncelli 2004, IEEE TIP 13(4), 600-612"
    columns: ClassVar = (Column("ssim-y", Direction.HIGHER, -1.0, 1.0, title="SSIM-Y"),)
    Parameters: ClassVar = LumaParameters


class MsSsimParameters(Parameters):
    """Settings of MS-SSIM."""

    odd_sides: Literal["symmetric", "zeros"] = Field(
        "symmetric",
        description="how sides of an odd length are halved: the last row twice, as Wang's program and TensorFlow do, "
        "or with zeros around, as pytorch-msssim does",
    )


class MsSsim(_GaussianSsim):
    """Multi-scale SSIM: five scales, halved by 2×2 averaging, weights 0.0448, 0.2856, 0.3001, 0.2363, 0.1333.

    Per RGB channel, then averaged over channels. Only the coarsest scale looks at luminance. A scale whose mean
    structure factor is negative counts as 0, as its fractional power is not defined; pytorch-msssim and torchmetrics do
    the same. Defined for shorter sides of at least 161 pixels.
    """

    name = "ms-ssim"
    summary = "multi-scale structural similarity, five scales, RGB mean"
    version = 2
    reference = "Wang, Simoncelli & Bovik 2003, Asilomar Conference on Signals, Systems & Computers"
    usual = True
    columns: ClassVar = (
        Column("ms-ssim", Direction.HIGHER, 0.0, 1.0, title="MS-SSIM"),
        Column(
            "db",
            Direction.HIGHER,
            0.0,
            None,
            "dB",
            2,
            "-10·log10(1 - MS-SSIM), as rate-distortion plots show it",
            title="MS-SSIM",
        ),
    )
    Parameters: ClassVar = MsSsimParameters

    def prepare(self, reference: Reference) -> Any:
        """Compute the original's local moments at every scale."""
        require_side(reference, (WINDOW - 1) * 2 ** (len(SCALE_WEIGHTS) - 1) + 1, self.name.upper())
        if reference.device != "cpu":
            return on_accelerator.at_scales(self.tensor(reference.tensor), len(SCALE_WEIGHTS), zeros=self._zeros)
        from qbench_fidelity.similarity import prepare

        def at_scales(plane: Plane) -> list[Original]:
            return [prepare(each) for each in self._scales(plane)]

        return self.of_planes(at_scales, self.planes(reference.pixels), reference)

    def score(self, candidates: Candidates, prepared: Any) -> Sequence[Scores]:
        """Score a batch."""
        if candidates.device != "cpu":
            images = self.tensor(candidates.tensor)
            found = on_accelerator.dissimilarities(prepared, images, zeros=self._zeros).tolist()
        else:
            found = self.each(partial(self._dissimilarities, prepared), candidates)
        return [self._scores(each) for each in found]

    @property
    def _zeros(self) -> bool:
        return bool(self.parameters.odd_sides == "zeros")

    def _scales(self, plane: Plane) -> list[Plane]:
        from qbench_fidelity.similarity import halve

        found = [plane]
        for _ in SCALE_WEIGHTS[1:]:
            found.append(halve(found[-1], zeros=self._zeros))
        return found

    def _dissimilarities(self, prepared: Sequence[Sequence[Original]], pixels: Pixels) -> list[list[float]]:
        """Return 1 - the mean factor of every plane and scale."""
        from qbench_fidelity.similarity import dissimilarity

        found = []
        for scales, plane in zip(prepared, self.planes(pixels), strict=True):
            pairs = list(zip(scales, self._scales(plane), strict=True))
            found.append([dissimilarity(one, made, luminance=one is scales[-1]) for one, made in pairs])
        return found

    def _scores(self, dissimilarities: Sequence[Sequence[float]]) -> Scores:
        # 1 - the product, of numbers near 1, without the difference of numbers that are nearly equal.
        found = [one_minus_product(each) for each in dissimilarities]
        value = sum(found) / len(found)
        return {self.name: 1 - value, "db": math.inf if value <= 0 else -10 * math.log10(value) + 0.0}


class MsSsimY(_OfLuma, MsSsim):
    """MS-SSIM as ``ms-ssim`` takes it, of luma, as its paper and most of the literature before learned codecs do."""

    name = "ms-ssim-y"
    summary = "multi-scale structural similarity of luma"
    version = 1
    usual = False
    columns: ClassVar = (
        Column("ms-ssim-y", Direction.HIGHER, 0.0, 1.0, title="MS-SSIM-Y"),
        Column("db", Direction.HIGHER, 0.0, None, "dB", 2, "-10·log10(1 - MS-SSIM)", title="MS-SSIM-Y"),
    )

    class Parameters(LumaParameters, MsSsimParameters):
        """Settings of MS-SSIM of luma."""


def one_minus_product(dissimilarities: Sequence[float], weights: Sequence[float] = SCALE_WEIGHTS) -> float:
    """Return 1 - the product of 1 - each, to the power of its weight: exact where they are small; 1 where one is 1."""
    if max(dissimilarities) >= 1:
        return 1.0
    logarithms = [weight * math.log1p(-each) for weight, each in zip(weights, dissimilarities, strict=True)]
    return -math.expm1(math.fsum(logarithms))


def require_side(reference: Reference, least: int, what: str) -> None:
    """Raise NotApplicable if the image's shorter side is less than ``least`` pixels."""
    shorter = min(reference.pixels.shape[:2])
    if shorter < least:
        raise NotApplicable(f"shorter side is {shorter} pixels; {what} needs {least}")
