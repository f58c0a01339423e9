"""``qbench train gan``: a generator of photographs with its encoder, a VAE-GAN."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field

from qbench.plugin import Context, Recipe, TrainingStep
from qbench.toolkit.training import Trainer, TrainingParameters
from qbench_gan.network import Shape, build_discriminator, build_encoder, build_generator, halves
from qbench_gan.squares import Squares, load

if TYPE_CHECKING:
    import torch

HELD_OUT = 2000
"""Held-out squares that are reconstructed after each epoch."""


class GanParameters(TrainingParameters):
    """Settings of the training."""

    epochs: int = Field(8, ge=1, description="passes over the training squares; may be changed when it is resumed")
    batch: int = Field(64, ge=2, description="squares per step")
    noise: float = Field(0.08, gt=0, description="standard deviation that the generator's output is assumed to have")
    adversarial: float = Field(0.02, ge=0, description="weight of the discriminator's judgement")
    begin: float = Field(0.5, ge=0, le=1, description="share of the training before the discriminator joins in")


class GanRecipe(Recipe):
    """A VAE-GAN (Larsen et al. 2016) on squares of photographs.

    An encoder gives a Gaussian over latent vectors, a generator turns a vector into an image; both learn to give the
    image back while the vectors stay near N(0, 1) (Kingma & Welling 2014). In the second part of the training a
    discriminator joins in, with the hinge loss, on reconstructions and on images of random vectors. Kept is a moving
    average of generator and encoder, in half precision, with the PSNR of held-out squares beside it.
    """

    name = "gan"
    summary = "a generator and its encoder, on photographs"
    Parameters: ClassVar = GanParameters

    def train(
        self, data: Path, work: Path, report: Callable[[TrainingStep], None], stopping: Callable[[], bool]
    ) -> Path | None:
        """Train, or resume; see :func:`qbench_gan.squares.load` for the form of ``data``."""
        shape = Shape()
        train, held_out = load(data, work, shape.size)
        return GanTrainer(self.parameters, self.context, shape, train, held_out, work).train(report, stopping)


class GanTrainer(Trainer):
    """Trains generator and encoder, and the discriminator beside them."""

    def __init__(
        self,
        settings: GanParameters,
        context: Context,
        shape: Shape,
        train: Squares,
        held_out: Squares,
        work: Path,
    ) -> None:
        self._shape = shape
        self._train, self._held_out = train, held_out[:: max(1, len(held_out) // HELD_OUT)]
        steps = len(train) // settings.batch
        super().__init__(settings, context, work, steps=steps, identity={"images": [len(train), len(held_out)]})

    def build(self) -> torch.nn.Module:
        """Build generator and encoder."""
        from torch import nn

        return nn.ModuleDict({"generator": build_generator(self._shape), "encoder": build_encoder(self._shape)})

    def make_optimiser(self) -> torch.optim.Optimizer:
        """With a little weight decay."""
        import torch

        return torch.optim.AdamW(self.network.parameters(), lr=self.settings.rate, betas=(0.9, 0.99), weight_decay=1e-4)

    def more_parts(self) -> Mapping[str, Any]:
        """The discriminator and its optimiser."""
        import torch

        self._critic = build_discriminator().to(self.device).to(memory_format=torch.channels_last)
        self._critic_optimiser = torch.optim.AdamW(self._critic.parameters(), lr=self.settings.rate, betas=(0.0, 0.99))
        return {"critic": self._critic, "critic optimiser": self._critic_optimiser}

    def step(self, epoch: int, index: int) -> Mapping[str, float]:
        """Reconstruct a batch; from some point on, deceive the discriminator and train that, too."""
        import torch

        order = np.random.default_rng((self.seed, epoch)).permutation(len(self._train))
        images = self._batch(self._train, np.sort(order[index * self.settings.batch :][: self.settings.batch]))
        if torch.rand(()) < 0.5:
            images = images.flip(3)
        self.set_rate(min(500, self.loop.total // 20 + 1), self.optimiser, self._critic_optimiser)
        judged = self.loop.done >= self.settings.begin * self.loop.total and self.settings.adversarial > 0
        self.network.train()
        with self.reduced_precision():
            mean, log_variance = halves(self.network["encoder"](images), self._shape)
            mean, log_variance = mean.float(), log_variance.float()
            latents = mean + torch.randn_like(mean) * (log_variance / 2).exp()
            made = self.network["generator"](latents).float()
            # In nats an image: the squared error under Gaussian noise, and the divergence from N(0, 1).
            error = (made - images).square().sum(dim=(1, 2, 3)).mean() / (2 * self.settings.noise**2)
            divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1).mean()
            loss = (error + divergence) / images[0].numel()
            values = {"divergence": float(divergence.detach())}
            if judged:
                drawn = self.network["generator"](torch.randn_like(mean[: len(mean) // 2])).float()
                fakes = torch.cat([made, drawn])
                self._critic.requires_grad_(False)
                fooled = -self._critic(fakes).float().mean()
                self._critic.requires_grad_(True)
                loss = loss + self.settings.adversarial * fooled
        values["loss"] = self.descend(loss)
        if judged:
            with self.reduced_precision():
                real, fake = self._critic(images).float(), self._critic(fakes.detach()).float()
            judgement = torch.relu(1 - real).mean() + torch.relu(1 + fake).mean()
            values["critic"] = self.descend(judgement, self._critic_optimiser, self._critic)
        return values

    def validate(self) -> dict[str, float]:
        """Return the mean PSNR, in dB of 8-bit values, of held-out squares put through encoder and generator."""
        import torch

        self.average.eval()
        networks = self.average.module
        found: list[float] = []
        with torch.inference_mode():
            for start in range(0, len(self._held_out), 200):
                images = self._batch(self._held_out, slice(start, start + 200))
                mean, _ = halves(networks["encoder"](images), self._shape)
                made = networks["generator"](mean)
                eight_bit = [((tensor + 1) * 127.5).clamp(0, 255).round() for tensor in (made, images)]
                errors = (eight_bit[0] - eight_bit[1]).square().mean(dim=(1, 2, 3))
                found += (10 * (255**2 / errors.clamp(min=1e-3)).log10()).tolist()
        return {"psnr": float(np.mean(found))}

    def log2_scales(self) -> list[int]:
        """Return 4·log2 of the standard deviation of each element of a latent over held-out squares, rounded."""
        import torch

        self.average.eval()
        with torch.inference_mode():
            parts = [
                halves(
                    self.average.module["encoder"](self._batch(self._held_out, slice(start, start + 200))), self._shape
                )
                for start in range(0, len(self._held_out), 200)
            ]
        deviation = torch.cat([mean for mean, _ in parts]).square().mean(dim=0).sqrt()
        found: list[int] = (4 * deviation.clamp(min=2.0**-6).log2()).round().int().tolist()
        return found

    def finish(self) -> Path:
        """Write the averaged weights in half precision, and beside them what a model card needs."""
        return self.loop.publish(
            self.work / "gan.safetensors",
            self.average.module.state_dict(),
            {"shape": asdict(self._shape), "spreads": self.log2_scales()},
            self.card(squares=[len(self._train), len(self._held_out)]),
        )

    def _batch(self, squares: Squares, chosen: Any) -> torch.Tensor:
        import torch

        pixels = torch.from_numpy(np.array(squares[chosen])).to(self.device).permute(0, 3, 1, 2)
        return pixels.float().div(127.5).sub(1).contiguous(memory_format=torch.channels_last)
