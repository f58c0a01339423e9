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
from qbench.toolkit.networks import by_pixel, expecting, read_trained, shared
from qbench.toolkit.range_coding import GaussianCdfs
from qbench.toolkit.tiling import tiled
from qbench_autoencoder.network import HYPER_MARGIN, HYPER_STRIDE, STRIDE, Margins, Shape, build, margin
from qbench_autoencoder.prior import VALUE, ExactPrior

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
ANALYSED, SYNTHESISED = 1024, 512
"""Pixels, down and across, that the transforms see at a time; the synthesis needs less of a margin."""
MEASURED = 256
"""Side in pixels of the image that costs are measured on; they are proportional to the area."""


class Model:
    """The networks of a file, on a device. Analysis is in float32, the prior in integers, synthesis in either float."""

    def __init__(self, path: Path, device: str, *, exact: bool) -> None:
        """Load a file that ``qbench train autoencoder`` wrote.

        Args:
            exact: synthesise in float64.

        Raises:
            ModelError: it is something else.
        """
        import torch

        shape, indices, networks = read_networks(path)
        networks = networks.eval().requires_grad_(False)
        self.shape = shape
        self.hyper_indices = np.clip(indices, 0, GaussianCdfs.COUNT - 1)
        self.prior = ExactPrior(networks["prior"])
        self._device = device
        self._margin = margin(shape)
        self._parameters = sum(parameter.numel() for parameter in networks.parameters())
        self._scales = {name: networks["scales"][name].detach().double() for name in ("gains", "inverse_gains")}
        self._analysis = by_pixel(networks["analysis"]).to(device)
        self._hyper_analysis = by_pixel(networks["hyper_analysis"]).to(device)
        self._type = torch.float64 if exact else torch.float32
        self._synthesis = by_pixel(networks["synthesis"]).to(device, self._type)

    def analyse(self, pixels: npt.NDArray[np.uint8], level: float) -> tuple[torch.Tensor, npt.NDArray[np.int32]]:
        """Return the latents, latent×h×w, float32, on the CPU, and the hyper-latents, rounded.

        Args:
            pixels: H×W×3, sides multiples of HYPER_STRIDE.
            level: 0 to levels - 1; between two, their gains are interpolated geometrically.
        """
        import torch

        values = torch.from_numpy(pixels).to(self._device).permute(2, 0, 1)
        gains = self._scale("gains", level).to(self._device, torch.float32)
        largest = GaussianCdfs.MAX_SYMBOL

        def analysis(tile: torch.Tensor) -> torch.Tensor:
            made: torch.Tensor = self._analysis(tile.float() / 255 - 0.5) * gains
            return made

        def hyper_analysis(tile: torch.Tensor) -> torch.Tensor:
            made: torch.Tensor = self._hyper_analysis(tile.asinh()).round().clamp(-largest, largest).to(torch.int32)
            return made

        latents = tiled(analysis, values, Fraction(1, STRIDE), ANALYSED, self._margin)
        hyper = tiled(hyper_analysis, latents, Fraction(STRIDE, HYPER_STRIDE), ANALYSED // STRIDE, HYPER_MARGIN)
        return latents.cpu(), hyper.cpu().numpy()

    def synthesise(self, latents: torch.Tensor, level: float) -> npt.NDArray[np.uint8]:
        """Return pixels, H×W×3, of latents, latent×h×w, float32, in units of 1/VALUE."""
        import torch

        gains = (self._scale("inverse_gains", level) / VALUE).to(self._device, self._type)

        def synthesis(tile: torch.Tensor, margins: Margins) -> torch.Tensor:
            shares = self._synthesis(tile.to(self._type) * gains, margins) + 0.5
            eight_bit: torch.Tensor = (255 * shares).round().clamp(0, 255).to(torch.uint8)
            return eight_bit

        tile, around = SYNTHESISED // STRIDE, self._margin // STRIDE
        made = tiled(synthesis, latents.to(self._device), STRIDE, tile, around, cropping=True)
        return np.ascontiguousarray(made.permute(1, 2, 0).cpu().numpy())

    def complexity(self, height: int, width: int) -> Complexity:
        """Return what coding an image of that size costs; measured once, on a square."""
        pixels = (height + -height % HYPER_STRIDE) * (width + -width % HYPER_STRIDE)
        share = pixels / MEASURED**2
        encode_macs, decode_macs, encode_memory, decode_memory = self._costs
        # Memory is that of one tile at a time.
        analysed, synthesised = (
            min(share, (tile + 2 * self._margin) ** 2 / MEASURED**2) for tile in (ANALYSED, SYNTHESISED)
        )
        return Complexity(
            self._parameters,
            round(share * encode_macs),
            round(share * decode_macs),
            round(analysed * encode_memory) + 4 * self._parameters,
            round(synthesised * decode_memory) + self._type.itemsize * self._parameters,
        )

    @cached_property
    def _costs(self) -> tuple[int, int, int, int]:
        """Multiply–adds at both ends, then bytes of tensors, for a square of MEASURED pixels."""

        pixels = np.zeros((MEASURED, MEASURED, 3), np.uint8)
        latents, hyper = self.analyse(pixels, 0)

        def prior() -> None:
            walk = self.prior.walk(hyper)
            walk.parameters(first=True)
            walk.parameters(first=False)

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


def load(path: Path, sha256: str, device: str, *, exact: bool) -> Model:
    """Load a model once for all operating points; its digest tells versions of a file apart."""
    return shared(("autoencoder", sha256, device, exact), lambda: Model(path, device, exact=exact))
