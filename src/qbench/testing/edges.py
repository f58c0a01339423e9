"""What every metric owes at the edges of what pictures can be: tiny, narrow, flat, nearly flat, extreme, equal."""

from __future__ import annotations

import contextlib
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from qbench.contracts.context import Context
from qbench.contracts.metric import Candidates, Column, Direction, Metric, Reference, Scope
from qbench.errors import NotApplicable
from qbench.execute.cores import limit_threads
from qbench.execute.scoring import Values, score_batch
from qbench.images.image import Image, Pixels
from qbench.testing.promises import promised, require_same

SIDES = (1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 15, 16, 17, 31, 32, 33, 40, 41, 47, 48, 95, 96, 160, 161)
"""Of squares: around what windows, pyramids and networks ask for at the least."""
NARROW = ((1, 37), (29, 1), (20, 3000), (3000, 20))
HEIGHT, WIDTH = 200, 211
THREADS = (1, 2, 8)
LEAST_JUDGED = 16
"""Shorter side from which a metric must tell much noise from little."""
SAME = "the original"
LITTLE, MUCH = "little noise", "much noise"
Formula = Callable[[Pixels, Pixels], float]


def edge_pictures() -> dict[str, tuple[Pixels, dict[str, Pixels]]]:
    """Return originals by name, uint8 H×W×3, each with reconstructions by name; the same at every call."""
    rng = np.random.default_rng(20261130)
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    noise = rng.integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    board = np.repeat((((rows + columns) % 2) * 255).astype(np.uint8)[..., None], 3, axis=2)
    ramp = np.repeat((columns * 6 // WIDTH).astype(np.uint8)[..., None], 3, axis=2)
    scene = _scene(rng)
    page = _flat(250, 245, 230)
    page[10:-10:9, 8:-8] = rng.integers(20, 90, (len(range(10, HEIGHT - 10, 9)), WIDTH - 16, 1))
    found: dict[str, tuple[Pixels, dict[str, Pixels]]] = {
        "white": (_flat(255), {"a level less": _flat(254), "one sample off": _off(_flat(255)), "black": _flat(0)}),
        "black": (_flat(0), {"a level more": _flat(1), "one sample off": _off(_flat(0)), "white": _flat(255)}),
        "grey": (_flat(128), {"a level less": _flat(127), "checkerboard": board, "noise": noise}),
        "cream": (_flat(250, 240, 230), {"a level less": _flat(249, 239, 229), "nearly": _flat(250, 241, 229)}),
        "one sample off white": (_off(_flat(255)), {"white": _flat(255)}),
        "checkerboard": (board, {"negative": 255 - board, "grey": _flat(128), "one sample off": _off(board)}),
        "noise": (noise, {"moved": np.roll(noise, 3, axis=1), "negative": 255 - noise, "one sample off": _off(noise)}),
        "nearly black": (ramp, {"a level more": ramp + 1, "one sample off": _off(ramp)}),
        "nearly white": (255 - ramp, {"a level less": 254 - ramp, "one sample off": _off(255 - ramp)}),
        "text": (page, {"faint noise": _noisy(page, 0.6), "noise": _noisy(page, 20)}),
        "half flat": (_half(noise, _flat(200)), {"flat half off": _half(noise, _flat(199))}),
        "scene": (
            scene,
            {LITTLE: _noisy(scene, 1.5), "noise": _noisy(scene, 8), MUCH: _noisy(scene, 60), "negative": 255 - scene},
        ),
    }
    return {name: (one, {SAME: one.copy(), **others}) for name, (one, others) in found.items()}


def check_metric_at_edges(
    cls: type[Metric],
    *,
    parameters: Mapping[str, Any] | None = None,
    formula: Formula | None = None,
    tolerance: float = 1e-4,
    passed: Callable[[str], None] = lambda promise: None,
) -> None:
    """Check a metric on pictures that formulas and programs come to grief on.

    Of any size it gives values in range, or says why it can't. Values are finite but where a reconstruction is the
    original itself, for which the main column has its best value, exactly. They are the same alone and in any batch, in
    any order, and with 1, 2 and 8 threads, and much noise is no better than little.

    Args:
        formula: the main column of two pictures, uint8 H×W×3, computed by something else in float64. Where it is NaN,
            or the metric not applicable, they aren't compared.
        tolerance: how far they may be apart, relative to values above 1.
        passed: called with each promise once it is seen to be kept.

    Raises:
        AssertionError: which promise was broken, on which picture.
    """
    metric = cls(cls.Parameters.model_validate(dict(parameters or {})), Context())
    check = _Checks(cls, metric, formula, tolerance)
    for shape in [(side, side) for side in SIDES] + list(NARROW):
        picture = _scene(np.random.default_rng(shape), *shape)
        others = {SAME: picture.copy(), LITTLE: _noisy(picture, 1.5), MUCH: _noisy(picture, 60)}
        with promised(f"{shape[1]}×{shape[0]} pixels"):
            check.picture(picture, others)
    passed(f"gives values in range, or says why not, for sizes from 1×1 to {NARROW[-1][1]}×{NARROW[-1][0]}")
    pictures = edge_pictures()
    for name, (original, others) in pictures.items():
        with promised(name):
            check.picture(original, others)
    assert check.applicable, "not applicable to any picture"
    passed("values are finite, and the same in any batch and any order, for pictures that are flat, extreme or equal")
    if cls.scope is Scope.FULL_REFERENCE:
        check.best_is_the_same()
        passed("the original itself has the best value there is, exactly, and much noise is no better than little")
    for name in ("text", "scene"):
        with promised(name):
            check.threads(*pictures[name])
    passed(f"values are the same with {', '.join(map(str, THREADS[:-1]))} and {THREADS[-1]} threads")
    if formula is not None:
        assert check.compared, "the formula gave nothing to compare with"
        passed(f"{check.compared} values are the formula's within {tolerance:g}")


@dataclass
class _Checks:
    cls: type[Metric]
    metric: Metric
    formula: Formula | None
    tolerance: float
    best: set[float] = field(default_factory=set)
    applicable: int = 0
    compared: int = 0

    def picture(self, original: Pixels, others: Mapping[str, Pixels]) -> None:
        """Check everything that one original and its reconstructions can show."""
        found = self.scored(original, others)
        again = self.scored(original, dict(reversed(list(others.items()))))
        for name, outcome in found.items():
            with promised(name):
                require_same(outcome, self.scored(original, {name: others[name]})[name], "alone")
                require_same(outcome, again[name], "in another order")
                if not isinstance(outcome, NotApplicable):
                    self.applicable += 1
                    self._in_range(outcome, identical=np.array_equal(original, others[name]))
                    self._as_the_formula(outcome, original, others[name])
        if self.cls.scope is not Scope.FULL_REFERENCE:
            return
        own = self._main(found[SAME])
        if own is not None:
            self.best.add(own)
            bound = self._bound
            assert bound is None or own == bound, f"{self._column.name} of the original itself is {own}, not {bound}"
        little, much = (self._main(found[name]) if name in found else None for name in (LITTLE, MUCH))
        if little is not None and much is not None and min(original.shape[:2]) >= LEAST_JUDGED:
            right = much <= little if self._column.direction is Direction.HIGHER else much >= little
            assert right, f"{self._column.name} prefers much noise ({much}) to little ({little})"

    def best_is_the_same(self) -> None:
        """Check that every original is as good a reconstruction of itself as any other."""
        assert len(self.best) <= 1, f"{self._column.name} of originals themselves differs: {sorted(self.best)}"

    def threads(self, original: Pixels, others: Mapping[str, Pixels]) -> None:
        """Check that the number of threads decides nothing."""
        found = []
        for count in THREADS:
            with _threads(count):
                found.append(self.scored(original, others))
        for count, each in zip(THREADS[1:], found[1:], strict=True):
            for name, outcome in each.items():
                with promised(name):
                    require_same(found[0][name], outcome, f"with {count} threads")

    def scored(self, original: Pixels, others: Mapping[str, Pixels]) -> dict[str, Values | NotApplicable]:
        """Score reconstructions in one batch."""
        reference = Reference("edge", Image(original))
        try:
            prepared = self.metric.prepare(reference)
        except NotApplicable as reason:
            if not reason.reason:
                raise AssertionError("not applicable without a reason") from reason
            return dict.fromkeys(others, reason)
        except Exception as error:
            raise AssertionError(f"prepare raised {type(error).__name__}: {error}") from error
        candidates = Candidates(reference, [Image(each) for each in others.values()], [100] * len(others))
        found: dict[str, Values | NotApplicable] = {}
        try:
            outcomes = list(score_batch(self.metric, candidates, prepared))
        except Exception as error:
            raise AssertionError(f"score raised {type(error).__name__}: {error}") from error
        for name, outcome in zip(others, outcomes, strict=True):
            if not isinstance(outcome, (dict, NotApplicable)):
                raise AssertionError(f"{name}: {type(outcome).__name__}: {outcome}")
            assert not isinstance(outcome, NotApplicable) or outcome.reason, f"{name}: not applicable without a reason"
            found[name] = outcome
        return found

    @property
    def _column(self) -> Column:
        return self.cls.columns[0]

    @property
    def _bound(self) -> float | None:
        return self._column.upper if self._column.direction is Direction.HIGHER else self._column.lower

    def _main(self, outcome: Values | NotApplicable) -> float | None:
        """Return the value of the main column, where there is one."""
        value = outcome if isinstance(outcome, NotApplicable) else outcome[self._column.name]
        return None if isinstance(value, NotApplicable) else value

    def _in_range(self, outcome: Values, *, identical: bool) -> None:
        """Check bounds without the allowance for rounding that a run makes."""
        for column in self.cls.columns:
            value = outcome[column.name]
            if isinstance(value, NotApplicable):
                continue
            assert identical or math.isfinite(value), f"{column.name} is {value}"
            assert column.lower is None or value >= column.lower, f"{column.name} is {value!r}, below {column.lower}"
            assert column.upper is None or value <= column.upper, f"{column.name} is {value!r}, above {column.upper}"
            assert value != 0 or math.copysign(1, value) > 0, f"{column.name} is -0.0"

    def _as_the_formula(self, outcome: Values, original: Pixels, other: Pixels) -> None:
        value = self._main(outcome)
        right = math.nan if self.formula is None or value is None else self.formula(original, other)
        if value is None or math.isnan(right):
            return
        near = value == right or abs(value - right) <= self.tolerance * max(1.0, abs(right))
        assert near, f"{value}, but {right} is right"
        self.compared += 1


def _flat(*levels: int) -> Pixels:
    return np.full((HEIGHT, WIDTH, 3), levels if len(levels) > 1 else levels * 3, np.uint8)


def _off(image: Pixels) -> Pixels:
    """Change one sample by one level."""
    changed = image.copy()
    row, column = min(120, image.shape[0] - 1), min(77, image.shape[1] - 1)
    level = int(changed[row, column, 1])
    changed[row, column, 1] = level + 1 if level < 255 else level - 1
    return changed


def _half(upper: Pixels, lower: Pixels) -> Pixels:
    middle = upper.shape[0] // 2
    return np.concatenate([upper[:middle], lower[middle:]])


def _noisy(image: Pixels, deviation: float) -> Pixels:
    noise = np.random.default_rng(7).normal(0, deviation, image.shape)
    found: Pixels = np.clip(image + noise, 0, 255).round().astype(np.uint8)
    return found


def _scene(rng: np.random.Generator, height: int = HEIGHT, width: int = WIDTH) -> Pixels:
    """Draw something with smooth parts, edges, texture and colours."""
    rows, columns = np.mgrid[0:height, 0:width]
    planes = []
    for _ in range(3):
        phase, *periods = rng.uniform(5, 40, 3)
        smooth = 120 + 60 * np.sin((rows + phase) / periods[0]) * np.cos(columns / periods[1])
        edges = 50 * ((rows // 23 + columns // 31) % 2)
        planes.append(smooth + edges + rng.normal(0, 4, (height, width)))
    found: Pixels = np.clip(np.stack(planes, axis=2), 0, 255).astype(np.uint8)
    return found


@contextlib.contextmanager
def _threads(count: int) -> Iterator[None]:
    """Let libraries use so many threads: BLAS, OpenMP, torch, OpenCV, and Numba as far as it was started with them."""
    before = dict(os.environ)
    torch, numba = sys.modules.get("torch"), sys.modules.get("numba")
    now = torch.get_num_threads() if torch else 1
    kernels = numba.get_num_threads() if numba else 1
    limit_threads(count)
    if numba:
        numba.set_num_threads(min(count, numba.config.NUMBA_NUM_THREADS))
    try:
        with threadpool_limits(count):
            yield
    finally:
        limit_threads(now)
        if numba:
            numba.set_num_threads(kernels)
        os.environ.clear()
        os.environ.update(before)
