"""The codec: an image is sent as the latent vectors of a generator."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Hashable, Mapping, Sequence
from functools import cached_property, partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from qbench.plugin import (
    Artifact,
    BitstreamError,
    Codec,
    Complexity,
    Context,
    Generator,
    Image,
    Pixels,
    QbenchError,
    RateParameter,
    Weights,
)
from qbench.toolkit.common_work import common
from qbench.toolkit.complexity import Cost, measure
from qbench.toolkit.limits import require_describable
from qbench.toolkit.networks import by_pixel, shared
from qbench.toolkit.parallel import in_parallel
from qbench.toolkit.range_coding import GaussianCdfs
from qbench_gan import bitstream, qsgd
from qbench_gan.entropy import LatentCoder
from qbench_gan.generators import chosen, is_script
from qbench_gan.inversion import Found
from qbench_gan.inverter import Inverter
from qbench_gan.settings import InversionParameters
from qbench_gan.tiles import Tiling

if TYPE_CHECKING:
    import torch
    from torch import nn

DECODED_TOGETHER = 16
"""Tiles that the generator draws at a time."""


class GanInversion(Codec):
    """GAN inversion: finds the latent vector whose generated image is nearest, and sends that, quantised.

    Decoding is one pass of the generator, in float32: to the same pixels whatever the number of threads; on other
    processors some samples in 100,000 differ, by one. With ``exact``, in float64, they don't. Both ends need the same
    generator: the bitstream holds two bytes that tell generators apart.
    """

    name = "gan-inversion"
    version = 2
    summary = "latent vectors of a generator (Minchev 2022)"
    file_extension = "gan"
    reference = "Minchev 2022; Creswell & Bharath 2018, IEEE TNNLS"
    runs_on = "accelerator"
    Parameters: ClassVar = InversionParameters

    def __init__(self, parameters: InversionParameters, context: Context) -> None:
        super().__init__(parameters, context)
        self._make, self._weights = chosen(parameters.generator, context.profile)
        self._artifacts: list[Artifact] = []

    @property
    def deterministic(self) -> bool:
        """Unless the clock decides when the search ends, or a GPU resizes backwards, which torch can't do in order."""
        resizing = self.context.device != "cpu" and set(self.parameters.losses) != {"mse"}
        return not (self.parameters.seconds or resizing)

    @classmethod
    def rate_parameter(cls, parameters: InversionParameters) -> RateParameter:
        """Bits per latent element."""
        return RateParameter("bits", 0.25, 8, integer=False)

    @classmethod
    def weights(cls, parameters: InversionParameters, profile: str) -> Sequence[Weights]:
        """The generator's, and those of the losses."""
        from qbench.plugin import find_loss

        losses = [find_loss(name) for name in parameters.losses if name != "mse"]
        return (
            *chosen(parameters.generator, profile)[1],
            *(weights for loss in losses for weights in loss.weights(profile)),
        )

    @classmethod
    def code(cls, parameters: InversionParameters) -> Sequence[str]:
        """A generator in a TorchScript file."""
        name = parameters.generator
        return (str(Path(name).expanduser().absolute()),) if name is not None and is_script(name) else ()

    @classmethod
    def libraries(cls) -> dict[str, str]:
        """The libraries that compute the images and code the latents."""
        return {name: version(name) for name in ("torch", "constriction", "Pillow")}

    @cached_property
    def generator(self) -> Generator:
        """The generator."""
        return self._make()

    @cached_property
    def _network(self) -> nn.Module:
        """The generator's network as the decoder uses it."""
        device = self.context.device
        key = ("decoder", *self._generator_key, device, self._type)
        return shared(key, lambda: by_pixel(self.generator.network(device)).to(self._type))

    @property
    def _type(self) -> torch.dtype:
        import torch

        return torch.float64 if self.parameters.exact else torch.float32

    @cached_property
    def _inverter(self) -> Inverter:
        losses, thesis_exact = self.parameters.losses, self.parameters.thesis_exact
        return shared(
            ("inverter", *self._generator_key, *losses.items(), thesis_exact, self.context),
            lambda: Inverter(self.generator, losses, self.context, thesis_exact=thesis_exact),
        )

    @property
    def _generator_key(self) -> tuple[str, ...]:
        return self.generator.name, *(weights.sha256 for weights in self._weights)

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

    def setup(self) -> None:
        """Load the generator."""
        _ = self.generator

    def encode(self, image: Image) -> bytes:
        """Look for the latents, quantise and code them."""
        return self.encode_batch([image])[0]

    def encode_batch(self, images: Sequence[Image]) -> Sequence[bytes]:
        """Look for the latents of all images together, quantise and code them."""
        settings = self.parameters
        headers = [self._header(image) for image in images]
        targets = [self._targets(image, header) for image, header in zip(images, headers, strict=True)]
        rngs = [self.context.rng(image) for image in images]
        size = (settings.restarts, self.generator.latent_size)
        draws = [rng.standard_normal((len(own), *size)) for rng, own in zip(rngs, targets, strict=True)]
        every = np.concatenate(targets)
        try:
            found = common(
                self._search_key(images),
                lambda: self._inverter.find(
                    every, np.concatenate(draws).astype(np.float32), settings.search(), settings.beginning
                ),
            )
            latents = found.latents.cpu().numpy()
            if settings.coder == "uniform" and settings.refine:
                latents = self._inverter.refine(latents, every, 2.0 ** (settings.precision / 4), settings.refine)
        except FloatingPointError as error:
            raise QbenchError(f"gan-inversion: {error}; try a lower learning rate") from error
        self._artifacts = list(self._shown(found, headers[0])) if settings.snapshots and len(images) == 1 else []
        ends = np.cumsum([len(own) for own in targets])[:-1]
        return [
            header.write() + self._coded(own, header, self._tiling(header), rng)
            for own, header, rng in zip(np.split(latents, ends), headers, rngs, strict=True)
        ]

    def _search_key(self, images: Sequence[Image]) -> tuple[Hashable, ...]:
        """Return all that decides what the search finds, which goes before whatever quantises it."""
        settings = self.parameters
        tiles = settings.overlap if settings.mode == "tile" else None
        losses = tuple(sorted(settings.losses.items()))
        how = settings.search(), settings.beginning, settings.restarts, settings.thesis_exact, tiles, losses
        weights = tuple(weights.sha256 for weights in self.weights(settings, self.context.profile))
        return ("search", self._generator_key, weights, self.context, how, *(image.digest for image in images))

    def decode(self, bitstream_: bytes) -> Image:
        """Decode the latents, and have the generator draw them."""
        header, coded = bitstream.read(bitstream_)
        if header.generator != self._mark:
            raise BitstreamError(f"encoded with a generator other than {self.generator.name}, or with other weights")
        tiling = self._tiling(header)
        count = 1 if tiling is None else tiling.rows * tiling.columns
        if count > bitstream.MOST_TILES:
            raise BitstreamError(f"{count} tiles exceed what any encoder writes")
        return Image(self._drawn(self._read(coded, header, tiling), header, tiling))

    def parts(self, bitstream_: bytes) -> Mapping[str, int]:
        """The header, and the latents."""
        _, coded = bitstream.read(bitstream_)
        return {"header": len(bitstream_) - len(coded), "latents": len(coded)}

    def complexity(self, height: int, width: int) -> Complexity:
        """One pass of the generator per tile to decode; three per iteration to encode, as a gradient costs two."""
        cost, parameters = self._cost
        passes = 1
        if self.parameters.mode == "tile":
            overlap = self.parameters.overlap
            tiling = Tiling(width, height, self.generator.width, self.generator.height, overlap)
            passes = tiling.rows * tiling.columns
        iterations: int = self.parameters.search().iterations
        refined: int = self.parameters.refine if self.parameters.coder == "uniform" else 0
        steps = self.parameters.restarts * (iterations + 1) + refined
        memory = min(passes, DECODED_TOGETHER) * cost.memory + self._type.itemsize * parameters
        return Complexity(parameters, 3 * steps * passes * cost.macs, passes * cost.macs, None, memory)

    @cached_property
    def _cost(self) -> tuple[Cost, int]:
        """What one pass costs, and the number of parameters."""
        import torch

        latent = torch.zeros(1, self.generator.latent_size, dtype=self._type, device=self.context.device)
        with torch.inference_mode():
            cost = measure(lambda: self._network(latent))
        return cost, sum(parameter.numel() for parameter in self._network.parameters())

    def artifacts(self) -> Sequence[Artifact]:
        """Snapshots of the search, its loss, and the latent as an image; if ``snapshots`` is set."""
        return self._artifacts

    # -- images, headers and tiles --------------------------------------------------------------------------------

    def _header(self, image: Image) -> bitstream.Header:
        settings = self.parameters
        require_describable(image, bitstream.LONGEST_SIDE)
        return bitstream.Header(
            image.width,
            image.height,
            self._mark,
            settings.mode == "tile",
            settings.coder == "qsgd",
            settings.thesis_exact,
            settings.precision,
            settings.overlap if settings.mode == "tile" else 0,
        )

    def _targets(self, image: Image, header: bitstream.Header) -> Pixels:
        """Return what latents are looked for: the image at the generator's size, or its tiles."""
        tiling = self._tiling(header)
        if tiling is not None:
            return tiling.cut(image.pixels)
        size = (self.generator.width, self.generator.height)
        whole = PillowImage.fromarray(image.pixels)
        return np.asarray(whole if whole.size == size else whole.resize(size, PillowImage.Resampling.BICUBIC))[None]

    def _tiling(self, header: bitstream.Header) -> Tiling | None:
        if not header.tiled:
            return None
        if header.overlap >= min(self.generator.width, self.generator.height):
            raise BitstreamError(f"tiles overlap by {header.overlap} pixels, which is a whole tile")
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
        symbols = np.clip(np.rint(latents / step), -GaussianCdfs.MAX_SYMBOL, GaussianCdfs.MAX_SYMBOL).astype(np.int32)
        coder = self._latent_coder(header, tiling)
        return coder.encode(symbols.reshape(*self._grid(tiling), -1))

    def _read(self, coded: bytes, header: bitstream.Header, tiling: Tiling | None) -> npt.NDArray[np.float64]:
        rows, columns = self._grid(tiling)
        size = self.generator.latent_size
        if header.qsgd:
            if not 1 <= header.precision <= 8:
                raise BitstreamError(f"{header.precision} bits in the header; accepted: 1 to 8")
            norm, quantised = qsgd.read(coded, rows * columns * size, thesis_exact=header.thesis_exact)
            if np.abs(quantised).max(initial=0) > 2**header.precision:
                raise BitstreamError("the latent has symbols beyond its precision")
            return qsgd.dequantise(norm, quantised, header.precision).reshape(-1, size).astype(np.float64)
        if not -24 <= header.precision <= 7:
            raise BitstreamError(f"a quantiser's step of 2^{header.precision / 4} is not one that an encoder writes")
        symbols = self._latent_coder(header, tiling).decode(coded)
        latents: npt.NDArray[np.float64] = symbols.reshape(-1, size) * 2.0 ** (header.precision / 4)
        return latents

    def _latent_coder(self, header: bitstream.Header, tiling: Tiling | None) -> LatentCoder:
        scales = np.array(self.generator.log2_scales or [0] * self.generator.latent_size, np.int32)
        unit = -GaussianCdfs.SCALES_PER_OCTAVE * GaussianCdfs.LOG2_MIN_SCALE  # the index of the scale 1
        expected = scales - header.precision + unit
        return LatentCoder(expected, *self._grid(tiling))

    # -- images -------------------------------------------------------------------------------------------------

    def _drawn(self, latents: npt.NDArray[np.float64], header: bitstream.Header, tiling: Tiling | None) -> Pixels:
        import torch

        def draw(part: torch.Tensor) -> torch.Tensor:
            made: torch.Tensor = self._network(part.to(self.context.device, self._type)).cpu()
            return made

        parts = [partial(draw, part) for part in torch.split(torch.from_numpy(latents), DECODED_TOGETHER)]
        values = torch.cat(in_parallel(parts, self.context.device)).permute(0, 2, 3, 1).numpy()
        low, high = self.generator.low, self.generator.high
        shares = np.clip((values - low) / (high - low), 0, 1)
        if header.thesis_exact:  # clamped, then stretched from the darkest to the lightest value
            shares = (shares - shares.min()) / max(float(np.ptp(shares)), 1e-12)
        if tiling is not None:
            return _eight_bit(tiling.blend(shares))
        image = _eight_bit(shares[0])
        size = (header.width, header.height)
        if image.shape[1::-1] == size:
            return image
        return np.array(PillowImage.fromarray(image).resize(size, PillowImage.Resampling.BICUBIC))

    def _shown(self, found: Found, header: bitstream.Header) -> Sequence[Artifact]:
        """Leave the search to look at: the loss, the latent as an image, snapshots of the whole image."""
        tiling = self._tiling(header)
        losses = "".join(f"{iteration},{loss:.6g}\n" for iteration, loss in enumerate(found.history))
        latent = _png(_as_image(found.latents.cpu().numpy()))
        shown = [
            Artifact("loss.csv", f"iteration,loss\n{losses}".encode(), "loss at each iteration of the search"),
            Artifact("latent.png", latent, "the latents, one per row; mid-grey is 0"),
        ]
        for iteration, latents in found.snapshots.items():
            image = self._drawn(latents.cpu().double().numpy(), header, tiling)
            shown.append(Artifact(f"snapshot-{iteration:06d}.png", _png(image), f"the image at iteration {iteration}"))
        return shown


def _eight_bit(shares: npt.NDArray[np.float64]) -> Pixels:
    return np.rint(255 * shares).astype(np.uint8)


def _as_image(latents: npt.NDArray[np.float32]) -> Pixels:
    """Show latents: a square of numbers for one, else a row for each; mid-grey is 0, black and white are ±3."""
    rows = latents if len(latents) > 1 else latents.reshape(-1, 32 if latents.size % 32 == 0 else latents.size)
    grey = np.clip(np.rint(127.5 + 127.5 * rows / 3), 0, 255).astype(np.uint8)
    scale = max(1, 256 // max(grey.shape))
    return np.repeat(np.kron(grey, np.ones((scale, scale), np.uint8))[..., None], 3, axis=2)


def _png(pixels: Pixels) -> bytes:
    buffer = io.BytesIO()
    PillowImage.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()
