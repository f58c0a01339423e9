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

from qbench.plugin import Context, ModelError, Pixels, Recipe, TrainingStep
from qbench.toolkit.range_coding import GaussianCdfs
from qbench.toolkit.training import Trainer, TrainingParameters
from qbench.toolkit.training_data import random_crop, split_images
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
"""Held-out images that are measured after each epoch, at the lowest, a middle and the highest level."""


class AutoencoderParameters(TrainingParameters):
    """Settings of the training."""

    epochs: int = Field(40, ge=1, description=f"of {STEPS} steps each; may be changed on resume")
    batch: int = Field(16, ge=4, multiple_of=4, description=f"crops of {CROP} pixels per step")
    rate: float = Field(6e-4, gt=0, description="peak learning rate, of AdamW")
    lowest: float = Field(0.0002, gt=0, description="weight of the error, in squared 8-bit values, at level 1")
    highest: float = Field(0.06, gt=0, description="the same at the last level; between them they rise geometrically")
    structure: float = Field(0.8, ge=0, le=1, description="share of the structure in the error")
    begin: str | None = Field(
        None,
        description="weights of an earlier training to start from; the whole training then runs like the second half",
    )


class AutoencoderRecipe(Recipe):
    """A learned transform codec: hyperprior (Ballé et al. 2018), checkerboard context, gain units for many rates.

    Minimised is rate + weight · error, with a weight for each level; every crop of a batch is of another level. The
    error is in part the squared one and in part about 1 - MS-SSIM, as squares alone spend bits on noise in busy
    regions. A moving average of the weights is kept, in half precision.
    """

    name = "autoencoder"
    summary = "the learned transform codec, on photographs"
    Parameters: ClassVar = AutoencoderParameters

    def train(
        self, data: Path, work: Path, report: Callable[[TrainingStep], None], stopping: Callable[[], bool]
    ) -> Path | None:
        """Train, or resume; ``data`` is of the form that ``qbench.toolkit.training_data`` reads."""
        train, held_out = split_images(data, 2 * CROP)
        return AutoencoderTrainer(self.parameters, self.context, Shape(), train, held_out, work).train(report, stopping)


