"""Coding one cell: encode, decode with another instance, check the contract, time both."""

from __future__ import annotations

import hashlib
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from qbench.codec import Artifact, Codec, Pixels
from qbench.execute.device import synchronise
from qbench.image import pixels_digest
from qbench.records import Timing

T = TypeVar("T")


class ContractError(Exception):
    """A plugin did something its contract doesn't allow. Becomes a failure that names the plugin."""


@dataclass(frozen=True)
class TimingPlan:
    """How to time: see :class:`qbench.suite.TimingOptions`; ``beside`` is recorded with the result."""

    repeats: int
    budget: float
    threads: int
    beside: str


@dataclass(frozen=True)
class Coded:
    """A coded cell, before it is stored."""

    bitstream: bytes
    bitstream_sha256: str
    reconstruction: Pixels
    reconstruction_sha256: str
    timing: Timing
    artifacts: tuple[Artifact, ...] = ()


class PointCoder:
    """The two instances of a codec at one operating point: one encodes, the other decodes."""

    def __init__(self, make: Callable[[], Codec], timing: TimingPlan) -> None:
        self._encoder = make()
        self._decoder = make()
        self._timing = timing
        self._device = self._encoder.context.device if self._encoder.runs_on == "accelerator" else "cpu"
        self._cold = True

    def code(self, pixels: Pixels) -> Coded:
        """Encode and decode an image.

        Raises:
            ContractError: the codec broke its contract.
            Exception: whatever the codec raises.
        """
        warm_up, self._cold = self._cold, False
        encoder = self._encoder
        bitstream, encode, repeats, warmed = self._timed(lambda: encoder.encode(pixels), warm_up, _check_bitstream)
        artifacts = tuple(encoder.artifacts())
        if not all(isinstance(artifact, Artifact) for artifact in artifacts):
            raise ContractError("artifacts returned something that is no qbench.Artifact")
        reconstruction, decode, _, _ = self._timed(
            lambda: self._decoder.decode(bitstream), warm_up, lambda value: _check_pixels(value, pixels)
        )
        if encoder.lossless and not np.array_equal(reconstruction, pixels):
            wrong = int(np.any(reconstruction != pixels, axis=2).sum())
            raise ContractError(f"says it is lossless here, but {wrong} pixels came back different")
        timing = Timing(
            encode=encode,
            decode=decode,
            repeats=repeats,
            warmup=warmed,
            threads=self._timing.threads,
            beside=self._timing.beside,
        )
        return Coded(
            bitstream,
            hashlib.sha256(bitstream).hexdigest(),
            reconstruction,
            pixels_digest(reconstruction),
            timing,
            artifacts,
        )

    def decode(self, bitstream: bytes, like: Pixels) -> Pixels:
        """Decode a stored bitstream of an image of the same size as ``like``."""
        reconstruction = self._decoder.decode(bitstream)
        _check_pixels(reconstruction, like)
        return reconstruction

    def _timed(self, call: Callable[[], T], warm_up: bool, check: Callable[[Any], None]) -> tuple[T, float, int, int]:
        """Return the first result, median seconds, and how many calls were counted and not counted."""
        result, first = self._once(call)
        check(result)
        seconds = [first]
        warmed = 0
        spent = first
        if warm_up and spent < self._timing.budget:
            seconds, warmed = [], 1
        while not seconds or (len(seconds) < self._timing.repeats and spent < self._timing.budget):
            again, duration = self._once(call)
            if self._encoder.deterministic and not _same(again, result):
                raise ContractError("says it is deterministic, but the same input gave two different results")
            seconds.append(duration)
            spent += duration
        return result, statistics.median(seconds), len(seconds), warmed

    def _once(self, call: Callable[[], T]) -> tuple[T, float]:
        synchronise(self._device)
        start = time.perf_counter()
        result = call()
        synchronise(self._device)
        return result, time.perf_counter() - start


def _same(one: object, other: object) -> bool:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return np.array_equal(one, other)
    return one == other


def _check_bitstream(value: Any) -> None:
    if not isinstance(value, bytes):
        raise ContractError(f"encode returned {type(value).__name__}, not bytes")


def _check_pixels(value: Any, original: Pixels) -> None:
    if not isinstance(value, np.ndarray) or value.dtype != np.uint8:
        kind = f"{value.dtype} array" if isinstance(value, np.ndarray) else type(value).__name__
        raise ContractError(f"decode returned {kind}, not a uint8 array")
    if value.shape != original.shape:
        raise ContractError(f"decode returned shape {value.shape} for an image of shape {original.shape}")
