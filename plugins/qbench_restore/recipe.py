"""``qbench train jpeg-restore``: the artefact corrector, on crops of photographs that are coded as JPEG on the way."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from PIL import Image
from pydantic import Field

from qbench import (
    Parameters,
    Pixels,
    QbenchError,
    Recipe,
    TrainingLoop,
    TrainingStep,
    random_crop,
    split_pictures,
)
from qbench_restore.network import STRIDE, Shape, build, strength

if TYPE_CHECKING:
    import torch

STEPS = 1000
"""Steps of an epoch: crops are drawn anew for each, so that there is no natural end."""
CROP = 128
QUALITIES = (10, 30, 70)
"""At these, held-out pictures are measured."""
MEASURED = 24


class RestoreParameters(Parameters):
    """Settings of the training."""

    epochs: int = Field(12, ge=1, description=f"of {STEPS} steps each; may be changed when it goes on")
    batch: int = Field(16, ge=1, description=f"crops of {CROP} pixels a step")
    rate: float = Field(1e-3, gt=0, description="learning rate at its peak, of AdamW")
    lowest: int = Field(3, ge=1, le=100, description="lowest quality of the JPEGs")
    highest: int = Field(97, ge=1, le=100, description="highest quality")
    average: float = Field(0.999, ge=0, lt=1, description="decay of the weights' moving average")


class RestoreRecipe(Recipe):
    """A residual network that takes a decoded JPEG nearer to the original.

    Crops are coded at a quality between the lowest and the highest, 4:2:0 or 4:4:4. Minimised is the squared error, as
    a share of the JPEG's own at that quality, so that none of them counts for more than another.
    """

    name = "jpeg-restore"
    summary = "the artefact corrector of jpeg-restore, on photographs"
    Parameters: ClassVar = RestoreParameters

    def train(
        self, data: Path, work: Path, report: Callable[[TrainingStep], None], stopping: Callable[[], bool]
    ) -> Path | None:
        """Train, or go on; ``data`` is of the form that :func:`qbench.training_pictures` reads."""
        if self.parameters.lowest > self.parameters.highest:
            raise QbenchError("lowest quality is above the highest")
        train, held_out = split_pictures(data, CROP)
        trainer = _Trainer(self.parameters, self.context.seed, self.context.device, train, held_out, work)
        return trainer.finish() if trainer.run(report, stopping) else None


class _Trainer:
    def __init__(
        self,
        settings: RestoreParameters,
        seed: int,
        device: str,
        train: Sequence[Pixels],
        held_out: Sequence[Pixels],
        work: Path,
    ) -> None:
        import torch
        from timm.utils.model_ema import ModelEmaV3

        torch.manual_seed(seed)
        self._settings, self._seed, self._device, self._work = settings, seed, device, work
        self._train, self._held_out = train, held_out[:: max(1, len(held_out) // MEASURED)]
        self._counts = [len(train), len(held_out)]
        self._shape = Shape()
        self._network = build(self._shape).to(device).to(memory_format=torch.channels_last)
        self._average = ModelEmaV3(self._network, decay=settings.average, use_warmup=True)
        self._optimiser = torch.optim.AdamW(
            self._network.parameters(), lr=settings.rate, betas=(0.9, 0.99), weight_decay=0.0, fused=True
        )
        self._loop = TrainingLoop(
            work,
            device,
            {"network": self._network, "average": self._average, "optimiser": self._optimiser},
            identity={"parameters": settings.model_dump(exclude={"epochs"}), "seed": seed, "pictures": self._counts},
            epochs=settings.epochs,
            steps=STEPS,
        )

    def run(self, report: Callable[[TrainingStep], None], stopping: Callable[[], bool]) -> bool:
        """Train to the end; False if it was asked to stop before."""
        return self._loop.run(self._step, self.validate, report, stopping)

    def _step(self, epoch: int, index: int) -> Mapping[str, float]:
        import torch

        for group in self._optimiser.param_groups:
            group["lr"] = self._loop.rate(self._settings.rate, 500)
        rng = np.random.default_rng((self._seed, epoch, index))
        originals = [random_crop(self._train, CROP, rng) for _ in range(self._settings.batch)]
        coded = [
            _coded(
                crop,
                int(rng.integers(self._settings.lowest, self._settings.highest + 1)),
                "4:2:0" if rng.random() < 0.7 else "4:4:4",
            )
            for crop in originals
        ]
        targets = self._tensor(np.stack(originals))
        inputs = self._inputs(np.stack([pixels for pixels, _ in coded]), [share for _, share in coded])
        with torch.autocast(self._device.partition(":")[0], dtype=torch.bfloat16):
            made = self._network(inputs).float()
        errors, before = ((pictures - targets).square().mean(dim=(1, 2, 3)) for pictures in (made, inputs[:, :3]))
        loss = (errors / (before + 1e-5)).mean()
        if not torch.isfinite(loss):
            raise QbenchError(f"the loss is {float(loss.detach())} at step {self._loop.done + 1}; try a lower rate")
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._network.parameters(), 1.0)
        self._optimiser.step()
        self._average.update(self._network, step=self._loop.done + 1)
        return {"loss": float(loss.detach())}

    def validate(self) -> dict[str, float]:
        """Return by how many dB held-out pictures gain in PSNR (RGB, 8 bits), at three qualities."""
        import torch

        network = self._average.module.eval()
        results = {}
        for quality in QUALITIES:
            gains = []
            for pixels in self._held_out:
                height, width = (length // STRIDE * STRIDE for length in pixels.shape[:2])
                original = np.ascontiguousarray(pixels[:height, :width])
                coded, share = _coded(original, quality, "4:2:0")
                with torch.inference_mode():
                    made = network(self._inputs(coded[None], [share]))[0].permute(1, 2, 0).cpu().numpy()
                restored = np.clip(np.rint(255 * (made + 0.5)), 0, 255)
                errors = [float(np.mean((picture - original.astype(float)) ** 2)) for picture in (coded, restored)]
                gains.append(10 * np.log10(errors[0] / errors[1]))
            results[f"gain{quality}"] = float(np.mean(gains))
        return results

    def finish(self) -> Path:
        """Write the averaged weights in half precision, and beside them what a model card needs."""
        return self._loop.publish(
            self._work / "jpeg-restore.safetensors",
            self._average.module.state_dict(),
            {"shape": asdict(self._shape)},
            {"settings": self._settings.model_dump(), "seed": self._seed, "pictures": self._counts},
        )

    def _inputs(self, pixels: Pixels, strengths: Sequence[float]) -> torch.Tensor:
        import torch

        pictures = self._tensor(pixels)
        planes = torch.tensor(strengths, device=self._device).view(-1, 1, 1, 1).expand(-1, 1, *pictures.shape[2:])
        return torch.cat([pictures, planes], dim=1).contiguous(memory_format=torch.channels_last)

    def _tensor(self, pixels: Pixels) -> torch.Tensor:
        import torch

        tensor = torch.from_numpy(np.ascontiguousarray(pixels)).to(self._device).permute(0, 3, 1, 2)
        return tensor.float().div(255).sub(0.5).contiguous(memory_format=torch.channels_last)


def _coded(pixels: Pixels, quality: int, subsampling: str) -> tuple[Pixels, float]:
    """Return a picture as JPEG makes it, and how coarsely it was quantised."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    opened: Any = Image.open(buffer)
    return np.array(opened.convert("RGB")), strength(list(opened.quantization.values()))
