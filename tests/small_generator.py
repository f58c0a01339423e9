"""A generator small enough to be searched in no time, and images that it can draw."""

from __future__ import annotations

import json

import numpy as np
import torch
from torch import nn

PLACES = [(0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (2, 0), (2, 1), (1, 2)]


class Small(nn.Module):
    """Paints smooth images of 16×16 with 24 numbers: eight waves a channel."""

    def __init__(self) -> None:
        super().__init__()
        rows, columns = torch.meshgrid(torch.linspace(0, 1, 16), torch.linspace(0, 1, 16), indexing="ij")
        waves = [torch.cos(torch.pi * n * rows) * torch.cos(torch.pi * m * columns) for n, m in PLACES]
        self.waves = nn.Parameter(torch.stack(waves).flatten(1))

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        return torch.tanh((latents.reshape(-1, 3, 8) @ self.waves).reshape(-1, 3, 16, 16))


def save(folder, name="small.pt", network=None, **description):
    """Save a generator as TorchScript that describes itself."""
    path = folder / name
    described = {"latent_size": 24, "height": 16, "width": 16, "low": -1, "high": 1, **description}
    scripted = torch.jit.script(network or Small())
    torch.jit.save(scripted, path, _extra_files={"qbench.json": json.dumps(described)})
    return path


def smooth(width, height, waves=1):
    """Draw a smooth image."""
    rows, columns = np.mgrid[0:height, 0:width] / max(1, max(width, height) - 1)
    channels = [
        np.cos(np.pi * waves * rows),
        np.cos(np.pi * waves * columns),
        np.cos(np.pi * waves * (rows + columns) / 2),
    ]
    return np.rint(127.5 + 90 * np.stack(channels, axis=2)).astype(np.uint8)
