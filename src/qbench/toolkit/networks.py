"""Networks out of trained files, one for all who use it in a process, and layers that codecs share. May change."""

from __future__ import annotations

import contextlib
import json
import threading
import weakref
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from qbench.errors import ModelError

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["bottleneck", "by_pixel", "expecting", "read_metadata", "read_trained", "shared"]

T = TypeVar("T")
_made: weakref.WeakValueDictionary[Hashable, Any] = weakref.WeakValueDictionary()
_making = threading.RLock()


def shared(key: Hashable, make: Callable[[], T]) -> T:
    """Return what is made once in a process for a key, and lives as long as somebody holds it.

    For networks that coding doesn't change: every operating point of a codec has two instances of it, and each would
    hold a copy.

    Args:
        key: names whose it is, and all that decides it: digests of weights, device, type.
        make: makes it; weak references to it must be possible.
    """
    with _making:
        found: T | None = _made.get(key)
        if found is None:
            found = make()
            _made[key] = found
        return found


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


def by_pixel(network: nn.Module) -> nn.Module:
    """Return a convolutional network whose tensors hold each pixel's channels side by side, as is fastest."""
    import torch

    return network.to(memory_format=torch.channels_last)


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
            made: torch.Tensor = self.layers(inputs)
            return made.add_(inputs)  # in place, as memory takes longer to get than to fill

    return Bottleneck()
