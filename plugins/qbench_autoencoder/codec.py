"""The codec: a learned transform, a hyperprior, and a range coder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from importlib.metadata import version
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from qbench import (
    BitstreamError,
    Codec,
    Context,
    GaussianTables,
    Knob,
    LevelDecoder,
    LevelEncoder,
    NotApplicable,
    Parameters,
    Pixels,
    Weights,
    find_weights,
)
from qbench_autoencoder import bitstream, model
from qbench_autoencoder.network import HYPER_STRIDE, STRIDE, anchors
from qbench_autoencoder.prior import VALUE

LEVELS = 8


class AutoencoderCodecParameters(Parameters):
    """Settings of the autoencoder."""

    quality: float = Field(
        4,
        ge=1,
        le=LEVELS,
        description=f"level; what lies between two, in steps of 1/{bitstream.STEPS}, is interpolated",
    )
    model: str | None = Field(
        None, min_length=1, description="file of `qbench train autoencoder`; by default the bundled one"
    )


class Autoencoder(Codec):
    """A learned transform codec: hyperprior, checkerboard context, gains for all rates in one model.

    The prior is computed in whole numbers, so that any machine reads the same latents out of a bitstream; pictures are
    made of them in float64, so that they are the same but for one rounding in a hundred million.
    """

    name = "autoencoder"
    summary = "learned transform with hyperprior, one model for all rates"
    file_extension = "qae"
    reference = "Ballé et al. 2018, ICLR; He et al. 2021, CVPR (context); Cui et al. 2021, CVPR (gains)"
    runs_on = "accelerator"
    knob = Knob("quality", 1, LEVELS, whole=False)
    Parameters: ClassVar = AutoencoderCodecParameters

    def __init__(self, parameters: AutoencoderCodecParameters, context: Context) -> None:
        super().__init__(parameters, context)
        (self._weights,) = self.weights(parameters, context.profile)

    @classmethod
    def weights(cls, parameters: AutoencoderCodecParameters, profile: str) -> Sequence[Weights]:
        """The bundled model in every profile, or the file that is given."""
        return model.chosen(parameters.model)

    @classmethod
    def libraries(cls) -> dict[str, str]:
        """The libraries that compute the transforms and code the latents."""
        return {name: version(name) for name in ("torch", "constriction")}

    def encode(self, image: Pixels) -> bytes:
        """Transform, round and code."""
        height, width = image.shape[:2]
        if max(height, width) > bitstream.LARGEST_SIDE or height * width > bitstream.LARGEST_PIXELS:
            raise NotApplicable(
                f"pictures of more than {bitstream.LARGEST_PIXELS} pixels, or with sides of more than "
                f"{bitstream.LARGEST_SIDE}, have no place in the bitstream"
            )
        quality = round(self.parameters.quality * bitstream.STEPS)
        header = bitstream.Header(width, height, quality, self._mark)
        padding = ((0, -height % HYPER_STRIDE), (0, -width % HYPER_STRIDE), (0, 0))
        latents, hyper = self._model.analyse(np.pad(image, padding, mode="edge"), quality / bitstream.STEPS - 1)
        exact = VALUE * latents.numpy()
        coder = LevelEncoder()

        def levels(
            means: npt.NDArray[np.int32], tables: npt.NDArray[np.uint8], chosen: npt.NDArray[np.bool_]
        ) -> Levels:
            rounded = np.rint((exact[chosen] - means[chosen]) / VALUE)
            found = np.clip(rounded, -GaussianTables.LARGEST, GaussianTables.LARGEST).astype(np.int32)
            coder.put(found, tables[chosen])
            return found

        coder.put(hyper, self._hyper_tables(hyper.shape))
        self._walk(hyper, levels)
        return header.write() + coder.finish()

    def decode(self, bitstream_: bytes) -> Pixels:
        """Decode the latents, and transform back."""
        import torch

        header, coded = bitstream.read(bitstream_)
        if header.model != self._mark:
            raise BitstreamError(f"made with another model than {self._weights.name} ({self._weights.sha256[:12]}…)")
        if not bitstream.STEPS <= header.quality <= LEVELS * bitstream.STEPS:
            raise BitstreamError(f"quality {header.quality / bitstream.STEPS} in the header; accepted: 1 to {LEVELS}")
        coder = LevelDecoder(coded)
        shape = (self._model.shape.hyper, -(-header.height // HYPER_STRIDE), -(-header.width // HYPER_STRIDE))
        hyper = coder.take(self._hyper_tables(shape))

        def levels(
            means: npt.NDArray[np.int32], tables: npt.NDArray[np.uint8], chosen: npt.NDArray[np.bool_]
        ) -> Levels:
            return coder.take(tables[chosen])

        latents = torch.from_numpy(self._walk(hyper, levels)).double() / VALUE
        picture = self._model.synthesise(latents, header.quality / bitstream.STEPS - 1)
        return np.ascontiguousarray(picture[: header.height, : header.width])

    @cached_property
    def _model(self) -> model.Model:
        return model.load(find_weights(self._weights), self._weights.sha256, self.context.device)

    @property
    def _mark(self) -> bytes:
        return bytes.fromhex(self._weights.sha256[:4])

    def _hyper_tables(self, shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
        return np.broadcast_to(self._model.hyper_tables[:, None, None], shape)

    def _walk(self, hyper: npt.NDArray[np.int32], levels: Callable[..., Levels]) -> npt.NDArray[np.int32]:
        """Go through the latents in the order in which both ends know them; return them, in units of 1/VALUE.

        Args:
            hyper: the hyper-latents.
            levels: gives, of means, tables and places, the levels there: by rounding, or out of the bitstream.
        """
        prior = self._model.prior
        rows, columns = (length * HYPER_STRIDE // STRIDE for length in hyper.shape[1:])
        known = np.zeros((self._model.shape.latent, rows, columns), np.int32)
        features = prior.features(hyper)
        first = np.broadcast_to(anchors(rows, columns).numpy(), known.shape)
        for chosen in (first, ~first):
            means, tables = prior.parameters(features, None if chosen is first else known)
            known[chosen] = VALUE * levels(means, tables, chosen) + means[chosen]
        return known


Levels = npt.NDArray[np.int32]
