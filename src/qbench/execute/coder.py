"""A codec at one operating point: calls it, checks what it returns, and times it."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter  # as it is now, whatever a plugin puts in its place
from typing import Any, TypeVar

from qbench.contracts.artifact import Artifact
from qbench.contracts.codec import Codec, Complexity
from qbench.errors import NotApplicable
from qbench.execute.accelerators import synchronise
from qbench.execute.work import ContractError, TimingPlan
from qbench.images.image import Image, PixelFormat
from qbench.records import CallTiming
from qbench.toolkit.common_work import charging

T = TypeVar("T")
Form = tuple[tuple[int, ...], PixelFormat]
"""Shape and format."""
Size = tuple[int, ...]
"""How many images, and the shape of the first."""
OTHER_BYTES = "declared deterministic, but the same image gave different bytes"
OTHER_PIXELS = "decode gave other pixels than the first time"
MOST_PARTS = 100
"""That a bitstream is said to consist of; each becomes a column of exports."""
LONGEST_WARM_UP = 20.0
"""Seconds; a first call that takes longer counts, as making another would take as long."""
LONGEST_CHECK = 2.0
"""Seconds; a first call that takes longer is not repeated only to see whether its result is the same."""


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


class _PointInstance:
    """One instance of a codec at one operating point.

    Every method raises ContractError when the codec breaks its contract, and otherwise whatever the codec raises.

    Args:
        coded: sizes that the codec has coded in this process, at whatever operating point: that has set up what takes
            longest to set up. An accelerator sets up for each size anew.
    """

    def __init__(self, make: Callable[[], Codec], timing: TimingPlan, *, coded: set[Size] | None = None) -> None:
        self._codec = make()
        self._timing = timing
        self._coded = set() if coded is None else coded
        self._broken = ""
        self._device = self._codec.context.device if self._codec.runs_on == "accelerator" else "cpu"
        self._warm: set[Size] = set()
        self._codec.setup()

    def close(self) -> None:
        """Let the codec release what it took."""
        self._codec.close()

    def _timed(
        self,
        call: Callable[[], Any],
        taken: Callable[[Any], T],
        shape: tuple[int, ...],
        *,
        varies: str,
        twice: bool = False,
        batch: int = 1,
    ) -> tuple[T, CallTiming]:
        """Call until there are enough timings, or the budget is spent; return the first result.

        The first call of an instance (on an accelerator, of each size) is a warm-up and not counted, unless it is not
        to be followed by another: where there is no budget, where it takes very long, and where it exceeds the budget
        although the codec is prepared.

        Args:
            shape: of the image.
            taken: checks what the codec returned, and makes it ours: its next call may change what it keeps.
            varies: what to say where calls give different results; empty if they may.
            twice: whether an instance's first input is tried twice at least, unless that takes very long. It is, too,
                where the warm-up is left out, unless that takes long.
        """
        if self._broken:  # once is enough to know that its results can't be relied on
            raise ContractError(self._broken)
        size = (batch, *shape)
        on_processor = self._device == "cpu"
        cold = not self._warm if on_processor else size not in self._warm
        prepared = bool(self._coded) if on_processor else size in self._coded
        self._warm.add(size)
        self._coded.add(size)
        made, first = self._once(call)
        result = taken(made)
        seconds, warmup, spent = [first], 0, first
        short = first < LONGEST_WARM_UP
        if cold and self._timing.budget and first < (self._timing.budget if prepared else LONGEST_WARM_UP):
            seconds, warmup = [], 1
        while not seconds or (len(seconds) < self._timing.repeats and spent < self._timing.budget):
            again, duration = self._once(call, anew=True)
            self._compare(taken(again), result, varies)
            seconds.append(duration)
            spent += duration
        unwarmed = self._timing.budget and not warmup and first < LONGEST_CHECK
        if cold and ((short and twice) or unwarmed) and warmup + len(seconds) == 1:
            self._compare(taken(self._once(call, anew=True)[0]), result, varies)
        median = statistics.median(seconds) / batch
        first_call = cold and not warmup
        return result, CallTiming(seconds=median, repeats=len(seconds), warmup=warmup, batch=batch, first=first_call)

    def _compare(self, again: Any, result: Any, varies: str) -> None:
        if varies and not _same(again, result):
            self._broken = varies
            raise ContractError(varies)

    def _once(self, call: Callable[[], T], *, anew: bool = False) -> tuple[T, float]:
        """Call; return what came of it, and seconds: what it owes for work that it has in common with others included.

        Args:
            anew: have it do that work, too.
        """
        with charging(anew=anew) as charges:
            synchronise(self._device)
            start = perf_counter()
            result = call()
            synchronise(self._device)
            return result, perf_counter() - start + charges.seconds


class PointEncoder(_PointInstance):
    """The instance of a codec that encodes.

    Attributes:
        batch_size: how many images the codec takes at once.
    """

    def __init__(self, make: Callable[[], Codec], timing: TimingPlan, *, coded: set[Size] | None = None) -> None:
        super().__init__(make, timing, coded=coded)
        try:
            self.batch_size = _checked_batch_size(self._codec)
        except Exception:
            with contextlib.suppress(Exception):  # the first failure is the one to report
                self._codec.close()
            raise

    @property
    def threads(self) -> int | None:
        """How many threads a call uses; None if the codec doesn't fix that."""
        return self._codec.threads

    @property
    def deterministic(self) -> bool:
        """Whether the codec promises the same bytes at every call."""
        return self._codec.deterministic

    @property
    def lossless(self) -> bool:
        """Whether the codec promises the very pixels back."""
        return self._codec.lossless

    def encode(self, image: Image) -> Encoded:
        """Encode an image."""
        self._accept(image)
        bitstream, timing = self._timed(lambda: self._codec.encode(image), _bitstream, image.shape, varies=self._varies)
        artifacts = _called("artifacts", lambda: tuple(self._codec.artifacts()))
        return Encoded(bitstream, timing, checked_artifacts("artifacts", artifacts))

    def encode_batch(self, images: Sequence[Image]) -> list[Encoded]:
        """Encode several images in one call."""
        for image in images:
            self._accept(image)

        def taken(made: Any) -> list[bytes]:
            _check_count("encode_batch", made, "bitstreams", len(images), "images")
            return [_bitstream(bitstream) for bitstream in made]

        made, timing = self._timed(
            lambda: self._codec.encode_batch(images), taken, images[0].shape, varies=self._varies, batch=len(images)
        )
        return [Encoded(bitstream, timing) for bitstream in made]

    def try_out(self, image: Image) -> bytes:
        """Encode an image once, untimed."""
        self._accept(image)
        return _bitstream(self._codec.encode(image))

    @property
    def _varies(self) -> str:
        return OTHER_BYTES if self._codec.deterministic else ""

    def _accept(self, image: Image) -> None:
        if not self._codec.accepts(image.format):
            raise NotApplicable(f"{self._codec.name} does not accept {image.format} images")


