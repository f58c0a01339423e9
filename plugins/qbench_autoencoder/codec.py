"""The codec: a learned transform, a hyperprior, and a range coder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from importlib.metadata import version
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from qbench.plugin import (
    BitstreamError,
    Codec,
    Complexity,
    Context,
    Image,
    LocalFile,
    Parameters,
    RateParameter,
    Weights,
    find_weights,
)
from qbench.toolkit.limits import require_describable
from qbench.toolkit.range_coding import GaussianCdfs, SymbolDecoder, SymbolEncoder, Symbols
from qbench_autoencoder import bitstream, model
from qbench_autoencoder.network import HYPER_STRIDE, anchors
from qbench_autoencoder.prior import VALUE

LEVELS = 8


class AutoencoderCodecParameters(Parameters):
    """Settings of the autoencoder."""

    quality: float = Field(
        4,
        ge=1,
        le=LEVELS,
        description=f"level; values in between, in steps of 1/{bitstream.STEPS}, is interpolated",
    )
    model: LocalFile | None = Field(
        None, min_length=1, description="file of `qbench train autoencoder`; by default the bundled one"
    )
    exact: bool = Field(False, description="decode in float64, to the same pixels on every machine; slower")


class Autoencoder(Codec):
    """A learned transform codec: hyperprior, checkerboard context, gains for all rates in one model.

    The prior is computed in integers, so that any machine decodes the same latents. Images are synthesised in float32:
    to the same pixels whatever the number of threads; on other processors some samples in 100,000 differ, by one.
    With ``exact``, which takes four times as long, they are the same everywhere but for one rounding in 100 million.
    """

    name = "autoencoder"
    version = 2
    summary = "learned transform with hyperprior, one model for all rates"
    file_extension = "qae"
    reference = "Ballé et al. 2018, ICLR; He et al. 2021, CVPR (context); Cui et al. 2021, CVPR (gains)"
    runs_on = "accelerator"
    Parameters: ClassVar = AutoencoderCodecParameters

    def __init__(self, parameters: AutoencoderCodecParameters, context: Context) -> None:
        super().__init__(parameters, context)
        (self._weights,) = self.weights(parameters, context.profile)

    @classmethod
    def weights(cls, parameters: AutoencoderCodecParameters, profile: str) -> Sequence[Weights]:
        """The bundled model in every profile, or the file that is given."""
        return (Weights.file_or(parameters.model, model.BUNDLED, "autoencoder"),)

    @classmethod
    def libraries(cls) -> dict[str, str]:
        """The libraries that compute the transforms and code the latents."""
        return {name: version(name) for name in ("torch", "constriction")}

    def setup(self) -> None:
        """Load the networks."""
        _ = self._model

    def encode(self, image: Image) -> bytes:
        """Transform, round and code."""
        require_describable(image, bitstream.LONGEST_SIDE)
        height, width = image.height, image.width
        quality = round(self.parameters.quality * bitstream.STEPS)
        header = bitstream.Header(width, height, quality, self._mark)
        padding = ((0, -height % HYPER_STRIDE), (0, -width % HYPER_STRIDE), (0, 0))
        latents, hyper = self._model.analyse(np.pad(image.pixels, padding, mode="edge"), quality / bitstream.STEPS - 1)
        wanted = latents.numpy()
        coder = SymbolEncoder()

        def symbols(
            means: npt.NDArray[np.int32], indices: npt.NDArray[np.uint8], chosen: npt.NDArray[np.bool_]
        ) -> Symbols:
            rounded = np.rint(wanted[chosen].astype(np.float64) - means[chosen] / VALUE)
            found = np.clip(rounded, -GaussianCdfs.MAX_SYMBOL, GaussianCdfs.MAX_SYMBOL).astype(np.int32)
            coder.encode(found, indices[chosen])
            return found

        coder.encode(hyper, self._hyper_indices(hyper.shape))
        self._walk(hyper, symbols)
        return header.write() + coder.finish()

    def decode(self, bitstream_: bytes) -> Image:
        """Decode the latents, and transform back."""
        import torch

        header, coded = bitstream.read(bitstream_)
        if header.model != self._mark:
            raise BitstreamError(f"encoded with a model other than {self._weights.name} ({self._weights.sha256[:12]}…)")
        if not bitstream.STEPS <= header.quality <= LEVELS * bitstream.STEPS:
            raise BitstreamError(f"quality {header.quality / bitstream.STEPS} in the header; accepted: 1 to {LEVELS}")
        coder = SymbolDecoder(coded)
        shape = (self._model.shape.hyper, -(-header.height // HYPER_STRIDE), -(-header.width // HYPER_STRIDE))
        hyper = coder.decode(self._hyper_indices(shape))

        def symbols(
            means: npt.NDArray[np.int32], indices: npt.NDArray[np.uint8], chosen: npt.NDArray[np.bool_]
        ) -> Symbols:
            return coder.decode(indices[chosen])

        latents = torch.from_numpy(self._walk(hyper, symbols))
        pixels = self._model.synthesise(latents, header.quality / bitstream.STEPS - 1)
        return Image(pixels[: header.height, : header.width])

    def parts(self, bitstream_: bytes) -> Mapping[str, int]:
        """The header, and hyper-latents and latents, which share one range coder."""
        return {"header": bitstream.SIZE, "latents": len(bitstream_) - bitstream.SIZE}

    def complexity(self, height: int, width: int) -> Complexity:
        """Of all networks."""
        return self._model.complexity(height, width)

    @classmethod
    def rate_parameter(cls, parameters: AutoencoderCodecParameters) -> RateParameter:
        """Quality."""
        return RateParameter("quality", 1, LEVELS, integer=False)

    @cached_property
    def _model(self) -> model.Model:
        return model.load(
            find_weights(self._weights), self._weights.sha256, self.context.device, exact=self.parameters.exact
        )

    @property
    def _mark(self) -> bytes:
        return bytes.fromhex(self._weights.sha256[:4])

    def _hyper_indices(self, shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
        return np.broadcast_to(self._model.hyper_indices[:, None, None], shape)

    def _walk(self, hyper: npt.NDArray[np.int32], symbols: Callable[..., Symbols]) -> npt.NDArray[np.float32]:
        """Go through the latents in the order in which both ends know them; return them, in units of 1/VALUE.

        Args:
            hyper: the hyper-latents.
            symbols: gives, of means, scale indices and positions, the symbols there: by rounding or from the bitstream.
        """
        walk = self._model.prior.walk(hyper)
        known = walk.latents
        first = np.broadcast_to(anchors(*known.shape[1:]).numpy(), known.shape)
        for chosen in (first, ~first):
            means, indices = walk.parameters(first=chosen is first)
            known[chosen] = VALUE * symbols(means, indices, chosen) + means[chosen]
            del means, indices  # which are as large as the image
        return known
