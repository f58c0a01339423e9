"""Coding to a target: the setting that comes nearest to it is looked for, image by image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from qbench.codec import Codec, Pixels
from qbench.errors import NotApplicable
from qbench.execute.coding import Coded, Encoded, PointCoder, TimingPlan
from qbench.plan import Target
from qbench.records import FoundSetting

Measure = Callable[[Pixels, Pixels, int], float]
"""From original, reconstruction and size of the bitstream to the value that is to come near to the target."""

MOST_TRIES = 16
CLOSE = 0.002
"""A value that is not whole is settled once what it reaches is this near, as a share of what is wanted."""
OUT_OF_REACH = 0.02
"""A target beyond the ends of the range is still reached if the end is this near."""


class TargetCoder:
    """A codec at an operating point whose setting follows from a target; in a :class:`PointCoder`'s place.

    Bisection, which takes what is measured to rise or fall with the setting. Every value is tried with instances of
    its own, which are kept: images tend to need the same ones.
    """

    batch_size = 1

    def __init__(
        self, target: Target, make: Callable[[dict[str, float]], Codec], measure: Measure, timing: TimingPlan
    ) -> None:
        """Prepare.

        Args:
            make: makes an instance of the codec, given the setting that is chosen.
            measure: measures what the target is about.
        """
        self._target = target
        self._make = make
        self._measure = measure
        self._timing = timing
        self._coders: dict[float, PointCoder] = {}

    def code(self, pixels: Pixels, encoded: Encoded | None = None) -> Coded:
        """Look for the setting, then code and time with it.

        Raises:
            NotApplicable: the target is out of the codec's reach for this image.
            Exception: whatever codec and metric raise.
        """
        target = self._target
        tried: dict[float, float] = {}

        def reached(value: float) -> float:
            if value not in tried:
                coder = self._coder(value)
                bitstream = coder.encode(pixels)
                tried[value] = self._measure(pixels, coder.decode(bitstream, pixels), len(bitstream))
            return tried[value]

        self._bisect(reached)
        value = min(tried, key=lambda candidate: abs(tried[candidate] - target.wanted))
        self._check(tried, value)
        found = FoundSetting(
            parameter=target.parameter,
            value=value,
            wanted=target.wanted,
            reached=tried[value],
            tries=len(tried),
        )
        return replace(self._coder(value).code(pixels), found=found)

    def decode(self, bitstream: bytes, like: Pixels) -> Pixels:
        """Decode a stored bitstream, whose setting no decoder must know."""
        return self._coder(self._target.accepted(self._target.values[0])).decode(bitstream, like)

    def encode_batch(self, images: Sequence[Pixels]) -> Sequence[Encoded]:
        """Never asked for: the batch size is 1."""
        raise NotImplementedError

    def _bisect(self, reached: Callable[[float], float]) -> None:
        """Try values until the nearest two are neighbours, or one is close enough."""
        target = self._target
        few, many = target.values
        for _ in range(MOST_TRIES - 2):
            if target.whole and abs(many - few) <= 1:
                break
            middle = target.accepted((few + many) / 2)
            value = reached(middle)
            if not target.whole and abs(value - target.wanted) <= CLOSE * abs(target.wanted):
                return
            if (value < target.wanted) == target.rising:
                few = middle
            else:
                many = middle
        for end in (few, many):
            reached(target.accepted(end))

    def _check(self, tried: Mapping[float, float], nearest: float) -> None:
        wanted, reached = self._target.wanted, tried[nearest]
        all_beyond = all(value > wanted for value in tried.values()) or all(value < wanted for value in tried.values())
        if all_beyond and abs(reached - wanted) > OUT_OF_REACH * max(abs(wanted), abs(reached)):
            raise NotApplicable(
                f"{self._target.name} {wanted:g} is out of reach: "
                f"{self._target.parameter} {nearest:g} already gives {reached:.4g}"
            )

    def _coder(self, value: float) -> PointCoder:
        if value not in self._coders:
            self._coders[value] = PointCoder(lambda: self._make({self._target.parameter: value}), self._timing)
        return self._coders[value]