class PointDecoder(_PointInstance):
    """The instance of a codec that decodes. It is told nothing but bitstreams, and what size of image is expected."""

    def decode(self, bitstream: bytes, form: Form) -> Decoded:
        """Decode a bitstream into an image of the original's form; the same one at every call."""
        image, timing = self._timed(
            lambda: self._codec.decode(bitstream),
            lambda made: _image(made, *form),
            form[0],
            varies=OTHER_PIXELS,
            twice=True,
        )
        return Decoded(image, timing)

    def decode_batch(self, bitstreams: Sequence[bytes], forms: Sequence[Form]) -> list[Decoded]:
        """Decode several bitstreams in one call."""

        def taken(made: Any) -> list[Image]:
            _check_count("decode_batch", made, "images", len(bitstreams), "bitstreams")
            return [_image(image, *form) for image, form in zip(made, forms, strict=True)]

        made, timing = self._timed(
            lambda: self._codec.decode_batch(bitstreams),
            taken,
            forms[0][0],
            varies=OTHER_PIXELS,
            batch=len(bitstreams),
        )
        if not made[0].equals(self.decode_stored(bitstreams[0], *forms[0])):
            raise ContractError("decode_batch and decode return different pixels")
        return [Decoded(image, timing) for image in made]

    def decode_stored(self, bitstream: bytes, shape: tuple[int, ...], form: PixelFormat | None) -> Image:
        """Decode a bitstream once, untimed, of an image of that shape and format, None if that is not known."""
        return _image(self._codec.decode(bitstream), shape, form)

    def parts(self, bitstream: bytes) -> Mapping[str, int]:
        """Return the sizes of a bitstream's parts."""
        parts = _called("parts", lambda: dict(self._codec.parts(bitstream)))
        if len(parts) > MOST_PARTS:
            raise ContractError(f"parts names {len(parts)} parts; accepted: up to {MOST_PARTS}")
        for name, size in parts.items():
            if (
                not (isinstance(name, str) and name.isprintable())
                or not isinstance(size, int)
                or isinstance(size, bool)
                or size < 0
            ):
                raise ContractError(f"parts says {name!r}: {size!r}; accepted: names and numbers of bytes")
        if parts and sum(parts.values()) != len(bitstream):
            raise ContractError(f"parts {parts} add up to {sum(parts.values())} bytes, not {len(bitstream)}")
        return {str(name): int(size) for name, size in parts.items()}

    def complexity(self, height: int, width: int) -> Complexity | None:
        """Return what coding an image of that size costs."""
        found = _called("complexity", lambda: self._codec.complexity(height, width))
        if found is not None and not isinstance(found, Complexity):
            raise ContractError(f"complexity returned {type(found).__name__}, not a qbench.plugin.Complexity")
        for name, value in {} if found is None else vars(found).items():
            if value is not None and (not isinstance(value, int) or not 0 <= value < 2**63):
                shown = value if not isinstance(value, int) or abs(value) < 2**64 else "beyond 64 bits"
                raise ContractError(f"complexity says {name} is {shown}; accepted: integers from 0, or None")
        return found and Complexity(
            **{name: None if value is None else int(value) for name, value in vars(found).items()}
        )