class AutoencoderTrainer(Trainer):
    """Trains the networks of a shape."""

    free_settings: ClassVar = frozenset({"epochs", "begin"})

    def __init__(
        self,
        settings: AutoencoderParameters,
        context: Context,
        shape: Shape,
        train: Sequence[Pixels],
        held_out: Sequence[Pixels],
        work: Path,
    ) -> None:
        import torch

        self._shape = shape
        self._train, self._held_out = train, held_out[:: max(1, len(held_out) // MEASURED)]
        self._counts = [len(train), len(held_out)]
        weights = torch.logspace(np.log10(settings.lowest), np.log10(settings.highest), shape.levels)
        self._weights = weights.to(context.device)
        self._begin = None if settings.begin is None else Path(settings.begin).expanduser()
        self._earlier: dict[str, Any] = {}
        self._first_rng = np.random.default_rng(context.seed)
        identity = {"images": self._counts, "shape": json.loads(json.dumps(asdict(shape)))}
        if self._begin is not None:
            identity["begun_with"] = hashlib.sha256(self._begin.read_bytes()).hexdigest()
        super().__init__(settings, context, work, steps=STEPS, identity=identity)

    def build(self) -> torch.nn.Module:
        """Begin at the Karhunen-Loève transform, or at the end of an earlier training."""
        networks: Any = build(self._shape)
        if self._begin is None:
            _begin(networks, self._weights.cpu(), self._train, self._first_rng)
        else:
            self._earlier = _begin_with(networks, self._weights.cpu(), self._shape, self._begin)
        return networks  # type: ignore[no-any-return]

    def step(self, epoch: int, index: int) -> Mapping[str, float]:
        """Minimise rate + weight · error of crops at random levels."""
        import torch

        self.set_rate(500)
        rng = np.random.default_rng((self.seed, epoch, index))
        late = bool(self._earlier) or self.loop.done >= self.loop.total / 2
        count, side = (self.settings.batch // 4, 2 * CROP) if late else (self.settings.batch, CROP)
        images = self._tensor(np.stack([random_crop(self._train, side, rng) for _ in range(count)]))
        levels = torch.from_numpy(np.concatenate([rng.permutation(self._shape.levels) for _ in range(count)])[:count])
        made, bits = self._coded(self.network, images, levels.to(self.device), exact=late)
        errors = self._errors(made, images)
        rates = bits / side**2
        weights = self._weights[levels]
        # High rates would drown low ones, of which a share is worth as much.
        losses = (rates + weights * errors) * (self._weights[0] / weights).sqrt()
        return {"loss": self.descend(losses.mean()), "bpp": float(rates.detach().mean())}

    def _errors(self, made: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
        """Return the error of each image: of squares, in 8-bit values, and of structure."""
        squared = 255**2 * (made - images).square().mean(dim=(1, 2, 3))
        share = self.settings.structure
        if not share:
            return squared
        errors: torch.Tensor = (1 - share) * squared + share * STRUCTURE * structure_error(made, images)
        return errors

    def _coded(
        self, networks: Any, images: torch.Tensor, levels: torch.Tensor, *, exact: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return reconstructions, and estimated bits for each image."""

        scales = networks["scales"]
        # Latents and pixels are finer than bfloat16, in which only what is added to the linear transforms is computed.
        analysis, synthesis = networks["analysis"], networks["synthesis"]
        with self.reduced_precision():
            deep = analysis.network(images)
        latents = (analysis.linear(images) + deep.float()) * scales["gains"][levels].exp()[..., None, None]
        hyper = networks["hyper_analysis"](latents.asinh())
        coded = rate.code(latents, hyper, networks["prior"], scales["spreads"], exact=exact)
        known = coded.rounded * scales["inverse_gains"][levels].exp()[..., None, None]
        with self.reduced_precision():
            deep = synthesis.network(known)
        return synthesis.linear(known) + deep.float(), coded.bits

    def validate(self) -> dict[str, float]:
        """Return mean PSNR (RGB, 8 bits) and rate of held-out images at three levels."""
        import torch

        networks = self.average.module.eval()
        results: dict[str, float] = {}
        for level in (0, self._shape.levels // 2, self._shape.levels - 1):
            found = []
            for pixels in self._held_out:
                height, width = (length // HYPER_STRIDE * HYPER_STRIDE for length in pixels.shape[:2])
                images = self._tensor(pixels[None, :height, :width])
                with torch.inference_mode():
                    made, bits = self._coded(networks, images, torch.tensor([level], device=self.device), exact=True)
                eight_bit = [((tensor + 0.5) * 255).clamp(0, 255).round() for tensor in (made, images)]
                error = float((eight_bit[0] - eight_bit[1]).square().mean())
                found.append((10 * np.log10(255**2 / max(error, 1e-3)), float(bits) / (height * width)))
            psnr, bpp = np.mean(found, axis=0)
            results |= {f"psnr{level + 1}": float(psnr), f"bpp{level + 1}": float(bpp)}
        return results

    def finish(self) -> Path:
        """Write the averaged weights in half precision, and beside them what a model card needs."""
        scales = self.average.module["scales"]["spreads"].detach().cpu()
        described = {
            "shape": asdict(self._shape),
            "hyper_tables": (MIDDLE + SCALE * scales).round().int().tolist(),
        }
        earlier = {"begun_with": self._earlier} if self._earlier else {}
        card = self.card(images=self._counts, **earlier)
        del card["settings"]["begin"]  # a path of this machine
        return self.loop.publish(
            self.work / "autoencoder.safetensors", self.average.module.state_dict(), described, card
        )

    def _tensor(self, pixels: Pixels) -> torch.Tensor:
        import torch

        tensor = torch.from_numpy(np.ascontiguousarray(pixels)).to(self.device).permute(0, 3, 1, 2)
        return tensor.float().div(255).sub(0.5).contiguous(memory_format=torch.channels_last)


def structure_error(made: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """Return about 1 - MS-SSIM of each image, mean over R, G and B: the mean over scales of 1 - contrast · structure.

    That is Wang et al. 2003 with square windows instead of Gaussian ones, and without the luminance of the last scale,
    which the squared error looks after. It is computed in a small part of the time, and differs by little (tests).
    Of luma alone it would leave errors of chroma to the squares, and the channels' MS-SSIM falls with them.

    Args:
        made: N×3×H×W, range 1; H and W at least 128.
        images: likewise.
    """
    import torch
    from torch.nn.functional import avg_pool2d

    one, other = (tensor.flatten(0, 1)[:, None] for tensor in (made, images))
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
        ModelError: this recipe did not write the file, or it is of other networks.
    """
    import torch

    found, _, earlier = read_networks(path)
    if found != shape:
        raise ModelError(f"{path}: its networks have another shape: {found}, not {shape}")
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


def _begin(networks: Any, weights: torch.Tensor, images: Sequence[Pixels], rng: np.random.Generator) -> None:
    """Set the linear transforms to the Karhunen-Loève transform of the images, and gains and scales to match.

    With that, training begins at a codec that is about as good as JPEG, and not at noise.
    """
    import torch

    crops = np.stack([random_crop(images, CROP, rng) for _ in range(STATISTICS)])
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
        expected = (deviations / steps[len(steps) // 2]).log2() * GaussianCdfs.SCALES_PER_OCTAVE / SCALE
        networks["prior"]["head"].bias[latent:] = expected.float()
        networks["scales"]["spreads"] += 1
