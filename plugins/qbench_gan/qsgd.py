"""The thesis's latent coder: QSGD's stochastic quantisation, and Elias omega codes."""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt

from qbench.plugin import BitstreamError
from qbench_gan.elias import BitReader, omega, pack

Latents = npt.NDArray[np.float32]


def quantise(latent: Latents, bits: int, rng: np.random.Generator) -> tuple[float, npt.NDArray[np.int64]]:
    """Quantise a vector as QSGD does (Alistarh et al. 2017, NeurIPS), with s = 2^bits - 1 levels.

    Every |v|·s/‖v‖ is rounded down or up at random, so that its expectation is right.

    Returns:
        ‖v‖ as a float32, and the levels with their signs.
    """
    levels = 2**bits - 1
    norm = float(np.float32(np.linalg.norm(latent.astype(np.float64))))
    if norm == 0 or not np.isfinite(norm):
        return 0.0, np.zeros(latent.shape, np.int64)
    scaled = np.abs(latent.astype(np.float64)) * levels / norm
    lower = np.floor(scaled)
    magnitude = lower + (rng.random(latent.shape) < scaled - lower)
    return norm, (np.sign(latent) * magnitude).astype(np.int64)


def dequantise(norm: float, quantised: npt.NDArray[np.int64], bits: int) -> Latents:
    """Return the vector that the levels stand for."""
    latent: Latents = (quantised * (norm / (2**bits - 1))).astype(np.float32)
    return latent


def write(norm: float, quantised: npt.NDArray[np.int64], *, thesis_exact: bool) -> bytes:
    """Write the norm (float32), and for each number its sign bit and the omega code of its magnitude plus one.

    The thesis's coder gives magnitudes 0 and 1 the same code, so that zeros come back as ones; ``thesis_exact`` does
    so.
    """
    codes = []
    for value in quantised.ravel().tolist():
        magnitude = abs(value)
        codes.append("1" if value < 0 else "0")
        codes.append(omega(max(1, magnitude) if thesis_exact else magnitude + 1))
    return struct.pack(">f", norm) + pack(codes)


def read(data: bytes, count: int, *, thesis_exact: bool) -> tuple[float, npt.NDArray[np.int64]]:
    """Read what :func:`write` wrote.

    Raises:
        BitstreamError: too short, or no such numbers.
    """
    if len(data) < 4:
        raise BitstreamError("the bitstream ends before the latent's norm")
    (norm,) = struct.unpack_from(">f", data)
    if not np.isfinite(norm) or norm < 0:
        raise BitstreamError(f"the latent's norm is {norm}")
    reader = BitReader(data[4:])
    values = []
    for _ in range(count):
        negative = reader.bits(1)
        magnitude = reader.omega() - (0 if thesis_exact else 1)
        values.append(-magnitude if negative else magnitude)
    return float(norm), np.array(values, np.int64)
