"""A codec at one operating point: calls it, checks what it returns, and times it."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from qbench.contracts.artifact import Artifact
from qbench.contracts.codec import Codec, Complexity
from qbench.errors import NotApplicable
from qbench.execute.device import synchronise
from qbench.execute.work import ContractError, TimingPlan
from qbench.images.image import Image, PixelFormat
from qbench.records import CallTiming

T = TypeVar("T")
LONGEST_WARM_UP = 60.0
"""Seconds; a first call that takes longer counts, as making another would take as long."""


@dataclass(frozen=True)
class Encoded:
    """An encoded image."""

    bitstream: bytes
    timing: CallTiming
    artifacts: tuple[Artifact, ...] = ()


@dataclass(frozen=True)
class Decoded:
    """A decoded bitstream; the image can't be written to, and is nobody else's."""

    image: Image
    timing: CallTiming


class PointCoder:
    """The two instances of a codec at one operating point: one encodes, the other decodes.

    Every method raises ContractError when the codec breaks its contract, and otherwise whatever the codec raises.

    Attributes:
        batch_size: how many images the codec takes at once.
    """

    def __init__(self, make: Callable[[], Codec], timing: TimingPlan) -> None:
        self._encoder = make()
        self._decoder = make()
        self._timing = timing
        self._device = self._encoder.context.device if self._encoder.runs_on == "accelerator" else "cpu"
        self._cold = {self._encoder: True, self._decoder: True}
        ready: list[Codec] = []
        try:
            for codec in self._cold:
                codec.setup()
                ready.append(codec)
            self.batch_size = _checked_batch_size(self._encoder)
        except Exception:
            for codec in ready:
                with contextlib.suppress(Exception):  # the first failure is the one to report
                    codec.close()
            raise

    def close(self) -> Exception | None:
        """Let the codec release what it took; return what it raises, which must not keep others from the same."""
        failed = None
        for codec in self._cold:
            try:
                codec.close()
            except Exception as error:
                failed = error
        return failed

    @property
    def threads(self) -> int | None:
        """How many threads a call uses; None if the codec doesn't fix that."""
        return self._encoder.threads

    @property
    def deterministic(self) -> bool:
        """Whether the codec promises the same bytes at every call."""
        return self._encoder.deterministic

    @property
    def lossless(self) -> bool:
        """Whether the codec promises the very pixels back."""
        return self._encoder.lossless

    # -- timed ----------------------------------------------------------------------------------------------------

    def encode(self, image: Image) -> Encoded:
        """Encode an image."""
        self._accept(image)
        bitstream, timing = self._timed(self._encoder, lambda: self._encoder.encode(image), _bitstream)
        artifacts = _called("artifacts", lambda: tuple(self._encoder.artifacts()))
        check_artifacts("artifacts", artifacts)
        return Encoded(bitstream, timing, artifacts)

    def decode(self, bitstream: bytes, original: Image) -> Decoded:
        """Decode the bitstream of an image."""
        image, timing = self._timed(
            self._decoder,
            lambda: self._decoder.decode(bitstream),
            lambda made: _image(made, *_form(original)),
        )
        return Decoded(image, timing)

    def encode_batch(self, images: Sequence[Image]) -> list[Encoded]:
        """Encode several images in one call."""
        for image in images:
            self._accept(image)

        def taken(made: Any) -> list[bytes]:
            _check_count("encode_batch", made, "bitstreams", len(images), "images")
            return [_bitstream(bitstream) for bitstream in made]

        made, timing = self._timed(self._encoder, lambda: self._encoder.encode_batch(images), taken, len(images))
        return [Encoded(bitstream, timing) for bitstream in made]

    def decode_batch(self, bitstreams: Sequence[bytes], originals: Sequence[Image]) -> list[Decoded]:
        """Decode the bitstreams of several images in one call."""

        def taken(made: Any) -> list[Image]:
            _check_count("decode_batch", made, "images", len(bitstreams), "bitstreams")
            return [_image(image, *_form(original)) for image, original in zip(made, originals, strict=True)]

        count = len(bitstreams)
        made, timing = self._timed(self._decoder, lambda: self._decoder.decode_batch(bitstreams), taken, count)
        return [Decoded(image, timing) for image in made]

    # -- not timed ------------------------------------------------------------------------------------------------

    def try_out(self, image: Image) -> tuple[bytes, Image]:
        """Encode and decode an image once."""
        self._accept(image)
        bitstream = _bitstream(self._encoder.encode(image))
        return bitstream, self.decode_stored(bitstream, image.shape, image.format)

    def decode_stored(self, bitstream: bytes, shape: tuple[int, ...], form: PixelFormat | None) -> Image:
        """Decode a stored bitstream of an image of that shape and format, None if that is not known."""
        return _image(self._decoder.decode(bitstream), shape, form)

    def parts(self, bitstream: bytes) -> Mapping[str, int]:
        """Return the sizes of a bitstream's parts."""
        parts = _called("parts", lambda: dict(self._decoder.parts(bitstream)))
        for name, size in parts.items():
            if not isinstance(name, str) or not isinstance(size, int) or isinstance(size, bool) or size < 0:
                raise ContractError(f"parts says {name!r}: {size!r}; accepted: names and numbers of bytes")
        if parts and sum(parts.values()) != len(bitstream):
            raise ContractError(f"parts {parts} add up to {sum(parts.values())} bytes, not {len(bitstream)}")
        return parts

    def complexity(self, image: Image) -> Complexity | None:
        """Return what coding the image costs."""
        found = _called("complexity", lambda: self._decoder.complexity(image.height, image.width))
        if found is not None and not isinstance(found, Complexity):
            raise ContractError(f"complexity returned {type(found).__name__}, not a qbench.plugin.Complexity")
        for name, value in {} if found is None else vars(found).items():
            if value is not None and (not isinstance(value, int) or value < 0):
                raise ContractError(f"complexity says {name} is {value!r}; accepted: integers from 0, or None")
        return found

    # -- one call after the other -----------------------------------------------------------------------------------

    def _accept(self, image: Image) -> None:
        if not self._encoder.accepts(image.format):
            raise NotApplicable(f"{self._encoder.name} does not accept {image.format} images")

    def _timed(
        self, codec: Codec, call: Callable[[], Any], taken: Callable[[Any], T], batch: int = 1
    ) -> tuple[T, CallTiming]:
        """Call until there are enough timings, or the budget is spent; return the first result.

        The first call of an instance is a warm-up and not counted, unless it is not to be followed by another.

        Args:
            taken: checks what the codec returned, and makes it ours: its next call may change what it keeps.
        """
        cold, self._cold[codec] = self._cold[codec], False
        made, first = self._once(call)
        result = taken(made)
        seconds, warmup, spent = [first], 0, first
        if cold and first < LONGEST_WARM_UP and self._timing.repeats and self._timing.budget:
            seconds, warmup = [], 1
        while not seconds or (len(seconds) < self._timing.repeats and spent < self._timing.budget):
            again, duration = self._once(call)
            if codec.deterministic and not _same(taken(again), result):
                raise ContractError("declared deterministic, but the same input gave different results")
            seconds.append(duration)
            spent += duration
        median = statistics.median(seconds) / batch
        return result, CallTiming(seconds=median, repeats=len(seconds), warmup=warmup, batch=batch)

    def _once(self, call: Callable[[], T]) -> tuple[T, float]:
        synchronise(self._device)
        start = time.perf_counter()
        result = call()
        synchronise(self._device)
        return result, time.perf_counter() - start


