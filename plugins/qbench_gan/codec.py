"""The codec: a picture is sent as the latent vectors of a generator."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import Field, model_validator

from qbench import (
    Artifact,
    BitstreamError,
    Codec,
    Context,
    GaussianTables,
    Generator,
    Knob,
    NotApplicable,
    Parameters,
    Pixels,
    QbenchError,
    Weights,
)
from qbench_gan import bitstream, qsgd
from qbench_gan.entropy import LatentCoder
from qbench_gan.generators import chosen
from qbench_gan.inversion import Found, Search
from qbench_gan.inverter import Inverter
from qbench_gan.tiles import Tiling

if TYPE_CHECKING:
    from torch import nn

THESIS = {"optimiser": "sgd", "rate": 1.0, "patience": 10, "iterations": 30_000, "start": "random"}
"""What the preset `thesis` means (Minchev 2022)."""
USUAL = {"optimiser": "adam", "rate": 0.05, "patience": 0, "iterations": 100, "start": "auto"}


class InversionParameters(Parameters):
    """Settings of the GAN inversion."""

    generator: str | None = Field(
        None,
        min_length=1,
        description="a generator's name, or a file: TorchScript (.pt, .ts), or .safetensors of `qbench train gan`; "
        "by default the profile's own",
    )
    mode: Literal["whole", "tile"] = Field(
        "whole",
        description="one latent for the picture, resized to the generator's size and back; or one for every tile",
    )
    overlap: int = Field(8, ge=0, le=255, description="pixels that neighbouring tiles share and fade into each other")
    preset: Literal["usual", "thesis"] = Field(
        "usual", description="what optimiser, rate, patience, iterations and start are unless given"
    )
    optimiser: Literal["sgd", "adam", "lbfgs"] | None = Field(None, description="how latents are looked for")
    iterations: int | None = Field(None, ge=0, le=10_000_000, description="at most so many")
    rate: float | None = Field(None, gt=0, description="learning rate to begin with")
    patience: int | None = Field(
        None,
        ge=0,
        description="iterations without improvement before the rate is divided by ten; 0: half a cosine instead",
    )
    stop_after: int = Field(0, ge=0, le=20, description="ends after so many divisions of the rate; 0 never")
    seconds: float = Field(0.0, ge=0, description="ends after so long; 0 never. The result then depends on the machine")
    start: Literal["auto", "encoder", "mean", "random"] | None = Field(
        None, description="where the search begins; auto is the generator's encoder if it has one, else random"
    )
    restarts: int = Field(
        1, ge=1, le=256, description="so many starts, of which the best is kept; others than the first are random"
    )
    losses: dict[str, float] = Field(
        {"mse": 1.0}, min_length=1, description="what is minimised: weight of mse and of losses that plugins bring"
    )
    coder: Literal["uniform", "qsgd"] = Field(
        "uniform", description="uniform quantiser with range coding; or the thesis's QSGD with Elias omega codes"
    )
    bits: float = Field(4, ge=0.25, le=8, description="about so many bits a number; whole with qsgd")
    refine: int = Field(
        30, ge=0, le=100_000, description="iterations through the quantiser, after the search (uniform only)"
    )
    snapshots: int = Field(0, ge=0, description="every so many iterations a picture is left as an artifact; 0 none")
    thesis_exact: bool = Field(
        False, description="repeat the thesis's faults: fitted to [0, 1], stretched when saved, zeros sent as ones"
    )

    @model_validator(mode="after")
    def _consistent(self) -> InversionParameters:
        if self.coder == "qsgd" and (self.bits < 1 or self.bits != int(self.bits)):
            raise ValueError(f"bits: {self.bits} is not accepted with coder qsgd; accepted: 1, 2, … 8")
        if any(not weight > 0 for weight in self.losses.values()):
            raise ValueError("losses: weights must be above 0")
        return self

    def search(self) -> Search:
        """Return the search that these settings mean."""
        chosen_values = {name: self._chosen(name) for name in ("optimiser", "iterations", "rate", "patience")}
        return Search(**chosen_values, stop_after=self.stop_after, seconds=self.seconds, snapshots=self.snapshots)

    @property
    def beginning(self) -> str:
        """Where the search begins."""
        return str(self._chosen("start"))

    def _chosen(self, name: str) -> Any:
        value = getattr(self, name)
        return value if value is not None else {"usual": USUAL, "thesis": THESIS}[self.preset][name]

    @property
    def precision(self) -> int:
        """Quarter-octave exponent of the quantiser's step: a step of 2^(2-bits) takes about so many bits."""
        return int(self.bits) if self.coder == "qsgd" else round(4 * (2 - self.bits))


