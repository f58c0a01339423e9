"""The codec: JPEG, and a network behind its decoder."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from PIL import Image, features
from pydantic import Field

from qbench import (
    BitstreamError,
    Codec,
    Context,
    Knob,
    ModelError,
    NotApplicable,
    Parameters,
    Pixels,
    Weights,
    find_weights,
    in_areas,
)
from qbench_restore.network import REACH, STRIDE, Shape, build, strength

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
AREA = 1024
"""Pixels, down and across, that the network sees at a time."""


class JpegRestoreParameters(Parameters):
    """Settings of the JPEG, and the network."""

    quality: int = Field(75, ge=1, le=100, description="scale of the quantisation tables, libjpeg's 1 to 100")
    subsampling: Literal["4:4:4", "4:2:2", "4:2:0"] = Field("4:2:0", description="chroma subsampling")
    optimize: bool = Field(False, description="Huffman tables made for this image; same pixels, smaller")
    model: str | None = Field(
        None, min_length=1, description="file of `qbench train jpeg-restore`; by default the bundled one"
    )


class JpegRestore(Codec):
    """JPEG by libjpeg-turbo, whose decoded picture a small network takes nearer to the original.

    The bitstream is a plain JPEG: every program shows it, only without the correction. The network is told how coarse
    the quantisation tables are. It runs in float64, so that the pixels do not depend on device and threads.
    """

    name = "jpeg-restore"
    summary = "JPEG with a learned artefact corrector at the decoder"
    file_extension = "jpg"
    reference = "Dong et al. 2015, ICCV (the idea); Ehrlich et al. 2020, ECCV (one network for all qualities)"
    runs_on = "accelerator"
    knob = Knob("quality", 1, 100)
    Parameters: ClassVar = JpegRestoreParameters

    def __init__(self, parameters: JpegRestoreParameters, context: Context) -> None:
        super().__init__(parameters, context)
        (self._weights,) = self.weights(parameters, context.profile)

    @classmethod
    def weights(cls, parameters: JpegRestoreParameters, profile: str) -> Sequence[Weights]:
        """The bundled network in every profile, or the file that is given."""
        if parameters.model is None:
            return (BUNDLED,)
        path = Path(parameters.model).expanduser()
        return (Weights.local(path, f"corrector in {path}"),)

    @classmethod
    def libraries(cls) -> dict[str, str]:
        """The libraries that code the JPEG and compute the network."""
        return {"libjpeg-turbo": str(features.version_feature("libjpeg_turbo")), "torch": version("torch")}

    def encode(self, image: Pixels) -> bytes:
        """Encode as a JFIF file."""
        height, width = image.shape[:2]
        if max(height, width) > LONGEST_SIDE:
            raise NotApplicable(f"{width}×{height} pixels; JPEG codes sides up to {LONGEST_SIDE}")
        settings = self.parameters
        buffer = io.BytesIO()
        Image.fromarray(image).save(
            buffer, "JPEG", quality=settings.quality, subsampling=settings.subsampling, optimize=settings.optimize
        )
        return buffer.getvalue()

    def decode(self, bitstream: bytes) -> Pixels:
        """Decode a JFIF file, and correct the picture."""
        import torch

        try:
            with Image.open(io.BytesIO(bitstream), formats=["JPEG"]) as opened:
                tables: dict[int, list[int]] = opened.quantization  # type: ignore[attr-defined]
                pixels = np.array(opened.convert("RGB"))
            plane = strength(list(tables.values()))
        except (OSError, ValueError, SyntaxError, EOFError, ZeroDivisionError, Image.DecompressionBombError) as error:
            raise BitstreamError(f"not a JPEG bitstream that can be decoded: {error}") from error
        height, width = pixels.shape[:2]
        padded = np.pad(pixels, ((0, -height % STRIDE), (0, -width % STRIDE), (0, 0)), mode="edge")

        def network(area: torch.Tensor) -> torch.Tensor:
            shares = area.double() / 255 - 0.5
            inputs = torch.cat([shares, torch.full_like(shares[:, :1], plane)], dim=1)
            eight_bit: torch.Tensor = (255 * (self._network(inputs) + 0.5)).round().clamp(0, 255).to(torch.uint8)
            return eight_bit

        with torch.inference_mode():
            values = torch.from_numpy(padded).to(self.context.device).permute(2, 0, 1)
            made = in_areas(network, values, 1, AREA, REACH).permute(1, 2, 0).cpu().numpy()
        return np.ascontiguousarray(made[:height, :width])

    @cached_property
    def _network(self) -> nn.Module:
        return _load(find_weights(self._weights), self._weights.sha256, self.context.device)


@cache
def _load(path: Path, sha256: str, device: str) -> nn.Module:
    """Load a network once for all operating points; its digest tells versions of a file apart."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
            tensors: dict[str, Any] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        network = build(Shape(**json.loads(metadata["shape"])))
        network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    except (OSError, SafetensorError, RuntimeError, ValueError, TypeError, KeyError) as error:
        raise ModelError(f"{path}: not a file that `qbench train jpeg-restore` wrote ({error!r})") from error
    return network.eval().requires_grad_(False).double().to(device)
