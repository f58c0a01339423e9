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

from qbench.plugin import Context, Pixels, QbenchError, Recipe, TrainingStep
from qbench.toolkit.training import Trainer, TrainingParameters
from qbench.toolkit.training_data import random_crop, split_images
from qbench_restore.network import STRIDE, Shape, build, strength

if TYPE_CHECKING:
    import torch

STEPS = 1000
"""Steps of an epoch: crops are drawn anew for each, so that there is no natural end."""
CROP = 128
QUALITIES = (10, 30, 70)
"""At these, held-out images are measured."""
MEASURED = 24


class RestoreParameters(TrainingParameters):
    """Settings of the training."""

    epochs: int = Field(12, ge=1, description=f"of {STEPS} steps each; may be changed on resume")
    batch: int = Field(16, ge=1, description=f"crops of {CROP} pixels per step")
    lowest: int = Field(3, ge=1, le=100, description="lowest quality of the JPEGs")
    highest: int = Field(97, ge=1, le=100, description="highest quality")


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
        """Train, or resume; ``data`` is of the form that ``qbench.toolkit.training_data`` reads."""
        if self.parameters.lowest > self.parameters.highest:
            raise QbenchError("lowest quality is above the highest")
        train, held_out = split_images(data, CROP)
        return RestoreTrainer(self.parameters, self.context, train, held_out, work).train(report, stopping)


class RestoreTrainer(Trainer):
    """Trains the corrector."""

    def __init__(
        self,
        settings: RestoreParameters,
        context: Context,
        train: Sequence[Pixels],
        held_out: Sequence[Pixels],
        work: Path,
    ) -> None:
        self._train, self._held_out = train, held_out[:: max(1, len(held_out) // MEASURED)]
        self._counts = [len(train), len(held_out)]
        self._shape = Shape()
        super().__init__(settings, context, work, steps=STEPS, identity={"images": self._counts})

    def build(self) -> torch.nn.Module:
        """Build the corrector."""
        return build(self._shape)

    def step(self, epoch: int, index: int) -> Mapping[str, float]:
        """Minimise the squared error of crops, as a share of the JPEG's own."""
        self.set_rate(500)
        rng = np.random.default_rng((self.seed, epoch, index))
        originals = [random_crop(self._train, CROP, rng) for _ in range(self.settings.batch)]
        coded = [
            _coded(
                crop,
                int(rng.integers(self.settings.lowest, self.settings.highest + 1)),
                "4:2:0" if rng.random() < 0.7 else "4:4:4",
            )
            for crop in originals
        ]
        targets = self._tensor(np.stack(originals))
        inputs = self._inputs(np.stack([pixels for pixels, _ in coded]), [share for _, share in coded])
        with self.reduced_precision():
            made = self.network(inputs).float()
        errors, before = ((images - targets).square().mean(dim=(1, 2, 3)) for images in (made, inputs[:, :3]))
        loss = (errors / (before + 1e-5)).mean()
        return {"loss": self.descend(loss)}

    def validate(self) -> dict[str, float]:
        """Return by how many dB held-out images gain in PSNR (RGB, 8 bits), at three qualities."""
        import torch

        network = self.average.module.eval()
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
                errors = [float(np.mean((image - original.astype(float)) ** 2)) for image in (coded, restored)]
                gains.append(10 * np.log10(errors[0] / errors[1]))
            results[f"gain{quality}"] = float(np.mean(gains))
        return results

    def finish(self) -> Path:
        """Write the averaged weights in half precision, and beside them what a model card needs."""
        return self.loop.publish(
            self.work / "jpeg-restore.safetensors",
            self.average.module.state_dict(),
            {"shape": asdict(self._shape)},
            self.card(images=self._counts),
        )

    def _inputs(self, pixels: Pixels, strengths: Sequence[float]) -> torch.Tensor:
        import torch

        images = self._tensor(pixels)
        planes = torch.tensor(strengths, device=self.device).view(-1, 1, 1, 1).expand(-1, 1, *images.shape[2:])
        return torch.cat([images, planes], dim=1).contiguous(memory_format=torch.channels_last)

    def _tensor(self, pixels: Pixels) -> torch.Tensor:
        import torch

        tensor = torch.from_numpy(np.ascontiguousarray(pixels)).to(self.device).permute(0, 3, 1, 2)
        return tensor.float().div(255).sub(0.5).contiguous(memory_format=torch.channels_last)


def _coded(pixels: Pixels, quality: int, subsampling: str) -> tuple[Pixels, float]:
    """Return an image as JPEG makes it, and how coarsely it was quantised."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    opened: Any = Image.open(buffer)
    return np.array(opened.convert("RGB")), strength(list(opened.quantization.values()))
