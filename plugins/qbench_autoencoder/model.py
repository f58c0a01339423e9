"""A trained autoencoder: its networks, out of a file."""

from __future__ import annotations

from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from qbench.plugin import Complexity, Weights
from qbench.toolkit.complexity import measure
from qbench.toolkit.networks import expecting, read_trained, shared
from qbench.toolkit.range_coding import GaussianCdfs
from qbench.toolkit.tiling import tiled
from qbench_autoencoder.network import HYPER_STRIDE, STRIDE, Shape, build
from qbench_autoencoder.prior import ExactPrior

if TYPE_CHECKING:
    import torch

BUNDLED = Weights(
    name="autoencoder-photo",
    summary="learned transform codec for photographs, 8 rates, 4.7 M parameters",
    source="package:qbench_autoencoder/weights/autoencoder-photo.safetensors",
    sha256="d370fee009a04dc5a8ea5c216bd8dd7c1b67acf707b3e9da6df9cce3a836b356",
    size=9389744,
    licence="Apache-2.0; trained on research data",
    provenance="this project's own `qbench train autoencoder`; see its model card, docs/models/autoencoder-photo.md",
)
TILE = 1024
"""Pixels, down and across, that the transforms see at a time."""
MARGIN = 128
"""Pixels around a position within the transforms' receptive field, at most; a multiple of STRIDE."""
MEASURED = 256
"""Side in pixels of the image that costs are measured on; they are proportional to the area."""


class Model:
    """The networks of a file, on a device. Analysis is in float32, synthesis in float64, the prior in integers."""

    def __init__(self, path: Path, device: str) -> None:
        """Load a file that ``qbench train autoencoder`` wrote.

        Raises:
            ModelError: it is something else.
        """
        shape, indices, networks = read_networks(path)
        networks = networks.eval().requires_grad_(False)
        self.shape = shape
        self.hyper_indices = np.clip(indices, 0, GaussianCdfs.COUNT - 1)
        self.prior = ExactPrior(networks["prior"])
        self._device = device
        self._parameters = sum(parameter.numel() for parameter in networks.parameters())
        self._scales = {name: networks["scales"][name].detach().double() for name in ("gains", "inverse_gains")}
        self._analysis = networks["analysis"].to(device)
        self._hyper_analysis = networks["hyper_analysis"].to(device)
        self._synthesis = networks["synthesis"].double().to(device)

    def analyse(self, pixels: npt.NDArray[np.uint8], level: float) -> tuple[torch.Tensor, npt.NDArray[np.int32]]:
        """Return the latents, latent×h×w, float64, on the CPU, and the hyper-latents, rounded.

        Args:
            pixels: H×W×3, sides multiples of HYPER_STRIDE.
            level: 0 to levels - 1; between two, their gains are interpolated geometrically.
        """
        import torch

        with torch.inference_mode():
            values = torch.from_numpy(pixels).to(self._device).permute(2, 0, 1)

            def analysis(tile: torch.Tensor) -> torch.Tensor:
                made: torch.Tensor = self._analysis(tile.float() / 255 - 0.5)
                return made

            latents = tiled(analysis, values, Fraction(1, STRIDE), TILE, MARGIN)
            latents = latents * self._scale("gains", level).to(latents)
            hyper = (
                self._hyper_analysis(latents.asinh()[None])[0]
                .round()
                .clamp(-GaussianCdfs.MAX_SYMBOL, GaussianCdfs.MAX_SYMBOL)
            )
        return latents.double().cpu(), hyper.to(torch.int32).cpu().numpy()

    def synthesise(self, latents: torch.Tensor, level: float) -> npt.NDArray[np.uint8]:
        """Return pixels, H×W×3, of latents, latent×h×w, float64."""
        import torch

        with torch.inference_mode():
            values = latents.to(self._device) * self._scale("inverse_gains", level).to(self._device)

            def synthesis(tile: torch.Tensor) -> torch.Tensor:
                shares = self._synthesis(tile) + 0.5
                eight_bit: torch.Tensor = (255 * shares).round().clamp(0, 255).to(torch.uint8)
                return eight_bit

            made = tiled(synthesis, values, STRIDE, TILE // STRIDE, MARGIN // STRIDE)
        return np.ascontiguousarray(made.permute(1, 2, 0).cpu().numpy())

    def complexity(self, height: int, width: int) -> Complexity:
        """Return what coding an image of that size costs; measured once, on a square."""
        pixels = (height + -height % HYPER_STRIDE) * (width + -width % HYPER_STRIDE)
        share = pixels / MEASURED**2
        encode_macs, decode_macs, encode_memory, decode_memory = self._costs
        tiles = min(share, (TILE + 2 * MARGIN) ** 2 / MEASURED**2)  # memory is that of one tile at a time
        return Complexity(
            self._parameters,
            round(share * encode_macs),
            round(share * decode_macs),
            round(tiles * encode_memory) + 4 * self._parameters,
            round(tiles * decode_memory) + 8 * self._parameters,
        )

    @cached_property
    def _costs(self) -> tuple[int, int, int, int]:
        """Multiply–adds at both ends, then bytes of tensors, for a square of MEASURED pixels."""
        import torch

        pixels = np.zeros((MEASURED, MEASURED, 3), np.uint8)
        latents, hyper = self.analyse(pixels, 0)
        nothing = np.zeros(latents.shape, np.int32)

        def prior() -> None:
            features = self.prior.features(hyper)
            self.prior.parameters(features, None)
            self.prior.parameters(features, nothing)

        with torch.inference_mode():
            analysis, synthesis = measure(lambda: self.analyse(pixels, 0)), measure(lambda: self.synthesise(latents, 0))
            both = measure(prior)
        return (
            analysis.macs + both.macs,
            synthesis.macs + both.macs,
            max(analysis.memory, both.memory),
            max(synthesis.memory, both.memory),
        )

    def _scale(self, name: str, level: float) -> torch.Tensor:
        scales = self._scales[name]
        lower = min(int(level), len(scales) - 1)
        upper = min(lower + 1, len(scales) - 1)
        share = level - lower
        scale: torch.Tensor = ((1 - share) * scales[lower] + share * scales[upper]).exp()
        return scale[:, None, None]


def read_networks(path: Path) -> tuple[Shape, npt.NDArray[np.int64], Any]:
    """Read a file that ``qbench train autoencoder`` wrote: shape, scale indices of the hyper-latents, and networks.

    Raises:
        ModelError: it is something else.
    """
    with expecting(path, "autoencoder"):
        metadata, tensors = read_trained(path)
        described: dict[str, Any] = metadata["shape"]
        for key in ("widths", "blocks"):
            described[key] = tuple(described[key])
        shape = Shape(**described)
        indices = np.array(metadata["hyper_tables"], np.int64)
        networks: Any = build(shape)
        networks.load_state_dict(tensors)
    return shape, indices, networks


def load(path: Path, sha256: str, device: str) -> Model:
    """Load a model once for all operating points; its digest tells versions of a file apart."""
    return shared(("autoencoder", sha256, device), lambda: Model(path, device))
