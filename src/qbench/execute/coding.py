"""Coding one cell: encode, decode with another instance, check the contract, time both."""

from __future__ import annotations

import hashlib
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from qbench.codec import Artifact, Codec, Pixels
from qbench.execute.device import synchronise
from qbench.image import pixels_digest
from qbench.records import FoundSetting, Timing

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
    found: FoundSetting | None = None


@dataclass(frozen=True)
class Encoded:
    """An encoded image, before it is decoded.

    Attributes:
        seconds: of one call, divided by the number of images that were encoded in it.
        repeats, warmup: calls that were counted, and not counted.
        batch: images that were encoded in one call.
    """

    bitstream: bytes
    seconds: float
    repeats: int
    warmup: int
    batch: int = 1
    artifacts: tuple[Artifact, ...] = ()


class PointCoder:
    """The two instances of a codec at one operating point: one encodes, the other decodes."""

    def __init__(self, make: Callable[[], Codec], timing: TimingPlan) -> None:
        self._encoder = make()
        self._decoder = make()
        self._timing = timing
        self._device = self._encoder.context.device if self._encoder.runs_on == "accelerator" else "cpu"
        self._cold_encoder = self._cold_decoder = True

    @property
    def batch_size(self) -> int:
        """How many images the codec takes at once."""
        return self._encoder.batch_size

    def encode_batch(self, images: Sequence[Pixels]) -> Sequence[Encoded]:
        """Encode several images in one call.

        Raises:
            ContractError: the codec broke its contract.
            Exception: whatever the codec raises.
        """
        warm_up, self._cold_encoder = self._cold_encoder, False

        def check(value: Any) -> None:
            if len(value) != len(images):
                raise ContractError(f"encode_batch returned {len(value)} bitstreams for {len(images)} images")
            for bitstream in value:
                _check_bitstream(bitstream)

        made, seconds, repeats, warmed = self._timed(lambda: self._encoder.encode_batch(images), warm_up, check)
        return [Encoded(bitstream, seconds / len(images), repeats, warmed, len(images)) for bitstream in made]

    def code(self, pixels: Pixels, encoded: Encoded | None = None) -> Coded:
        """Encode (unless that is done already) and decode an image.

        Raises:
            ContractError: the codec broke its contract.
            Exception: whatever the codec raises.
        """
        encoder = self._encoder
        encoded = encoded or self._encode(pixels)
        bitstream = encoded.bitstream
        warm_up, self._cold_decoder = self._cold_decoder, False
        reconstruction, decode, _, _ = self._timed(
            lambda: self._decoder.decode(bitstream), warm_up, lambda value: _check_pixels(value, pixels)
        )
        if encoder.lossless and not np.array_equal(reconstruction, pixels):
            wrong = int(np.any(reconstruction != pixels, axis=2).sum())
            raise ContractError(f"says it is lossless here, but {wrong} pixels came back different")
        timing = Timing(
            encode=encoded.seconds,
            decode=decode,
            repeats=encoded.repeats,
            warmup=encoded.warmup,
            threads=self._timing.threads,
            beside=self._timing.beside,
            batch=encoded.batch,
        )
        return Coded(
            bitstream,
            hashlib.sha256(bitstream).hexdigest(),
            reconstruction,
            pixels_digest(reconstruction),
            timing,
            encoded.artifacts,
        )

    def encode(self, pixels: Pixels) -> bytes:
        """Encode without timing it.

        Raises:
            ContractError: the codec broke its contract.
        """
        bitstream = self._encoder.encode(pixels)
        _check_bitstream(bitstream)
        return bitstream

    def decode(self, bitstream: bytes, like: Pixels) -> Pixels:
        """Decode a stored bitstream of an image of the same size as ``like``."""
        reconstruction = self._decoder.decode(bitstream)
        _check_pixels(reconstruction, like)
        return reconstruction

    def _encode(self, pixels: Pixels) -> Encoded:
        warm_up, self._cold_encoder = self._cold_encoder, False
        encoder = self._encoder
        bitstream, seconds, repeats, warmed = self._timed(lambda: encoder.encode(pixels), warm_up, _check_bitstream)
        artifacts = tuple(encoder.artifacts())
        if not all(isinstance(artifact, Artifact) for artifact in artifacts):
            raise ContractError("artifacts returned something that is no qbench.Artifact")
        return Encoded(bitstream, seconds, repeats, warmed, artifacts=artifacts)

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
