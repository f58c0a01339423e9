"""Photographs and what became of them, for metrics to be checked on."""

from __future__ import annotations

import io

import numpy as np
import skimage.data
import torch
from PIL import Image

from qbench.plugin import Candidates, Context, Reference
from qbench.plugin import Image as QbenchImage
from qbench.registry.registry import default_registry


def jpeg(pixels, quality):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer).convert("RGB"))


def noisy(pixels, sigma):
    noise = np.random.default_rng(3).normal(0, sigma, pixels.shape)
    return np.clip(pixels + noise, 0, 255).round().astype(np.uint8)


COFFEE = skimage.data.coffee()
PAIRS = {
    "astronaut, JPEG 30": (skimage.data.astronaut(), jpeg(skimage.data.astronaut(), 30)),
    "coffee, JPEG 5": (COFFEE, jpeg(COFFEE, 5)),
    "coffee, JPEG 95": (COFFEE, jpeg(COFFEE, 95)),
    "chelsea, noise 20": (skimage.data.chelsea(), noisy(skimage.data.chelsea(), 20)),
    "rocket, darker": (skimage.data.rocket(), (skimage.data.rocket() * 0.7).astype(np.uint8)),
    "odd crop, JPEG 50": (COFFEE[3:330, 7:408].copy(), jpeg(COFFEE[3:330, 7:408].copy(), 50)),
    "inverted": (COFFEE, 255 - COFFEE),
}


def ours(name, original, *reconstructions, sizes=None):
    cls = default_registry().metrics[name]
    metric = cls(cls.Parameters(), Context())
    reference = Reference("image", QbenchImage(original))
    candidates = Candidates(
        reference, [QbenchImage(each) for each in reconstructions], sizes or [1000] * len(reconstructions)
    )
    return metric.score(candidates, metric.prepare(reference))


def value(name, original, reconstruction):
    return ours(name, original, reconstruction)[0][name]


def tensors(*images, dtype=torch.float64):
    return [torch.from_numpy(image.copy()).permute(2, 0, 1)[None].to(dtype) for image in images]
