"""What every metric owes at the edges of what pictures can be: tiny, narrow, flat, nearly flat, extreme, equal."""

from __future__ import annotations

import contextlib
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from qbench.contracts.context import Context
from qbench.contracts.metric import Candidates, Direction, Metric, Reference, Scope
from qbench.errors import NotApplicable
from qbench.execute.device import limit_threads
from qbench.execute.scoring import Values, score_batch
from qbench.images.image import Image, Pixels
from qbench.testing.promises import promised

TOLERANCE = 1e-5
"""How much a value may depend on the batch or on threads, relative to its size."""
SIDES = (1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 15, 16, 17, 31, 32, 33, 40, 41, 47, 48, 95, 96, 160, 161)
"""Of squares: around what windows, pyramids and networks ask for at the least."""
NARROW = ((1, 37), (29, 1), (20, 3000), (3000, 20))
HEIGHT, WIDTH = 200, 211
THREADS = (1, 2, 8)
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
    for shape in [(side, side) for side in SIDES] + list(NARROW):
        picture = _scene(np.random.default_rng(shape), *shape)
        with promised(f"{shape[1]}×{shape[0]} pixels"):
            _scored(metric, picture, {SAME: picture.copy(), "noise": _noisy(picture, 12)})
    passed(f"gives values in range, or says why not, for sizes from 1×1 to {NARROW[-1][0]}×{NARROW[-1][1]}")
    pictures = edge_pictures()
    best: set[float] = set()
    compared = 0
    for name, (original, others) in pictures.items():
        with promised(name):
            found = _scored(metric, original, others)
            again = _scored(metric, original, dict(reversed(others.items())))
            alone = {each: _scored(metric, original, {each: others[each]})[each] for each in others}
            for each, outcome in found.items():
                with promised(each):
                    _same(outcome, alone[each], "alone")
                    _same(outcome, again[each], "in another order")
                    _finite(cls, outcome, original, others[each])
                    compared += _as_the_formula(cls, outcome, formula, original, others[each], tolerance)
            same = found[SAME]
            if cls.scope is Scope.FULL_REFERENCE and not isinstance(same, NotApplicable):
                best.add(same[cls.columns[0].name])  # type: ignore[arg-type]  # the main column applies
    passed("values are finite, and the same in any batch and any order, for pictures that are flat, extreme or equal")
    if cls.scope is Scope.FULL_REFERENCE:
        _check_best(cls, best)
        passed("the original itself has the best value there is, exactly")
        _check_direction(cls, metric, *pictures["scene"])
        passed("much noise is no better than little")
    for name in ("text", "scene"):
        with promised(name):
            _check_threads(metric, *pictures[name])
    passed(f"values are the same with {', '.join(map(str, THREADS[:-1]))} and {THREADS[-1]} threads")
    if formula is not None:
        assert compared, "the formula gave nothing to compare with"
        passed(f"{compared} values are the formula's within {tolerance:g}")


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


def _scored(metric: Metric, original: Pixels, others: Mapping[str, Pixels]) -> dict[str, Values | NotApplicable]:
    reference = Reference("edge", Image(original))
    try:
        prepared = metric.prepare(reference)
    except NotApplicable as reason:
        if not reason.reason:
            raise AssertionError("not applicable without a reason") from reason
        return dict.fromkeys(others, reason)
    candidates = Candidates(reference, [Image(each) for each in others.values()], [100] * len(others))
    found: dict[str, Values | NotApplicable] = {}
    for name, outcome in zip(others, score_batch(metric, candidates, prepared), strict=True):
        if not isinstance(outcome, (dict, NotApplicable)):
            raise AssertionError(f"{name}: {outcome}")
        assert not isinstance(outcome, NotApplicable) or outcome.reason, f"{name}: not applicable without a reason"
        found[name] = outcome
    return found


def _close(one: Any, other: Any) -> bool:
    if isinstance(one, NotApplicable) or isinstance(other, NotApplicable):
        return isinstance(one, NotApplicable) and isinstance(other, NotApplicable)
    return one == other or math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE)


def _same(outcome: Values | NotApplicable, other: Values | NotApplicable, how: str) -> None:
    if isinstance(outcome, NotApplicable) or isinstance(other, NotApplicable):
        assert _close(outcome, other), f"applicable in a batch but not {how}, or the other way round"
        return
    for column, value in outcome.items():
        assert _close(value, other[column]), f"{column} is {value} in a batch, {other[column]} {how}"


def _finite(cls: type[Metric], outcome: Values | NotApplicable, original: Pixels, other: Pixels) -> None:
    if isinstance(outcome, NotApplicable) or np.array_equal(original, other):
        return
    for column in cls.columns:
        value = outcome[column.name]
        assert isinstance(value, NotApplicable) or math.isfinite(value), f"{column.name} is {value}"


def _as_the_formula(
    cls: type[Metric],
    outcome: Values | NotApplicable,
    formula: Formula | None,
    original: Pixels,
    other: Pixels,
    tolerance: float,
) -> int:
    if formula is None or isinstance(outcome, NotApplicable):
        return 0
    value, right = outcome[cls.columns[0].name], formula(original, other)
    if isinstance(value, NotApplicable) or math.isnan(right):
        return 0
    assert value == right or abs(value - right) <= tolerance * max(1.0, abs(right)), f"{value}, but {right} is right"
    return 1


def _check_best(cls: type[Metric], best: Sequence[float] | set[float]) -> None:
    column = cls.columns[0]
    bound = column.upper if column.direction is Direction.HIGHER else column.lower
    for value in best:
        assert bound is None or value == bound, f"{column.name} of the original itself is {value}, not {bound}"
    assert len(best) <= 1 or bound is None, f"{column.name} of originals themselves differs: {sorted(best)}"


def _check_direction(cls: type[Metric], metric: Metric, original: Pixels, others: Mapping[str, Pixels]) -> None:
    found = _scored(metric, original, {name: others[name] for name in (LITTLE, MUCH)})
    column = cls.columns[0]
    values = [each[column.name] for each in found.values() if not isinstance(each, NotApplicable)]
    if len(values) == 2 and not any(isinstance(each, NotApplicable) for each in values):
        little, much = (float(each) for each in values)  # type: ignore[arg-type]  # both apply
        right = much <= little if column.direction is Direction.HIGHER else much >= little
        assert right, f"{column.name} prefers much noise ({much}) to little ({little})"


def _check_threads(metric: Metric, original: Pixels, others: Mapping[str, Pixels]) -> None:
    found = []
    for count in THREADS:
        with _threads(count):
            found.append(_scored(metric, original, others))
    for count, each in zip(THREADS[1:], found[1:], strict=True):
        for name, outcome in each.items():
            with promised(name):
                _same(found[0][name], outcome, f"with {count} threads")


@contextlib.contextmanager
def _threads(count: int) -> Iterator[None]:
    before = dict(os.environ)
    torch = sys.modules.get("torch")
    now = torch.get_num_threads() if torch else 1
    limit_threads(count)
    try:
        yield
    finally:
        limit_threads(now)
        os.environ.clear()
        os.environ.update(before)
