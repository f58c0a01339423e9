"""``qbench train vit``: the bundled vision transformer, trained on Tiny-ImageNet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field

from qbench.plugin import Context, Recipe, TrainingStep
from qbench.toolkit.training import Trainer, TrainingParameters
from qbench_vit.network import Shape, build
from qbench_vit.tiny_imagenet import Images, TinyImageNet, load

if TYPE_CHECKING:
    import torch


class VitParameters(TrainingParameters):
    """Settings of the training; the defaults made the bundled weights."""

    epochs: int = Field(18, ge=1, description="passes over the training images; may be changed on resume")
    batch: int = Field(256, ge=8, description="images per step")
    decay: float = Field(0.05, ge=0, description="weight decay")
    warmup: float = Field(1.0, ge=0, description="warm-up epochs")
    smoothing: float = Field(0.1, ge=0, lt=1, description="label smoothing")
    mixing: float = Field(0.5, ge=0, le=1, description="share of batches with CutMix or Mixup")
    magnitude: int = Field(5, ge=0, le=30, description="RandAugment's magnitude; 0 disables it")
    drop_path: float = Field(0.05, ge=0, lt=1, description="stochastic depth at the last block")
    width: int = Field(192, ge=32, description="of the transformer; a multiple of heads")
    depth: int = Field(7, ge=1, description="blocks")
    heads: int = Field(3, ge=1, description="attention heads")


class VitRecipe(Recipe):
    """A small vision transformer on the 200 labels of Tiny-ImageNet.

    AdamW with a cosine schedule, bf16 autocast, RandAugment, CutMix and Mixup, label smoothing, stochastic depth, and
    a moving average of the weights, which is what is kept: in half precision, with top-1 and top-5 of the validation
    images beside it.
    """

    name = "vit"
    summary = "the bundled vision transformer, on Tiny-ImageNet"
    Parameters: ClassVar = VitParameters

    def train(
        self, data: Path, work: Path, report: Callable[[TrainingStep], None], stopping: Callable[[], bool]
    ) -> Path | None:
        """Train, or resume; see :mod:`qbench_vit.tiny_imagenet` for the form of ``data``."""
        return VitTrainer(self.parameters, self.context, load(data, work), work).train(report, stopping)


class VitTrainer(Trainer):
    """Trains the transformer."""

    def __init__(self, settings: VitParameters, context: Context, data: TinyImageNet, work: Path) -> None:
        self._data = data
        size = data.train.pixels.shape[1]
        self._shape = Shape(size, settings.width, settings.depth, settings.heads, len(data.identifiers))
        images = [len(data.train.labels), len(data.validation.labels), len(data.identifiers)]
        steps = len(data.train.labels) // settings.batch
        super().__init__(settings, context, work, steps=steps, identity={"images": images})
        self._warm = settings.warmup * steps

    def build(self) -> torch.nn.Module:
        """Build the transformer."""
        return build(self._shape, drop_path=self.settings.drop_path)

    def make_optimiser(self) -> torch.optim.Optimizer:
        """With weight decay for matrices alone."""
        import torch

        decayed = [weight for weight in self.network.parameters() if weight.ndim > 1]
        others = [weight for weight in self.network.parameters() if weight.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": self.settings.decay}, {"params": others, "weight_decay": 0.0}]
        return torch.optim.AdamW(groups, lr=self.settings.rate, betas=(0.9, 0.999))

    def step(self, epoch: int, index: int) -> dict[str, float]:
        """Minimise the cross-entropy of an augmented batch."""
        from torch.nn import functional

        from qbench_vit.augment import augment

        order = np.random.default_rng((self.seed, epoch)).permutation(len(self._data.train.labels))
        chosen = np.sort(order[index * self.settings.batch : (index + 1) * self.settings.batch])
        pixels, labels = self._batch(self._data.train, chosen)
        count = self._shape.labels
        images, targets = augment(pixels, labels, count, magnitude=self.settings.magnitude, mixing=self.settings.mixing)
        self.set_rate(self._warm)
        self.network.train()
        with self.reduced_precision():
            logits = self.network(images)
        loss = functional.cross_entropy(logits.float(), targets, label_smoothing=self.settings.smoothing)
        return {"loss": self.descend(loss)}

    def validate(self) -> dict[str, float]:
        """Return top-1 and top-5 of the averaged weights on the validation images."""
        import torch

        self.average.eval()
        top = {1: 0, 5: 0}
        total = len(self._data.validation.labels)
        with torch.inference_mode():
            for start in range(0, total, 500):
                pixels, labels = self._batch(self._data.validation, slice(start, start + 500))
                with self.reduced_precision():
                    logits = self.average(pixels.float() / 127.5 - 1)
                best = logits.float().topk(min(5, self._shape.labels), dim=1).indices
                for count in top:
                    top[count] += int((best[:, :count] == labels[:, None]).any(dim=1).sum())
        return {f"top{count}": hits / total for count, hits in top.items()}

    def finish(self) -> Path:
        """Write the averaged weights in half precision, and beside them what a model card needs."""
        return self.loop.publish(
            self.work / "vit.safetensors",
            self.average.module.state_dict(),
            {"shape": asdict(self._shape), "labels": self._data.names},
            self.card(identifiers=self._data.identifiers, names=self._data.names),
        )

    def _batch(self, part: Images, chosen: Any) -> tuple[torch.Tensor, torch.Tensor]:
        import torch

        pixels = torch.from_numpy(np.array(part.pixels[chosen])).permute(0, 3, 1, 2)
        return pixels.to(self.device), torch.from_numpy(part.labels[chosen]).to(self.device)
