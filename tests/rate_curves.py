"""Rate–distortion curves made by hand."""

from __future__ import annotations

import numpy as np

from qbench.contracts.metric import Column, Direction
from qbench.reporting.curves import CurvePoint, Curves

RATES = np.array([0.1, 0.2, 0.4, 0.8, 1.6])
IMAGES = 12


def curve(label, rates, values, spread=0.0, seed=0):
    """A curve of images whose rates and values scatter about the given ones."""
    rng = np.random.default_rng(seed)
    factors, offsets = np.exp(rng.normal(0, spread, IMAGES)), rng.normal(0, 10 * spread, IMAGES)
    points = []
    for rate, value in zip(rates, values, strict=True):
        own_rates, own_values = rate * factors, value + offsets
        name = f"{label}:rate={rate:g}"
        points.append(
            CurvePoint(name, float(own_rates.mean()), float(own_values.mean()), tuple(own_rates), tuple(own_values))
        )
    return tuple(points)


def of(direction=Direction.HIGHER, **by_codec):
    names = tuple(f"image{index}" for index in range(IMAGES))
    return Curves("psnr", Column("psnr", direction), names, (), by_codec)


def quality(rates):
    return 40 + 6 * np.log2(rates)