class GanInversion(Codec):
    """GAN inversion: finds the latent vector whose generated picture is nearest, and sends that, quantised.

    Decoding is one pass of the generator; it is computed in float64, so that the pixels do not depend on device,
    threads or batch. Both ends need the same generator: the bitstream holds two bytes that tell generators apart.
    """

    name = "gan-inversion"
    summary = "latent vectors of a generator (Minchev 2022)"
    file_extension = "gan"
    reference = "Minchev 2022; Creswell & Bharath 2018, IEEE TNNLS"
    runs_on = "accelerator"
    knob = Knob("bits", 0.25, 8, whole=False)
    Parameters: ClassVar = InversionParameters

    def __init__(self, parameters: InversionParameters, context: Context) -> None:
        super().__init__(parameters, context)
        self._make, self._weights = chosen(parameters.generator, context.profile)
        self._artifacts: list[Artifact] = []
        if parameters.seconds:
            self.deterministic = False  # type: ignore[misc]  # for this instance: the clock decides

    @classmethod
    def weights(cls, parameters: InversionParameters, profile: str) -> Sequence[Weights]:
        """The generator's, and those of the losses."""
        from qbench import find_loss

        losses = [find_loss(name) for name in parameters.losses if name != "mse"]
        return (
            *chosen(parameters.generator, profile)[1],
            *(weights for loss in losses for weights in loss.weights(profile)),
        )

    @classmethod
    def libraries(cls) -> dict[str, str]:
        """The libraries that compute the pictures and code the latents."""
        return {name: version(name) for name in ("torch", "constriction", "Pillow")}

    @cached_property
    def generator(self) -> Generator:
        """The generator."""
        return self._make()

    @cached_property
    def _exact(self) -> nn.Module:
        """The generator's network as the decoder uses it."""
        return self.generator.network(self.context.device).double()

    @cached_property
    def _inverter(self) -> Inverter:
        return Inverter(self.generator, self.parameters.losses, self.context, thesis_exact=self.parameters.thesis_exact)

    @cached_property
    def _mark(self) -> bytes:
        """Two bytes that tell this generator from others."""
        digests = [weights.sha256 for weights in self._weights]
        return hashlib.sha256(repr((self.generator.name, digests)).encode()).digest()[:2]

    @property
    def batch_size(self) -> int:
        """Several on an accelerator, where a search does not depend on what else is searched for."""
        settings = self.parameters
        alone = settings.mode == "tile" or settings.snapshots or settings.seconds
        if alone or settings.search().optimiser == "lbfgs" or self.context.device == "cpu":
            return 1
        together: int = self._inverter.batch // settings.restarts
        return max(1, together)

    def encode(self, image: Pixels) -> bytes:
        """Look for the latents, quantise and code them."""
        return self.encode_batch([image])[0]

    def encode_batch(self, images: Sequence[Pixels]) -> Sequence[bytes]:
        """Look for the latents of all images together, quantise and code them."""
        settings = self.parameters
        headers = [self._header(*image.shape[:2]) for image in images]
        targets = [self._targets(image, header) for image, header in zip(images, headers, strict=True)]
        rngs = [self.context.rng(image) for image in images]
        size = (settings.restarts, self.generator.latent_size)
        draws = [rng.standard_normal((len(own), *size)) for rng, own in zip(rngs, targets, strict=True)]
        every = np.concatenate(targets)
        try:
            found = self._inverter.find(
                every, np.concatenate(draws).astype(np.float32), settings.search(), settings.beginning
            )
            latents = found.latents.cpu().numpy()
            if settings.coder == "uniform" and settings.refine:
                latents = self._inverter.refine(latents, every, 2.0 ** (settings.precision / 4), settings.refine)
        except FloatingPointError as error:
            raise QbenchError(f"gan-inversion: {error}; try a lower rate") from error
        self._artifacts = list(self._shown(found, headers[0])) if settings.snapshots and len(images) == 1 else []
        ends = np.cumsum([len(own) for own in targets])[:-1]
        return [
            header.write() + self._coded(own, header, self._tiling(header), rng)
            for own, header, rng in zip(np.split(latents, ends), headers, rngs, strict=True)
        ]

    def decode(self, bitstream_: bytes) -> Pixels:
        """Decode the latents, and have the generator draw them."""
        header, coded = bitstream.read(bitstream_)
        if header.generator != self._mark:
            raise BitstreamError(f"made with another generator than {self.generator.name}, or with other weights of it")
        tiling = self._tiling(header)
        count = 1 if tiling is None else tiling.rows * tiling.columns
        if count > bitstream.LARGEST_TILES:
            raise BitstreamError(f"{count} tiles are more than any that is written")
        return self._drawn(self._read(coded, header, tiling), header, tiling)

    def artifacts(self) -> Sequence[Artifact]:
        """Snapshots of the search, its loss, and the latent as a picture; if ``snapshots`` is set."""
        return self._artifacts

    # -- images, headers and tiles --------------------------------------------------------------------------------

    def _header(self, height: int, width: int) -> bitstream.Header:
        settings = self.parameters
        if max(height, width) > bitstream.LARGEST_SIDE or height * width > bitstream.LARGEST_PIXELS:
            raise NotApplicable(
                f"pictures of more than {bitstream.LARGEST_PIXELS} pixels, or with sides of more than "
                f"{bitstream.LARGEST_SIDE}, have no place in the bitstream"
            )
        return bitstream.Header(
            width,
            height,
            self._mark,
            settings.mode == "tile",
            settings.coder == "qsgd",
            settings.thesis_exact,
            settings.precision,
            settings.overlap if settings.mode == "tile" else 0,
        )

    def _targets(self, image: Pixels, header: bitstream.Header) -> Pixels:
        """Return what latents are looked for: the picture at the generator's size, or its tiles."""
        tiling = self._tiling(header)
        if tiling is not None:
            return tiling.cut(image)
        size = (self.generator.width, self.generator.height)
        whole = Image.fromarray(image)
        return np.asarray(whole if whole.size == size else whole.resize(size, Image.Resampling.BICUBIC))[None]

    def _tiling(self, header: bitstream.Header) -> Tiling | None:
        if not header.tiled:
            return None
        if header.overlap >= min(self.generator.width, self.generator.height):
            raise BitstreamError(f"tiles overlap by {header.overlap} pixels, which is all of a tile")
        return Tiling(header.width, header.height, self.generator.width, self.generator.height, header.overlap)

    @staticmethod
    def _grid(tiling: Tiling | None) -> tuple[int, int]:
        return (1, 1) if tiling is None else (tiling.rows, tiling.columns)

    # -- latents and bytes ----------------------------------------------------------------------------------------

    def _coded(
        self,
        latents: npt.NDArray[np.float32],
        header: bitstream.Header,
        tiling: Tiling | None,
        rng: np.random.Generator,
    ) -> bytes:
        if header.qsgd:
            norm, quantised = qsgd.quantise(latents, header.precision, rng)
            return qsgd.write(norm, quantised, thesis_exact=header.thesis_exact)
        step = 2.0 ** (header.precision / 4)
        levels = np.clip(np.rint(latents / step), -GaussianTables.LARGEST, GaussianTables.LARGEST).astype(np.int32)
        coder = self._latent_coder(header, tiling)
        return coder.encode(levels.reshape(*self._grid(tiling), -1))

    def _read(self, coded: bytes, header: bitstream.Header, tiling: Tiling | None) -> npt.NDArray[np.float64]:
        rows, columns = self._grid(tiling)
        size = self.generator.latent_size
        if header.qsgd:
            if not 1 <= header.precision <= 8:
                raise BitstreamError(f"{header.precision} bits in the header; accepted: 1 to 8")
            norm, quantised = qsgd.read(coded, rows * columns * size, thesis_exact=header.thesis_exact)
            if np.abs(quantised).max(initial=0) > 2**header.precision:
                raise BitstreamError("the latent has levels that its precision does not have")
            return qsgd.dequantise(norm, quantised, header.precision).reshape(-1, size).astype(np.float64)
        if not -24 <= header.precision <= 7:
            raise BitstreamError(f"a quantiser's step of 2^{header.precision / 4} is none that is written")
        levels = self._latent_coder(header, tiling).decode(coded)
        latents: npt.NDArray[np.float64] = levels.reshape(-1, size) * 2.0 ** (header.precision / 4)
        return latents

    def _latent_coder(self, header: bitstream.Header, tiling: Tiling | None) -> LatentCoder:
        spreads = np.array(self.generator.spreads or [0] * self.generator.latent_size, np.int32)
        expected = spreads - header.precision - GaussianTables.PER_OCTAVE * GaussianTables.NARROWEST
        return LatentCoder(expected, *self._grid(tiling))

    # -- pictures -------------------------------------------------------------------------------------------------

    def _drawn(self, latents: npt.NDArray[np.float64], header: bitstream.Header, tiling: Tiling | None) -> Pixels:
        import torch

        pictures = []
        with torch.inference_mode():
            for part in torch.split(torch.from_numpy(latents), 16):
                pictures.append(self._exact(part.to(self.context.device)).cpu())
        values = torch.cat(pictures).permute(0, 2, 3, 1).numpy()
        low, high = self.generator.low, self.generator.high
        shares = np.clip((values - low) / (high - low), 0, 1)
        if header.thesis_exact:  # clamped, then stretched from the darkest to the lightest value
            shares = (shares - shares.min()) / max(float(np.ptp(shares)), 1e-12)
        if tiling is not None:
            return _eight_bit(tiling.blend(shares))
        drawn = _eight_bit(shares[0])
        size = (header.width, header.height)
        if drawn.shape[1::-1] == size:
            return drawn
        return np.array(Image.fromarray(drawn).resize(size, Image.Resampling.BICUBIC))

    def _shown(self, found: Found, header: bitstream.Header) -> Sequence[Artifact]:
        """Leave the search to look at: the loss, the latent as a picture, snapshots of the whole picture."""
        tiling = self._tiling(header)
        losses = "".join(f"{iteration},{loss:.6g}\n" for iteration, loss in enumerate(found.history))
        latent = _png(_as_picture(found.latents.cpu().numpy()))
        shown = [
            Artifact("loss.csv", f"iteration,loss\n{losses}".encode(), "loss of the search at each iteration"),
            Artifact("latent.png", latent, "the latents, a row each; mid-grey is 0"),
        ]
        for iteration, latents in found.snapshots.items():
            picture = self._drawn(latents.cpu().double().numpy(), header, tiling)
            shown.append(
                Artifact(f"snapshot-{iteration:06d}.png", _png(picture), f"the picture at iteration {iteration}")
            )
        return shown


def _eight_bit(shares: npt.NDArray[np.float64]) -> Pixels:
    return np.rint(255 * shares).astype(np.uint8)


def _as_picture(latents: npt.NDArray[np.float32]) -> Pixels:
    """Show latents: a square of numbers for one, else a row for each; mid-grey is 0, black and white are ±3."""
    rows = latents if len(latents) > 1 else latents.reshape(-1, 32 if latents.size % 32 == 0 else latents.size)
    grey = np.clip(np.rint(127.5 + 127.5 * rows / 3), 0, 255).astype(np.uint8)
    scale = max(1, 256 // max(grey.shape))
    return np.repeat(np.kron(grey, np.ones((scale, scale), np.uint8))[..., None], 3, axis=2)


def _png(pixels: Pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()
