"""Full-reference metrics of phase, saliency and information, computed by piq.

Each looks at brightness and colour as its paper does, and shrinks the image first where its paper does; that is part
of the definition and said with each.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from qbench.plugin import Candidates, Column, Direction, Metric, NotApplicable, Pixels, Reference, Scores
from qbench_fidelity.planes import shrink_factor, shrunk
from qbench_fidelity.ssim import require_side

if TYPE_CHECKING:
    import torch


class PiqMetric(Metric):
    """A metric that piq computes.

    Class attributes:
        least: pixels that the shorter side must have.
        identical: the value of an image compared with itself.
        function: of piq, which is given both images and their range.
        options: what else it is given.
        double: whether in float64.
        shrinks: whether images are first shrunk as the papers' MATLAB does (see :func:`qbench_fidelity.planes.shrunk`).
            piq would do it itself, but rounds half of a factor to even.
    """

    least: ClassVar[int]
    identical: ClassVar[float]
    function: ClassVar[str]
    options: ClassVar[Mapping[str, Any]] = {}
    double: ClassVar[bool] = False
    shrinks: ClassVar[bool] = False

    @classmethod
    def libraries(cls) -> dict[str, str]:
        """piq's version, and torch's."""
        return {name: version(name) for name in ("piq", "torch")}

    def prepare(self, reference: Reference) -> None:
        """Refuse images that are too small."""
        require_side(reference, self.least, self.name.upper())

    def score(self, candidates: Candidates, prepared: Any) -> Sequence[Scores | NotApplicable]:
        """Score a batch, one by one: several at once are no faster on a CPU, and take the memory of all."""
        return [self._score(candidates, index) for index in range(len(candidates))]

    def _score(self, candidates: Candidates, index: int) -> Scores | NotApplicable:
        import piq
        import torch

        if candidates.identical[index]:
            return {self.name: self.identical}
        if self.shrinks:
            images = candidates.images[index], candidates.reference.image
            pair = [self._shrunk(image.pixels, candidates.device) for image in images]
        else:
            pair = [candidates.tensor[index : index + 1], candidates.reference.tensor]
        if self.double:
            pair = [tensor.double() for tensor in pair]
        try:
            with torch.inference_mode():
                value = float(getattr(piq, self.function)(*pair, data_range=255, **self.options))
        except RuntimeError as error:
            if "singular" not in str(error):
                raise
            value = math.nan  # an image without structure, where information has no inverse
        if math.isnan(value):
            return NotApplicable(f"{self.name} is not defined for this image: it has no structure")
        return {self.name: value}

    @staticmethod
    def _shrunk(pixels: Pixels, device: str) -> torch.Tensor:
        import torch

        small = shrunk(pixels.astype(np.float32), shrink_factor(pixels))
        return torch.from_numpy(small).permute(2, 0, 1)[None].clamp(0, 255).to(device)


class IwSsim(PiqMetric):
    """Information-content-weighted SSIM: MS-SSIM of luma on a Laplacian pyramid, weighted by local information."""

    name = "iw-ssim"
    summary = "information-content-weighted multi-scale SSIM of luma"
    reference = "Wang & Li 2011, IEEE TIP 20(5), 1185-1198"
    columns: ClassVar = (Column("iw-ssim", Direction.HIGHER, 0.0, 1.0),)
    least = 161
    identical = 1.0
    function = "information_weighted_ssim"
    double = True  # it inverts covariances


class Fsim(PiqMetric):
    """Feature similarity with colour (FSIMc): phase congruency, gradients and chrominance.

    The image is first shrunk by averaging, by its shorter side divided by 256 and rounded half up, as in the
    paper's program.
    """

    name = "fsim"
    summary = "feature similarity with colour (FSIMc): phase congruency and gradients"
    reference = "Zhang, Zhang, Mou & Zhang 2011, IEEE TIP 20(8), 2378-2386"
    columns: ClassVar = (Column("fsim", Direction.HIGHER, 0.0, 1.0),)
    least = 48  # the longest wavelength of its filters
    identical = 1.0
    function = "fsim"
    shrinks = True
    version = 2
    options: ClassVar = {"chromatic": True}


class Vsi(PiqMetric):
    """Visual saliency-induced index: saliency, gradients and chrominance.

    The image is first shrunk by averaging, by its shorter side divided by 256 and rounded half up, as in the
    paper's program.
    """

    name = "vsi"
    summary = "visual saliency-induced index"
    reference = "Zhang, Shen & Li 2014, IEEE TIP 23(10), 4270-4281"
    columns: ClassVar = (Column("vsi", Direction.HIGHER, 0.0, 1.0),)
    least = 3
    identical = 1.0
    function = "vsi"
    shrinks = True
    version = 2

    def _score(self, candidates: Candidates, index: int) -> Scores | NotApplicable:
        both = candidates.images[index].pixels, candidates.reference.pixels
        if all(np.ptp(pixels.reshape(-1, 3), axis=0).max() == 0 for pixels in both) and not candidates.identical[index]:
            return NotApplicable("both images are a single colour, where nothing is salient")
        return super()._score(candidates, index)
