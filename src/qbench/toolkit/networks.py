"""Networks out of trained files, and layers that several codecs share. May change."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qbench.errors import ModelError

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["bottleneck", "expecting", "read_metadata", "read_trained"]


@contextlib.contextmanager
def expecting(path: Path, recipe: str) -> Iterator[None]:
    """Turn whatever goes wrong while a file's networks are built into one error that says what the file should be.

    Raises:
        ModelError: it is not what ``qbench train RECIPE`` writes.
    """
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, SafetensorError, RuntimeError, ValueError, TypeError, KeyError, IndexError) as error:
        raise ModelError(f"{path}: not a file that `qbench train {recipe}` wrote ({error!r})") from error


def read_metadata(path: Path) -> dict[str, Any]:
    """Return what a file that :meth:`qbench.toolkit.training.TrainingLoop.publish` wrote says about its network."""
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        return {name: json.loads(value) for name, value in (file.metadata() or {}).items()}


def read_trained(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Return a file's metadata, and its tensors, the floating-point ones as float32."""
    from safetensors.torch import load_file

    tensors = load_file(path)
    floats = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    return read_metadata(path), floats


def bottleneck(width: int) -> nn.Module:
    """Return a residual bottleneck block (He et al. 2016, CVPR; in codecs: ELIC, He et al. 2022, CVPR)."""
    from torch import nn

    class Bottleneck(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(
                nn.Conv2d(width, width // 2, 1),
                nn.ReLU(inplace=True),
                nn.Conv2d(width // 2, width // 2, 3, padding=1),
                nn.ReLU(inplace=True),
                nn.Conv2d(width // 2, width, 1),
            )

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return inputs + self.layers(inputs)  # type: ignore[no-any-return]

    return Bottleneck()