def form_of(image: Image) -> Form:
    """Return what a decoder is told of the image that is expected of it."""
    return image.shape, image.format


UNTIMED = TimingPlan(repeats=1, budget=0.0, threads=1, concurrent_load="")
"""One call each."""


def checked_artifacts(method: str, artifacts: Sequence[Any]) -> tuple[Artifact, ...]:
    """Return artifacts of plain text and bytes.

    Raises:
        ContractError: they are something else, or can't be written beside each other.
    """
    names = set()
    for artifact in artifacts:
        if not isinstance(artifact, Artifact):
            raise ContractError(f"{method} returned {type(artifact).__name__}, not a qbench.plugin.Artifact")
        if not isinstance(artifact.name, str) or not isinstance(artifact.data, bytes | bytearray | memoryview):
            raise ContractError(f"{method}: an artifact has a name that is text, and data that are bytes")
        if not artifact.name.isprintable():  # nor can surrogates be
            raise ContractError(f"{method}: an artifact's name has characters that can't be printed")
        if artifact.name in names:
            raise ContractError(f"{method} returned two artifacts named {artifact.name}")
        names.add(artifact.name)
    return tuple(Artifact(str(each.name), bytes(each.data), str(each.summary)) for each in artifacts)


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
    plain = bytes(memoryview(value))  # not a plugin's own kind of bytes, which may say anything of themselves
    if not plain:
        raise ContractError("encode returned no bytes")
    return plain


def _image(value: Any, shape: tuple[int, ...], form: PixelFormat | None) -> Image:
    if not isinstance(value, Image):
        raise ContractError(f"decode returned {type(value).__name__}, not a qbench.plugin.Image")
    if value.shape != shape or value.format != (form or value.format):
        expected = f"{shape[1]}×{shape[0]}, {form or 'of any format'}"
        raise ContractError(f"decode returned {value} for an image of {expected}")
    return value.frozen()
