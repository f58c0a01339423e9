"""``qbench train autoencoder``: one network for all rates, on crops of photographs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field

from qbench import (
    GaussianTables,
    ModelError,
    Parameters,
    Pixels,
    QbenchError,
    Recipe,
    TrainingLoop,
    TrainingStep,
    random_crop,
    split_pictures,
)
from qbench_autoencoder import rate
from qbench_autoencoder.model import read_networks
from qbench_autoencoder.network import HYPER_STRIDE, MIDDLE, SCALE, STRIDE, Shape, build

if TYPE_CHECKING:
    import torch

STEPS = 1000
"""Steps of an epoch: crops are drawn anew for each, so that there is no natural end."""
CROP = 128
"""Side of the crops in the first half of the training; in the second, a quarter as many of twice the side, and rates
are those of rounded values."""
STRUCTURE = 3000
"""What the structure's error is multiplied with: it is then about the squared error, at low and at high rates."""
SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Weights of MS-SSIM's scales, from the finest (Wang et al. 2003, Asilomar, "Multiscale structural similarity")."""
STATISTICS = 600
"""Crops whose blocks the first transform is made from."""
MEASURED = 24
"""Held-out pictures that are measured after each epoch, at the lowest, a middle and the highest level."""


class AutoencoderParameters(Parameters):
    """Settings of the training."""

    epochs: int = Field(40, ge=1, description=f"of {STEPS} steps each; may be changed when it goes on")
    batch: int = Field(16, ge=4, multiple_of=4, description=f"crops of {CROP} pixels a step")
    rate: float = Field(6e-4, gt=0, description="learning rate at its peak, of AdamW")
    lowest: float = Field(0.0002, gt=0, description="weight of the error, in squared 8-bit values, at level 1")
    highest: float = Field(0.06, gt=0, description="the same at the last level; between them they rise geometrically")
    structure: float = Field(0.8, ge=0, le=1, description="share of the structure in the error")
    average: float = Field(0.999, ge=0, lt=1, description="decay of the weights' moving average")
    begin: str | None = Field(
        None, description="weights that an earlier training wrote, to begin with; all of it is then as the second half"
    )


class AutoencoderRecipe(Recipe):
    """A learned transform codec: hyperprior (Ballé et al. 2018), checkerboard context, gain units for many rates.

    Minimised is rate + weight · error, with a weight for each level; every crop of a batch is of another level. The
    error is in part the squared one and in part about 1 - MS-SSIM, as squares alone spend bits on noise in busy places.
    Kept is a moving average of the weights, in half precision.
    """

    name = "autoencoder"
    summary = "the learned transform codec, on photographs"
    Parameters: ClassVar = AutoencoderParameters

    def train(
        self, data: Path, work: Path, report: Callable[[TrainingStep], None], stopping: Callable[[], bool]
    ) -> Path | None:
        """Train, or go on; ``data`` is of the form that :func:`qbench.training_pictures` reads."""
        train, held_out = split_pictures(data, 2 * CROP)
        trainer = _Trainer(self.parameters, self.context.seed, self.context.device, Shape(), train, held_out, work)
        return trainer.finish() if trainer.run(report, stopping) else None


