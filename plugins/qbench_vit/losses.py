"""The classifier's judgement as losses: for codecs that optimise what they send."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from qbench.plugin import Loss, Weights
from qbench_vit.classifier import load_network
from qbench_vit.models import BUNDLED, PUBLISHED

if TYPE_CHECKING:
    import torch


class _ByClassifier(Loss):
    """A loss by the profile's classifier, which sees the whole image, squashed to its square."""

    @classmethod
    def weights(cls, profile: str) -> Sequence[Weights]:
        """The profile's classifier."""
        return (PUBLISHED if profile == "hub" else BUNDLED,)

    @cached_property
    def _network(self) -> Any:
        import torch

        network, self._config, _ = load_network(self.weights(self.context.profile)[0])
        # Carried there once, and not at every step of a search.
        self._mean, self._deviation = (
            torch.tensor(self._config[name]).view(1, 3, 1, 1).to(self.context.device) for name in ("mean", "std")
        )
        return network.to(self.context.device).eval().requires_grad_(False)

    def _prepared(self, images: torch.Tensor) -> torch.Tensor:
        """Resize and normalise, differentiably: N×3×H×W in [0, 1] to what the network takes."""
        from torch.nn import functional

        _ = self._network  # sets the configuration
        size = tuple(self._config["input_size"][-2:])
        if tuple(images.shape[2:]) != size:
            images = functional.interpolate(images, size, mode="bicubic", antialias=True, align_corners=False)
        normalised: torch.Tensor = (images - self._mean) / self._deviation
        return normalised


class LabelLoss(_ByClassifier):
    """Jensen-Shannon divergence, in nats, of the label distributions: the ViT-Score as a loss.

    The ViT-Score itself counts labels and has no gradient. This is 0 where all labels are equally probable in both
    images, and log 2 where no label is in both.
    """

    name = "vit-labels"
    summary = "Jensen-Shannon divergence of the label distributions of a Vision Transformer"
    reference: ClassVar = "Lin 1991, IEEE Trans. Inf. Theory 37; as a loss: Minchev 2022, outlook"

    def prepare(self, targets: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        """Look at the targets."""
        import torch

        with torch.no_grad():
            expected = self._network(self._prepared(targets)).log_softmax(dim=1)

        def distance(images: torch.Tensor) -> torch.Tensor:
            found = self._network(self._prepared(images)).log_softmax(dim=1)
            middle = torch.logaddexp(expected, found) - math.log(2)
            each = expected.exp() * (expected - middle) + found.exp() * (found - middle)
            divergence: torch.Tensor = 0.5 * each.sum(dim=1)
            return divergence

        return distance


class FeatureLoss(_ByClassifier):
    """Distance of the tokens after every block, each token brought to length 1: LPIPS's form, unweighted."""

    name = "vit-features"
    summary = "distance of the features of a Vision Transformer, layer by layer"
    reference: ClassVar = "after Zhang et al. 2018, CVPR (LPIPS)"

    def prepare(self, targets: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        """Look at the targets."""
        import torch

        with torch.no_grad():
            expected = self._layers(targets)

        def distance(images: torch.Tensor) -> torch.Tensor:
            pairs = zip(expected, self._layers(images), strict=True)
            return torch.stack([(a - b).square().sum(dim=1).mean(dim=(1, 2)) for a, b in pairs]).mean(dim=0)

        return distance

    def _layers(self, images: torch.Tensor) -> list[torch.Tensor]:
        from torch.nn import functional

        layers = self._network.forward_intermediates(self._prepared(images), intermediates_only=True)
        return [functional.normalize(layer, dim=1) for layer in layers]
