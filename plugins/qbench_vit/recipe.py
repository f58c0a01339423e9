"""``qbench train vit``: the bundled vision transformer, trained on Tiny-ImageNet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field

from qbench import Parameters, QbenchError, Recipe, TrainingLoop, TrainingStep
from qbench_vit.network import Shape, build
from qbench_vit.tiny_imagenet import Pictures, TinyImageNet, load

if TYPE_CHECKING:
    import torch


class VitParameters(Parameters):
    """Settings of the training; the defaults made the bundled weights."""

    epochs: int = Field(
        18, ge=1, description="passes over the training pictures; may be changed when a training goes on"
    )
    batch: int = Field(256, ge=8, description="pictures a step")
    rate: float = Field(1e-3, gt=0, description="learning rate at its peak, of AdamW")
    decay: float = Field(0.05, ge=0, description="weight decay")
    warmup: float = Field(1.0, ge=0, description="epochs in which the rate rises")
    smoothing: float = Field(0.1, ge=0, lt=1, description="label smoothing")
    mixing: float = Field(0.5, ge=0, le=1, description="share of batches with CutMix or Mixup")
    magnitude: int = Field(5, ge=0, le=30, description="RandAugment's magnitude; 0 leaves it out")
    drop_path: float = Field(0.05, ge=0, lt=1, description="stochastic depth at the last block")
    average: float = Field(0.999, ge=0, lt=1, description="decay of the weights' moving average")
    width: int = Field(192, ge=32, description="of the transformer; a multiple of heads")
    depth: int = Field(7, ge=1, description="blocks")
    heads: int = Field(3, ge=1, description="attention heads")


class VitRecipe(Recipe):
    """A small vision transformer on the 200 labels of Tiny-ImageNet.

    AdamW with a cosine schedule, bf16 autocast, RandAugment, CutMix and Mixup, label smoothing, stochastic depth, and
    a moving average of the weights, which is what is kept: in half precision, with top-1 and top-5 of the validation
    pictures beside it.
    """

    name = "vit"
    summary = "the bundled vision transformer, on Tiny-ImageNet"
    Parameters: ClassVar = VitParameters

    def train(
        self, data: Path, work: Path, report: Callable[[TrainingStep], None], stopping: Callable[[], bool]
    ) -> Path | None:
        """Train, or go on; see :mod:`qbench_vit.tiny_imagenet` for the form of ``data``."""
        pictures = load(data, work)
        trainer = _Trainer(self.parameters, self.context.seed, self.context.device, pictures, work)
        if not trainer.run(report, stopping):
            return None
        return trainer.finish()


class _Trainer:
    def __init__(self, settings: VitParameters, seed: int, device: str, data: TinyImageNet, work: Path) -> None:
        import torch
        from timm.utils.model_ema import ModelEmaV3

        torch.manual_seed(seed)
        self._settings = settings
        self._seed = seed
        self._device = device
        self._data = data
        self._work = work
        self._shape = Shape(
            data.train.pixels.shape[1], settings.width, settings.depth, settings.heads, len(data.identifiers)
        )
        self._network = build(self._shape, drop_path=settings.drop_path).to(device)
        self._average = ModelEmaV3(self._network, decay=settings.average, use_warmup=True)
        decayed = [weight for weight in self._network.parameters() if weight.ndim > 1]
        others = [weight for weight in self._network.parameters() if weight.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": settings.decay}, {"params": others, "weight_decay": 0.0}]
        self._optimiser = torch.optim.AdamW(groups, lr=settings.rate, betas=(0.9, 0.999))
        steps = len(data.train.labels) // settings.batch
        if steps == 0:
            raise QbenchError(f"{len(data.train.labels)} training pictures are fewer than a batch of {settings.batch}")
        pictures = [len(data.train.labels), len(data.validation.labels), len(data.identifiers)]
        self._warm = settings.warmup * steps
        self._loop = TrainingLoop(
            work,
            device,
            {"network": self._network, "average": self._average, "optimiser": self._optimiser},
            identity={"parameters": settings.model_dump(exclude={"epochs"}), "seed": seed, "pictures": pictures},
            epochs=settings.epochs,
            steps=steps,
        )

    def run(self, report: Callable[[TrainingStep], None], stopping: Callable[[], bool]) -> bool:
        """Train to the end; False if it was asked to stop before."""
        return self._loop.run(self._step, self.validate, report, stopping)

    def _step(self, epoch: int, index: int) -> dict[str, float]:
        import torch
        from torch.nn import functional

        from qbench_vit.augment import augment

        order = np.random.default_rng((self._seed, epoch)).permutation(len(self._data.train.labels))
        chosen = np.sort(order[index * self._settings.batch : (index + 1) * self._settings.batch])
        pixels, labels = self._batch(self._data.train, chosen)
        count = self._shape.labels
        pictures, targets = augment(
            pixels, labels, count, magnitude=self._settings.magnitude, mixing=self._settings.mixing
        )
        for group in self._optimiser.param_groups:
            group["lr"] = self._loop.rate(self._settings.rate, self._warm)
        self._network.train()
        with torch.autocast(self._device.partition(":")[0], dtype=torch.bfloat16):
            logits = self._network(pictures)
        loss = functional.cross_entropy(logits.float(), targets, label_smoothing=self._settings.smoothing)
        if not torch.isfinite(loss):
            raise QbenchError(f"the loss is {float(loss.detach())} at step {self._loop.done + 1}; try a lower rate")
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._network.parameters(), 1.0)
        self._optimiser.step()
        self._average.update(self._network, step=self._loop.done + 1)
        return {"loss": float(loss.detach())}

    def validate(self) -> dict[str, float]:
        """Return top-1 and top-5 of the averaged weights on the validation pictures."""
        import torch

        self._average.eval()
        top = {1: 0, 5: 0}
        total = len(self._data.validation.labels)
        with torch.inference_mode():
            for start in range(0, total, 500):
                pixels, labels = self._batch(self._data.validation, slice(start, start + 500))
                with torch.autocast(self._device.partition(":")[0], dtype=torch.bfloat16):
                    logits = self._average(pixels.float() / 127.5 - 1)
                best = logits.float().topk(min(5, self._shape.labels), dim=1).indices
                for count in top:
                    top[count] += int((best[:, :count] == labels[:, None]).any(dim=1).sum())
        return {f"top{count}": hits / total for count, hits in top.items()}

    def finish(self) -> Path:
        """Write the averaged weights in half precision, and beside them what a model card needs."""
        return self._loop.publish(
            self._work / "vit.safetensors",
            self._average.module.state_dict(),
            {"shape": asdict(self._shape), "labels": self._data.names},
            {
                "settings": self._settings.model_dump(),
                "seed": self._seed,
                "identifiers": self._data.identifiers,
                "names": self._data.names,
            },
        )

    def _batch(self, part: Pictures, chosen: Any) -> tuple[torch.Tensor, torch.Tensor]:
        import torch

        pixels = torch.from_numpy(np.array(part.pixels[chosen])).permute(0, 3, 1, 2)
        return pixels.to(self._device), torch.from_numpy(part.labels[chosen]).to(self._device)
