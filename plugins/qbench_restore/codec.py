"""The codec: JPEG, and a network behind its decoder."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from PIL import Image as PillowImage
from PIL import features
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
from qbench.toolkit.complexity import Cost, measure
from qbench.toolkit.limits import require_sides
from qbench.toolkit.networks import by_pixel, expecting, read_trained, shared
from qbench.toolkit.tiling import tiled
from qbench_restore.network import MARGIN, STRIDE, Shape, build, strength

if TYPE_CHECKING:
    from torch import nn

BUNDLED = Weights(
    name="jpeg-restore-photo",
    summary="JPEG artefact corrector for photographs, 0.4 M parameters",
    source="package:qbench_restore/weights/jpeg-restore-photo.safetensors",
    sha256="8367c2d2baadd08046a2942f19c8e4a88949b078893af7158b56de59c0b9b122",
    size=802472,
    licence="Apache-2.0; trained on research data",
    provenance="this project's own `qbench train jpeg-restore`; see its model card, docs/models/jpeg-restore-photo.md",
)
LONGEST_SIDE = 65_535
TILE = 1024
"""Pixels, down and across, that the network sees at a time."""
MEASURED = 256
"""Side in pixels of the image that costs are measured on; they are proportional to the area."""


class JpegRestoreParameters(Parameters):
    """Settings of the JPEG, and the network."""

    quality: int = Field(75, ge=1, le=100, description="scale of the quantisation tables, libjpeg's 1 to 100")
    subsampling: Literal["4:4:4", "4:2:2", "4:2:0"] = Field("4:2:0", description="chroma subsampling")
    optimize: bool = Field(False, description="Huffman tables made for this image; same pixels, smaller")
    model: LocalFile | None = Field(
        None, min_length=1, description="file of `qbench train jpeg-restore`; by default the bundled one"
    )
    exact: bool = Field(False, description="decode in float64, to the same pixels on every machine; slower")


class JpegRestore(Codec):
    """JPEG by libjpeg-turbo, whose decoded image a small network takes nearer to the original.

    The bitstream is a plain JPEG: every program shows it, without the correction. The quantisation tables are an input
    of the network. It runs in float32: to the same pixels whatever the number of threads; on other processors some
    samples in 100,000 differ, by one. With ``exact``, in float64, they don't.
    """

    name = "jpeg-restore"
    version = 2
    summary = "JPEG with a learned artefact corrector at the decoder"
    file_extension = "jpg"
    reference = "Dong et al. 2015, ICCV (the idea); Ehrlich et al. 2020, ECCV (one network for all qualities)"
    runs_on = "accelerator"
    Parameters: ClassVar = JpegRestoreParameters

    def __init__(self, parameters: JpegRestoreParameters, context: Context) -> None:
        super().__init__(parameters, context)
        (self._weights,) = self.weights(parameters, context.profile)

    @classmethod
    def weights(cls, parameters: JpegRestoreParameters, profile: str) -> Sequence[Weights]:
        """The bundled network in every profile, or the file that is given."""
        return (Weights.file_or(parameters.model, BUNDLED, "corrector"),)

    @classmethod
    def libraries(cls) -> dict[str, str]:
        """The libraries that code the JPEG and compute the network."""
        return {"libjpeg-turbo": str(features.version_feature("libjpeg_turbo")), "torch": version("torch")}

    @classmethod
    def rate_parameter(cls, parameters: JpegRestoreParameters) -> RateParameter:
        """Quality."""
        return RateParameter("quality", 1, 100)

    def setup(self) -> None:
        """Load the network."""
        _ = self._corrector

    def encode(self, image: Image) -> bytes:
        """Encode as a JFIF file."""
        require_sides(image, LONGEST_SIDE, "JPEG")
        settings = self.parameters
        buffer = io.BytesIO()
        PillowImage.fromarray(image.pixels).save(
            buffer, "JPEG", quality=settings.quality, subsampling=settings.subsampling, optimize=settings.optimize
        )
        return buffer.getvalue()

    def decode(self, bitstream: bytes) -> Image:
        """Decode a JFIF file, and correct the image."""
        import torch

        try:
            with PillowImage.open(io.BytesIO(bitstream), formats=["JPEG"]) as opened:
                tables: dict[int, list[int]] = opened.quantization  # type: ignore[attr-defined]
                pixels = np.array(opened.convert("RGB"))
            plane = strength(list(tables.values()))
        except (
            OSError,
            ValueError,
            SyntaxError,
            EOFError,
            ZeroDivisionError,
            PillowImage.DecompressionBombError,
        ) as error:
            raise BitstreamError(f"not a JPEG bitstream that can be decoded: {error}") from error
        height, width = pixels.shape[:2]
        padded = np.pad(pixels, ((0, -height % STRIDE), (0, -width % STRIDE), (0, 0)), mode="edge")

        corrector = self._corrector

        def network(tile: torch.Tensor) -> torch.Tensor:
            shares = tile.to(corrector.type) / 255 - 0.5
            inputs = torch.cat([shares, torch.full_like(shares[:, :1], plane)], dim=1)
            eight_bit: torch.Tensor = (255 * (corrector.network(inputs) + 0.5)).round().clamp(0, 255).to(torch.uint8)
            return eight_bit

        values = torch.from_numpy(padded).to(self.context.device).permute(2, 0, 1)
        made = tiled(network, values, 1, TILE, MARGIN).permute(1, 2, 0).cpu().numpy()
        return Image(made[:height, :width])

    def complexity(self, height: int, width: int) -> Complexity:
        """Of the corrector; JPEG itself is not counted."""
        cost, parameters = self._corrector.cost
        share = height * width / MEASURED**2
        tiles = min(share, (TILE + 2 * MARGIN) ** 2 / MEASURED**2)  # memory is that of one tile at a time
        memory = round(tiles * cost.memory) + self._corrector.type.itemsize * parameters
        return Complexity(parameters, 0, round(share * cost.macs), None, memory)

    @cached_property
    def _corrector(self) -> _Corrector:
        device = self.context.device
        exact = self.parameters.exact
        key = ("jpeg-restore", self._weights.sha256, device, exact)  # the digest tells versions of a file apart
        return shared(key, lambda: _Corrector(find_weights(self._weights), device, exact=exact))


class _Corrector:
    """The network of a file, on a device; in float64 if it is to be exact."""

    def __init__(self, path: Path, device: str, *, exact: bool) -> None:
        import torch

        self.type = torch.float64 if exact else torch.float32
        with expecting(path, "jpeg-restore"):
            metadata, tensors = read_trained(path)
            network = build(Shape(**metadata["shape"]))
            network.load_state_dict(tensors)
        self.network: nn.Module = by_pixel(network.eval().requires_grad_(False)).to(device, self.type)

    @cached_property
    def cost(self) -> tuple[Cost, int]:
        """What a square of MEASURED pixels costs, and the number of parameters."""
        import torch

        device = next(self.network.parameters()).device
        square = torch.zeros(1, 4, MEASURED, MEASURED, dtype=self.type, device=device)
        with torch.inference_mode():
            return measure(lambda: self.network(square)), sum(each.numel() for each in self.network.parameters())