UNTIMED = TimingPlan(repeats=1, budget=0.0, threads=1, concurrent_load="")
"""One call each."""


def check_artifacts(method: str, artifacts: Sequence[Any]) -> None:
    """Raise ContractError unless these are artifacts that can be written beside each other."""
    names = set()
    for artifact in artifacts:
        if not isinstance(artifact, Artifact):
            raise ContractError(f"{method} returned {type(artifact).__name__}, not a qbench.plugin.Artifact")
        if not isinstance(artifact.name, str) or not isinstance(artifact.data, bytes | bytearray | memoryview):
            raise ContractError(f"{method}: an artifact has a name that is text, and data that are bytes")
        if artifact.name in names:
            raise ContractError(f"{method} returned two artifacts named {artifact.name}")
        names.add(artifact.name)


def _checked_batch_size(codec: Codec) -> int:
    size = codec.batch_size
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise ContractError(f"batch_size is {size!r}; accepted: integers from 1")
    return size


def _called(method: str, call: Callable[[], T]) -> T:
    try:
        return call()
    except TypeError as error:
        raise ContractError(f"{method} returned something of another type than documented: {error}") from error


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Image) and isinstance(other, Image):
        return one.equals(other)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(_same(*pair) for pair in zip(one, other, strict=True))
    return bool(one == other)


def _check_count(method: str, made: Any, what: str, expected: int, given: str) -> None:
    if len(made) != expected:
        raise ContractError(f"{method} returned {len(made)} {what} for {expected} {given}")


def _bitstream(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise ContractError(f"encode returned {type(value).__name__}, not bytes")
    if not value:
        raise ContractError("encode returned no bytes")
    return value


def _form(image: Image) -> tuple[tuple[int, ...], PixelFormat]:
    return image.shape, image.format


def _image(value: Any, shape: tuple[int, ...], form: PixelFormat | None) -> Image:
    if not isinstance(value, Image):
        raise ContractError(f"decode returned {type(value).__name__}, not a qbench.plugin.Image")
    if value.shape != shape or value.format != (form or value.format):
        expected = f"{shape[1]}×{shape[0]}, {form or 'of any format'}"
        raise ContractError(f"decode returned {value} for an image of {expected}")
    return value.frozen()
