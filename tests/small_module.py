"""A torch module with compress and decompress: halves the image and DEFLATEs it, in two strings."""

from __future__ import annotations

import zlib

import torch
from torch import nn


class Halver(nn.Module):
    def __init__(self, factor: int = 2) -> None:
        super().__init__()
        self.factor = factor
        self.gain = nn.Parameter(torch.tensor(0.0))
        self.ready = False

    def update(self):
        self.ready = True

    def compress(self, x):
        assert self.ready
        assert x.shape[2] % 8 == x.shape[3] % 8 == 0
        small = nn.functional.avg_pool2d(x, self.factor)[0]
        values = (self.gain * 255 * small).round().clamp(0, 255).to(torch.uint8).cpu()
        strings = [[zlib.compress(values[:1].numpy().tobytes())], [zlib.compress(values[1:].numpy().tobytes())]]
        return {"strings": strings, "shape": tuple(values.shape[1:])}

    def decompress(self, strings, shape):
        try:
            data = b"".join(zlib.decompress(string[0]) for string in strings)
        except zlib.error as error:
            raise ValueError(str(error)) from error
        values = torch.frombuffer(bytearray(data), dtype=torch.uint8).reshape(1, 3, *shape)
        return {"x_hat": nn.functional.interpolate(values / 255 / self.gain, scale_factor=self.factor)}


def no_module():
    return object()


class Adapting(Halver):
    """Changes its own weight with every image, as codecs do that are fitted to an image."""

    def compress(self, x):
        made = super().compress(x)
        with torch.no_grad():
            self.gain.mul_(0.9)
        return made


class Folding(Halver):
    """Folds a factor into its weight when it is made, as batch norms are."""

    def update(self):
        super().update()
        self.gain.data.mul_(0.5)


class Evading(Halver):
    """Writes to its weight in a way that tensors don't count."""

    def compress(self, x):
        made = super().compress(x)
        self.gain.data.mul_(0.9)
        return made
