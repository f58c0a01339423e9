"""A trained autoencoder: its networks, out of a file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from qbench import GaussianTables, ModelError, Weights, in_areas
from qbench_autoencoder.network import STRIDE, Shape, build
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
AREA = 1024
"""Pixels, down and across, that the transforms see at a time."""
REACH = 128
"""Pixels around a place that the transforms look at, at most; a multiple of STRIDE."""


class Model:
    """The networks of a file, on a device. Analysis is in float32, synthesis in float64, the prior in whole numbers."""

    def __init__(self, path: Path, device: str) -> None:
        """Load a file that ``qbench train autoencoder`` wrote.

        Raises:
            ModelError: it is none.
        """
        shape, tables, networks = read_networks(path)
        networks = networks.eval().requires_grad_(False)
        self.shape = shape
        self.hyper_tables = np.clip(tables, 0, GaussianTables.COUNT - 1)
        self.prior = ExactPrior(networks["prior"])
        self._device = device
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

            def analysis(area: torch.Tensor) -> torch.Tensor:
                made: torch.Tensor = self._analysis(area.float() / 255 - 0.5)
                return made

            latents = in_areas(analysis, values, Fraction(1, STRIDE), AREA, REACH)
            latents = latents * self._scale("gains", level).to(latents)
            hyper = (
                self._hyper_analysis(latents.asinh()[None])[0]
                .round()
                .clamp(-GaussianTables.LARGEST, GaussianTables.LARGEST)
            )
        return latents.double().cpu(), hyper.to(torch.int32).cpu().numpy()

    def synthesise(self, latents: torch.Tensor, level: float) -> npt.NDArray[np.uint8]:
        """Return pixels, H×W×3, of latents, latent×h×w, float64."""
        import torch

        with torch.inference_mode():
            values = latents.to(self._device) * self._scale("inverse_gains", level).to(self._device)

            def synthesis(area: torch.Tensor) -> torch.Tensor:
                shares = self._synthesis(area) + 0.5
                eight_bit: torch.Tensor = (255 * shares).round().clamp(0, 255).to(torch.uint8)
                return eight_bit

            made = in_areas(synthesis, values, STRIDE, AREA // STRIDE, REACH // STRIDE)
        return np.ascontiguousarray(made.permute(1, 2, 0).cpu().numpy())

    def _scale(self, name: str, level: float) -> torch.Tensor:
        scales = self._scales[name]
        lower = min(int(level), len(scales) - 1)
        upper = min(lower + 1, len(scales) - 1)
        share = level - lower
        scale: torch.Tensor = ((1 - share) * scales[lower] + share * scales[upper]).exp()
        return scale[:, None, None]


def read_networks(path: Path) -> tuple[Shape, npt.NDArray[np.int64], Any]:
    """Read a file that ``qbench train autoencoder`` wrote: shape, tables of the hyper-latents, and networks.

    Raises:
        ModelError: it is none.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        described: dict[str, Any] = json.loads(metadata["shape"])
        for key in ("widths", "blocks"):
            described[key] = tuple(described[key])
        shape = Shape(**described)
        tables = np.array(json.loads(metadata["hyper_tables"]), np.int64)
        networks: Any = build(shape)
        networks.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    except (OSError, SafetensorError, RuntimeError, ValueError, TypeError, KeyError) as error:
        raise ModelError(f"{path}: not a file that `qbench train autoencoder` wrote ({error!r})") from error
    return shape, tables, networks


@cache
def load(path: Path, sha256: str, device: str) -> Model:
    """Load a model once for all operating points; its digest tells versions of a file apart."""
    return Model(path, device)


def chosen(name: str | None) -> Sequence[Weights]:
    """Return the weights that a file's name means; without one, the bundled ones.

    Raises:
        ModelError: there is no such file.
    """
    if name is None:
        return (BUNDLED,)
    path = Path(name).expanduser()
    return (Weights.local(path, f"autoencoder in {path}"),)
