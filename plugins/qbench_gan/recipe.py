"""``qbench train gan``: a generator of photographs with its encoder, a VAE-GAN."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field

from qbench import Parameters, QbenchError, Recipe, TrainingLoop, TrainingStep
from qbench_gan.network import Shape, build_discriminator, build_encoder, build_generator, halves
from qbench_gan.pictures import Squares, load

if TYPE_CHECKING:
    import torch

HELD_OUT = 2000
"""Held-out squares that are reconstructed after each epoch."""


class GanParameters(Parameters):
    """Settings of the training."""

    epochs: int = Field(8, ge=1, description="passes over the training squares; may be changed when it goes on")
    batch: int = Field(64, ge=2, description="squares a step")
    rate: float = Field(1e-3, gt=0, description="learning rate at its peak, of AdamW")
    noise: float = Field(0.08, gt=0, description="standard deviation that the generator's output is thought to have")
    adversarial: float = Field(0.02, ge=0, description="weight of the discriminator's judgement")
    begin: float = Field(0.5, ge=0, le=1, description="share of the training before the discriminator joins in")
    average: float = Field(0.999, ge=0, lt=1, description="decay of the weights' moving average")


class GanRecipe(Recipe):
    """A VAE-GAN (Larsen et al. 2016) on squares of photographs.

    An encoder gives a Gaussian over latent vectors, a generator turns a vector into a picture; both learn to give the
    picture back while the vectors stay near N(0, 1) (Kingma & Welling 2014). In the second part of the training a
    discriminator joins in, with the hinge loss, on reconstructions and on pictures of random vectors. Kept is a moving
    average of generator and encoder, in half precision, with the PSNR of held-out squares beside it.
    """

    name = "gan"
    summary = "a generator and its encoder, on photographs"
    Parameters: ClassVar = GanParameters

    def train(
        self, data: Path, work: Path, report: Callable[[TrainingStep], None], stopping: Callable[[], bool]
    ) -> Path | None:
        """Train, or go on; see :func:`qbench_gan.pictures.load` for the form of ``data``."""
        shape = Shape()
        train, held_out = load(data, work, shape.size)
        trainer = _Trainer(self.parameters, self.context.seed, self.context.device, shape, train, held_out, work)
        return trainer.finish() if trainer.run(report, stopping) else None


class _Trainer:
    def __init__(
        self,
        settings: GanParameters,
        seed: int,
        device: str,
        shape: Shape,
        train: Squares,
        held_out: Squares,
        work: Path,
    ) -> None:
        import torch
        from timm.utils.model_ema import ModelEmaV3
        from torch import nn

        torch.manual_seed(seed)
        self._settings, self._seed, self._device, self._shape, self._work = settings, seed, device, shape, work
        self._train, self._held_out = train, held_out[:: max(1, len(held_out) // HELD_OUT)]
        networks = nn.ModuleDict({"generator": build_generator(shape), "encoder": build_encoder(shape)})
        self._networks = networks.to(device).to(memory_format=torch.channels_last)
        self._critic = build_discriminator().to(device).to(memory_format=torch.channels_last)
        self._average = ModelEmaV3(self._networks, decay=settings.average, use_warmup=True)
        self._optimiser = torch.optim.AdamW(
            self._networks.parameters(), lr=settings.rate, betas=(0.9, 0.99), weight_decay=1e-4
        )
        self._critic_optimiser = torch.optim.AdamW(self._critic.parameters(), lr=settings.rate, betas=(0.0, 0.99))
        steps = len(train) // settings.batch
        if steps == 0:
            raise QbenchError(f"{len(train)} training squares are fewer than a batch of {settings.batch}")
        self._loop = TrainingLoop(
            work,
            device,
            {
                "networks": self._networks,
                "critic": self._critic,
                "average": self._average,
                "optimiser": self._optimiser,
                "critic optimiser": self._critic_optimiser,
            },
            identity={
                "parameters": settings.model_dump(exclude={"epochs"}),
                "seed": seed,
                "pictures": [len(train), len(held_out)],
            },
            epochs=settings.epochs,
            steps=steps,
        )

    def run(self, report: Callable[[TrainingStep], None], stopping: Callable[[], bool]) -> bool:
        """Train to the end; False if it was asked to stop before."""
        return self._loop.run(self._step, self.validate, report, stopping)

    def _step(self, epoch: int, index: int) -> Mapping[str, float]:
        import torch

        order = np.random.default_rng((self._seed, epoch)).permutation(len(self._train))
        pictures = self._batch(self._train, np.sort(order[index * self._settings.batch :][: self._settings.batch]))
        if torch.rand(()) < 0.5:
            pictures = pictures.flip(3)
        warm = min(500, self._loop.total // 20 + 1)
        for optimiser in (self._optimiser, self._critic_optimiser):
            for group in optimiser.param_groups:
                group["lr"] = self._loop.rate(self._settings.rate, warm)
        judged = self._loop.done >= self._settings.begin * self._loop.total and self._settings.adversarial > 0
        self._networks.train()
        with torch.autocast(self._device.partition(":")[0], dtype=torch.bfloat16):
            mean, log_variance = halves(self._networks["encoder"](pictures), self._shape)
            mean, log_variance = mean.float(), log_variance.float()
            latents = mean + torch.randn_like(mean) * (log_variance / 2).exp()
            made = self._networks["generator"](latents).float()
            # In nats a picture: the squared error under Gaussian noise, and the divergence from N(0, 1).
            error = (made - pictures).square().sum(dim=(1, 2, 3)).mean() / (2 * self._settings.noise**2)
            divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1).mean()
            loss = (error + divergence) / pictures[0].numel()
            values = {"divergence": float(divergence.detach())}
            if judged:
                drawn = self._networks["generator"](torch.randn_like(mean[: len(mean) // 2])).float()
                fakes = torch.cat([made, drawn])
                self._critic.requires_grad_(False)
                fooled = -self._critic(fakes).float().mean()
                self._critic.requires_grad_(True)
                loss = loss + self._settings.adversarial * fooled
        self._descend(loss, self._optimiser, self._networks)
        if judged:
            with torch.autocast(self._device.partition(":")[0], dtype=torch.bfloat16):
                real, fake = self._critic(pictures).float(), self._critic(fakes.detach()).float()
            judgement = torch.relu(1 - real).mean() + torch.relu(1 + fake).mean()
            self._descend(judgement, self._critic_optimiser, self._critic)
            values["critic"] = float(judgement.detach())
        self._average.update(self._networks, step=self._loop.done + 1)
        return {"loss": float(loss.detach()), **values}

    def _descend(self, loss: torch.Tensor, optimiser: torch.optim.Optimizer, network: torch.nn.Module) -> None:
        import torch

        if not torch.isfinite(loss):
            raise QbenchError(f"the loss is {float(loss.detach())} at step {self._loop.done + 1}; try a lower rate")
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()

    def validate(self) -> dict[str, float]:
        """Return the mean PSNR, in dB of 8-bit values, of held-out squares put through encoder and generator."""
        import torch

        self._average.eval()
        networks = self._average.module
        found: list[float] = []
        with torch.inference_mode():
            for start in range(0, len(self._held_out), 200):
                pictures = self._batch(self._held_out, slice(start, start + 200))
                mean, _ = halves(networks["encoder"](pictures), self._shape)
                made = networks["generator"](mean)
                eight_bit = [((tensor + 1) * 127.5).clamp(0, 255).round() for tensor in (made, pictures)]
                errors = (eight_bit[0] - eight_bit[1]).square().mean(dim=(1, 2, 3))
                found += (10 * (255**2 / errors.clamp(min=1e-3)).log10()).tolist()
        return {"psnr": float(np.mean(found))}

    def spreads(self) -> list[int]:
        """Return 4·log2 of the standard deviation of each number of a latent over held-out squares, rounded."""
        import torch

        self._average.eval()
        with torch.inference_mode():
            parts = [
                halves(
                    self._average.module["encoder"](self._batch(self._held_out, slice(start, start + 200))), self._shape
                )
                for start in range(0, len(self._held_out), 200)
            ]
        deviation = torch.cat([mean for mean, _ in parts]).square().mean(dim=0).sqrt()
        found: list[int] = (4 * deviation.clamp(min=2.0**-6).log2()).round().int().tolist()
        return found

    def finish(self) -> Path:
        """Write the averaged weights in half precision, and beside them what a model card needs."""
        return self._loop.publish(
            self._work / "gan.safetensors",
            self._average.module.state_dict(),
            {"shape": asdict(self._shape), "spreads": self.spreads()},
            {
                "settings": self._settings.model_dump(),
                "seed": self._seed,
                "squares": [len(self._train), len(self._held_out)],
            },
        )

    def _batch(self, squares: Squares, chosen: Any) -> torch.Tensor:
        import torch

        pixels = torch.from_numpy(np.array(squares[chosen])).to(self._device).permute(0, 3, 1, 2)
        return pixels.float().div(127.5).sub(1).contiguous(memory_format=torch.channels_last)
