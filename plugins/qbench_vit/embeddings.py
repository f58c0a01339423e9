"""Features of classifiers, and of networks that give nothing else, for metrics that compare distributions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from qbench.plugin import Context, Embed, Embedding, Image
from qbench.toolkit.inference import BatchedNetwork
from qbench_vit.classifier import load_network, preprocessing_of
from qbench_vit.models import BUNDLED, HUB_OWNER, local_weights, timm_weights

if TYPE_CHECKING:
    import torch


SMALL = 3 * 64 * 64
"""Samples of a network's input up to which it is fed several at a time on a processor."""
TOGETHER = 8


def embedding(name: str) -> Embedding | None:
    """Return the features of a network by its name: the bundled one's, ``timm/NAME``, or a path as for vit-score.

    Raises:
        ModelError: timm has no model of that name, or nothing at the path is one.
    """
    if name == BUNDLED.name:
        weights = BUNDLED
    elif name.startswith(HUB_OWNER):
        weights = timm_weights(name.removeprefix(HUB_OWNER), labels=False)
    elif (path := Path(name).expanduser()).is_file() or (path / "config.json").is_file():
        weights = local_weights(path)
    else:
        return None

    def load(context: Context) -> Embed:
        network, config, _ = load_network(weights, labels=False)
        ready: Any = network.to(context.device).eval()
        transform = preprocessing_of(config, "model")

        def forward(inputs: torch.Tensor) -> tuple[torch.Tensor]:
            return (ready.forward_head(ready.forward_features(inputs), pre_logits=True),)

        small = math.prod(config["input_size"]) <= SMALL
        batched = BatchedNetwork(weights.name, forward, context, cpu_batch=TOGETHER if small else None)

        def embed(images: Sequence[Image]) -> npt.NDArray[np.float32]:
            import torch

            (found,) = batched(torch.stack([transform(PillowImage.fromarray(image.pixels)) for image in images]))
            return found.astype(np.float32)

        return embed

    return Embedding(weights, load)
