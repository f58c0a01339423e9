"""Photographs and what became of them, for metrics to be checked on."""

from __future__ import annotations

import io

import cv2
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
FACE = skimage.data.astronaut()
CUP = COFFEE[100:292, 120:376].copy()
CAT = skimage.data.chelsea()[20:212, 80:336].copy()
ROCKET = skimage.data.rocket()[100:292, 200:456].copy()
# One is large enough for metrics that shrink large images first.
PAIRS = {
    "astronaut, JPEG 30": (FACE, jpeg(FACE, 30)),
    "coffee, JPEG 5": (CUP, jpeg(CUP, 5)),
    "coffee, JPEG 95": (CUP, jpeg(CUP, 95)),
    "chelsea, noise 20": (CAT, noisy(CAT, 20)),
    "rocket, darker": (ROCKET, (ROCKET * 0.7).astype(np.uint8)),
    "odd crop, JPEG 50": (COFFEE[3:206, 7:214].copy(), jpeg(COFFEE[3:206, 7:214].copy(), 50)),
    "inverted": (CUP, 255 - CUP),
}


def ours(name, original, *reconstructions, sizes=None, **parameters):
    cls = default_registry().metrics[name]
    metric = cls(cls.Parameters(**parameters), Context())
    reference = Reference("image", QbenchImage(original))
    candidates = Candidates(
        reference, [QbenchImage(each) for each in reconstructions], sizes or [1000] * len(reconstructions)
    )
    return metric.score(candidates, metric.prepare(reference))


def value(name, original, reconstruction, **parameters):
    return ours(name, original, reconstruction, **parameters)[0][name]


def tensors(*images, dtype=torch.float64):
    return [torch.from_numpy(image.copy()).permute(2, 0, 1)[None].to(dtype) for image in images]


def thread_counts():
    """Yield numbers of threads, with OpenCV set to each."""
    before = cv2.getNumThreads()
    try:
        for threads in (1, 2, 8):
            cv2.setNumThreads(threads)
            yield threads
    finally:
        cv2.setNumThreads(before)