class _Trainer:
    def __init__(
        self,
        settings: AutoencoderParameters,
        seed: int,
        device: str,
        shape: Shape,
        train: Sequence[Pixels],
        held_out: Sequence[Pixels],
        work: Path,
    ) -> None:
        import torch
        from timm.utils.model_ema import ModelEmaV3

        torch.manual_seed(seed)
        self._settings, self._seed, self._device, self._shape, self._work = settings, seed, device, shape, work
        self._train, self._held_out = train, held_out[:: max(1, len(held_out) // MEASURED)]
        self._counts = (len(train), len(held_out))
        self._weights = torch.logspace(
            np.log10(settings.lowest), np.log10(settings.highest), shape.levels, device=device
        )
        networks: Any = build(shape)
        self._earlier: dict[str, Any] | None = None
        if settings.begin is None:
            _begin(networks, self._weights.cpu(), train, np.random.default_rng(seed))
        else:
            self._earlier = _begin_with(networks, self._weights.cpu(), shape, Path(settings.begin).expanduser())
        self._networks = networks.to(device).to(memory_format=torch.channels_last)
        self._average = ModelEmaV3(self._networks, decay=settings.average, use_warmup=True)
        self._optimiser = torch.optim.AdamW(
            self._networks.parameters(), lr=settings.rate, betas=(0.9, 0.99), weight_decay=0.0, fused=True
        )
        self._loop = TrainingLoop(
            work,
            device,
            {"networks": self._networks, "average": self._average, "optimiser": self._optimiser},
            identity={
                "parameters": settings.model_dump(exclude={"epochs", "begin"}),
                "seed": seed,
                **({"begun_with": self._earlier["sha256"]} if self._earlier else {}),
                "pictures": list(self._counts),
                "shape": [list(value) if isinstance(value, tuple) else value for value in asdict(shape).values()],
            },
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
        late = self._earlier is not None or self._loop.done >= self._loop.total / 2
        count, side = (self._settings.batch // 4, 2 * CROP) if late else (self._settings.batch, CROP)
        pictures = self._tensor(np.stack([random_crop(self._train, side, rng) for _ in range(count)]))
        levels = torch.from_numpy(np.concatenate([rng.permutation(self._shape.levels) for _ in range(count)])[:count])
        made, bits = self._coded(self._networks, pictures, levels.to(self._device), exact=late)
        errors = self._errors(made, pictures)
        rates = bits / side**2
        weights = self._weights[levels]
        # High rates would drown low ones, of which a share is worth as much.
        losses = (rates + weights * errors) * (self._weights[0] / weights).sqrt()
        loss = losses.mean()
        if not torch.isfinite(loss):
            raise QbenchError(f"the loss is {float(loss.detach())} at step {self._loop.done + 1}; try a lower rate")
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._networks.parameters(), 1.0)
        self._optimiser.step()
        self._average.update(self._networks, step=self._loop.done + 1)
        return {"loss": float(loss.detach()), "bpp": float(rates.detach().mean())}

    def _errors(self, made: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
        """Return the error of each picture: of squares, in 8-bit values, and of structure."""
        squared = 255**2 * (made - pictures).square().mean(dim=(1, 2, 3))
        share = self._settings.structure
        if not share:
            return squared
        return (1 - share) * squared + share * STRUCTURE * structure_error(made, pictures)

    def _coded(
        self, networks: Any, pictures: torch.Tensor, levels: torch.Tensor, *, exact: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return reconstructions, and estimated bits for each picture."""
        import torch

        half = torch.autocast(self._device.partition(":")[0], dtype=torch.bfloat16)
        scales = networks["scales"]
        # Latents and pixels are finer than bfloat16, in which only what is added to the linear transforms is computed.
        analysis, synthesis = networks["analysis"], networks["synthesis"]
        with half:
            deep = analysis.network(pictures)
        latents = (analysis.linear(pictures) + deep.float()) * scales["gains"][levels].exp()[..., None, None]
        hyper = networks["hyper_analysis"](latents.asinh())
        coded = rate.code(latents, hyper, networks["prior"], scales["spreads"], exact=exact)
        known = coded.rounded * scales["inverse_gains"][levels].exp()[..., None, None]
        with half:
            deep = synthesis.network(known)
        return synthesis.linear(known) + deep.float(), coded.bits

    def validate(self) -> dict[str, float]:
        """Return mean PSNR (RGB, 8 bits) and rate of held-out pictures at three levels."""
        import torch

        networks = self._average.module.eval()
        results: dict[str, float] = {}
        for level in (0, self._shape.levels // 2, self._shape.levels - 1):
            found = []
            for pixels in self._held_out:
                height, width = (length // HYPER_STRIDE * HYPER_STRIDE for length in pixels.shape[:2])
                pictures = self._tensor(pixels[None, :height, :width])
                with torch.inference_mode():
                    made, bits = self._coded(networks, pictures, torch.tensor([level], device=self._device), exact=True)
                eight_bit = [((tensor + 0.5) * 255).clamp(0, 255).round() for tensor in (made, pictures)]
                error = float((eight_bit[0] - eight_bit[1]).square().mean())
                found.append((10 * np.log10(255**2 / max(error, 1e-3)), float(bits) / (height * width)))
            psnr, bpp = np.mean(found, axis=0)
            results |= {f"psnr{level + 1}": float(psnr), f"bpp{level + 1}": float(bpp)}
        return results

    def finish(self) -> Path:
        """Write the averaged weights in half precision, and beside them what a model card needs."""
        spreads = self._average.module["scales"]["spreads"].detach().cpu()
        return self._loop.publish(
            self._work / "autoencoder.safetensors",
            self._average.module.state_dict(),
            {
                "shape": asdict(self._shape),
                "hyper_tables": (MIDDLE + SCALE * spreads).round().int().tolist(),
            },
            {
                "settings": self._settings.model_dump(exclude={"begin"}),
                "seed": self._seed,
                "pictures": list(self._counts),
                **({"begun_with": self._earlier} if self._earlier else {}),
            },
        )

    def _tensor(self, pixels: Pixels) -> torch.Tensor:
        import torch

        tensor = torch.from_numpy(np.ascontiguousarray(pixels)).to(self._device).permute(0, 3, 1, 2)
        return tensor.float().div(255).sub(0.5).contiguous(memory_format=torch.channels_last)


def structure_error(made: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
    """Return about 1 - MS-SSIM of each picture, mean over R, G and B: the mean over scales of 1 - contrast · structure.

    That is Wang et al. 2003 with square windows instead of Gaussian ones, and without the luminance of the last scale,
    which the squared error looks after. It is computed in a small part of the time, and differs by little (tests).
    Of luma alone it would leave errors of chroma to the squares, and the channels' MS-SSIM falls with them.

    Args:
        made: N×3×H×W, range 1; H and W at least 128.
        pictures: likewise.
    """
    import torch
    from torch.nn.functional import avg_pool2d

    one, other = (tensor.flatten(0, 1)[:, None] for tensor in (made, pictures))
    error = made.new_zeros(len(one))
    for weight in SCALES:
        moments = avg_pool2d(torch.cat([one, other, one.square(), other.square(), one * other], dim=1), 8, stride=4)
        mean, other_mean, square, other_square, product = moments.unbind(dim=1)
        variances = square - mean.square() + other_square - other_mean.square()
        similarity = (2 * (product - mean * other_mean) + 0.03**2) / (variances + 0.03**2)
        error = error + weight * (1 - similarity).mean(dim=(1, 2))
        one, other = avg_pool2d(one, 2), avg_pool2d(other, 2)
    return error.reshape(len(made), -1).mean(dim=1)


def _begin_with(networks: Any, weights: torch.Tensor, shape: Shape, path: Path) -> dict[str, Any]:
    """Set networks to those of an earlier training, and return what its card says, for the card of this one.

    Where the levels' weights were others, gains are interpolated (or continued) over their logarithms.

    Raises:
        ModelError: the file is none that this recipe wrote, or of other networks.
    """
    import torch

    found, _, earlier = read_networks(path)
    if found != shape:
        raise ModelError(f"{path}: is of networks of another shape: {found}, not {shape}")
    networks.load_state_dict(earlier.state_dict())
    card = path.with_suffix(".json")
    known = json.loads(card.read_text(encoding="utf-8")) if card.is_file() else {}
    if known:
        ends = [float(np.log(known["settings"][end])) for end in ("lowest", "highest")]
        places = (weights.log() - ends[0]) / (ends[1] - ends[0]) * (shape.levels - 1)
        lower = places.floor().clamp(0, shape.levels - 2).long()
        share = (places - lower)[:, None]
        with torch.no_grad():
            for gains in (networks["scales"]["gains"], networks["scales"]["inverse_gains"]):
                gains.copy_((1 - share) * gains[lower] + share * gains[lower + 1])
    return {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), **known}


def _begin(networks: Any, weights: torch.Tensor, pictures: Sequence[Pixels], rng: np.random.Generator) -> None:
    """Set the linear transforms to the Karhunen-Loève transform of the pictures, and gains and spreads to match.

    With that, training begins at a codec that is about as good as JPEG, and not at noise.
    """
    import torch

    crops = np.stack([random_crop(pictures, CROP, rng) for _ in range(STATISTICS)])
    values = torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 255 - 0.5
    blocks = torch.nn.functional.pixel_unshuffle(values, STRIDE).permute(1, 0, 2, 3).flatten(1).double()
    mean = blocks.mean(dim=1)
    variances, vectors = torch.linalg.eigh(torch.cov(blocks))
    latent = networks["analysis"].linear[1].out_channels
    basis = vectors.flip(1)[:, :latent].T
    deviations = variances.flip(0)[:latent].clamp(min=1e-8).sqrt()
    # At high rates rate + weight · error is smallest where the error is 3 / (2 ln 2 · weight); it is step² / 12.
    steps = (12 * 3 / (2 * np.log(2) * weights)).sqrt() / 255
    with torch.no_grad():
        analysis, synthesis = networks["analysis"].linear[1], networks["synthesis"].linear[0]
        analysis.weight.copy_(basis[..., None, None])
        analysis.bias.copy_(-basis @ mean)
        synthesis.weight.copy_(basis.T[..., None, None])
        synthesis.bias.copy_(mean)
        networks["scales"]["gains"] -= steps.log()[:, None]
        networks["scales"]["inverse_gains"] += steps.log()[:, None]
        expected = (deviations / steps[len(steps) // 2]).log2() * GaussianTables.PER_OCTAVE / SCALE
        networks["prior"]["head"].bias[latent:] = expected.float()
        networks["scales"]["spreads"] += 1
