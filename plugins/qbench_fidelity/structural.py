"""Full-reference metrics of gradients, phase, wavelets and information, computed by piq.

Each looks at brightness and colour as its paper does, and shrinks the image first where its paper does; that is part
of the definition and said with each.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, ClassVar

import numpy as np

from qbench.plugin import Candidates, Column, Direction, Metric, NotApplicable, Reference, Scores
from qbench_fidelity.ssim import require_side


class PiqMetric(Metric):
    """A metric that piq computes.

    Class attributes:
        least: pixels that the shorter side must have.
        identical: the value of an image compared with itself.
        function: of piq, which is given both images and their range.
        options: what else it is given.
        double: whether in float64.
    """

    least: ClassVar[int]
    identical: ClassVar[float]
    function: ClassVar[str]
    options: ClassVar[Mapping[str, Any]] = {}
    double: ClassVar[bool] = False

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


class Vif(PiqMetric):
    """Visual information fidelity in the pixel domain, of luma (BT.601), at four scales; noise variance 2.

    The share of the information in the original that the reconstruction still carries; above 1 where contrast was
    raised. Not applicable where the original is of one luma, which carries none.
    """

    name = "vif"
    summary = "visual information fidelity, pixel domain (VIFp)"
    reference = "Sheikh & Bovik 2006, IEEE TIP 15(2), 430-444; its authors' pixel-domain version"
    columns: ClassVar = (Column("vif", Direction.HIGHER, 0.0, None),)
    least = 41
    identical = 1.0
    function = "vif_p"

    def prepare(self, reference: Reference) -> None:
        """Refuse images that are too small, or carry no information."""
        super().prepare(reference)
        if np.ptp(reference.pixels.reshape(-1, 3), axis=0).max() == 0:
            raise NotApplicable("the original is a single colour and contains no information")


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

    The image is first shrunk by averaging, by its shorter side divided by 256 and rounded, as in the paper.
    """

    name = "fsim"
    summary = "feature similarity with colour (FSIMc): phase congruency and gradients"
    reference = "Zhang, Zhang, Mou & Zhang 2011, IEEE TIP 20(8), 2378-2386"
    columns: ClassVar = (Column("fsim", Direction.HIGHER, 0.0, 1.0),)
    least = 48  # the longest wavelength of its filters
    identical = 1.0
    function = "fsim"
    options: ClassVar = {"chromatic": True}


class Gmsd(PiqMetric):
    """Gradient magnitude similarity deviation, of luma halved by 2×2 averaging: 0 is best."""

    name = "gmsd"
    summary = "gradient magnitude similarity deviation of luma"
    reference = "Xue, Zhang, Mou & Bovik 2014, IEEE TIP 23(2), 684-695"
    columns: ClassVar = (Column("gmsd", Direction.LOWER, 0.0, None),)
    least = 6  # two of its 3×3 windows, after halving
    identical = 0.0
    function = "gmsd"


class Vsi(PiqMetric):
    """Visual saliency-induced index: saliency, gradients and chrominance.

    The image is first shrunk by averaging, by its shorter side divided by 256 and rounded, as in the paper.
    """

    name = "vsi"
    summary = "visual saliency-induced index"
    reference = "Zhang, Shen & Li 2014, IEEE TIP 23(10), 4270-4281"
    columns: ClassVar = (Column("vsi", Direction.HIGHER, 0.0, 1.0),)
    least = 3
    identical = 1.0
    function = "vsi"


class HaarPsi(PiqMetric):
    """Haar wavelet-based perceptual similarity with colour, of the image halved by 2×2 averaging."""

    name = "haarpsi"
    summary = "Haar wavelet-based perceptual similarity"
    reference = "Reisenhofer, Bosse, Kutyniok & Wiegand 2018, Signal Processing: Image Communication 61, 33-43"
    columns: ClassVar = (Column("haarpsi", Direction.HIGHER, 0.0, 1.0),)
    least = 16
    identical = 1.0
    function = "haarpsi"


class Mdsi(PiqMetric):
    """Mean deviation similarity index, of gradients and chromaticity, combined by sum: 0 is best.

    The image is first shrunk by averaging, by its shorter side divided by 256 and rounded, as in the paper.
    """

    name = "mdsi"
    summary = "mean deviation similarity index"
    reference = "Nafchi, Shahkolaei, Hedjam & Cheriet 2016, IEEE Access 4, 5579-5590"
    columns: ClassVar = (Column("mdsi", Direction.LOWER, 0.0, None),)
    least = 3
    identical = 0.0
    function = "mdsi"
