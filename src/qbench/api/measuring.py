"""Scores of images that are there already: two files, two folders, arrays."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from qbench.api.arguments import names
from qbench.contracts.context import Context
from qbench.contracts.metric import Column, Scope, column_id
from qbench.errors import ImageError, NotApplicable, QbenchError, shown
from qbench.execute.accelerators import exactly, resolve_device
from qbench.execute.coder import UNTIMED
from qbench.execute.desks import ScoringDesk
from qbench.images.image import Image
from qbench.images.reading import read_image
from qbench.planning.making import plan_metric, require_distinct
from qbench.planning.types import PlannedMetric
from qbench.registry.registry import Registry, registry_with
from qbench.suite.images import images_in
from qbench.suite.load import load_metrics

Given = Any
"""An image: a path, an array (uint8, H×W×3 or H×W), a Pillow image, or a :class:`qbench.Image`."""
WHOLE = "all images"
"""In place of an image's name, of metrics that have one value of a set."""


@dataclass(frozen=True)
class Pair:
    """Two images that are to be compared.

    Attributes:
        name: of the image; ``distorted`` and ``reference`` what the two are called.
        read, read_reference: give the images.
        size: bytes of the distorted image's file; None where there is none.
    """

    name: str
    reference: str
    distorted: str
    read_reference: Callable[[], Image]
    read: Callable[[], Image]
    size: int | None = None


@dataclass(frozen=True)
class Measured:
    """The scores of a pair, or of a set of pairs by metrics of distributions.

    Attributes:
        values: column → value; None where there is none.
        reasons: column → why not.
    """

    name: str
    reference: str
    distorted: str
    values: Mapping[str, float | None]
    reasons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Measurement:
    """What :func:`measure_pairs` found.

    Attributes:
        columns: by name, in the order of the metrics.
        rows: a row for each pair, then one for each set where a metric is of distributions.
        failures: what failed, with its traceback.
        notes: what was converted when images were read.
    """

    columns: Mapping[str, Column]
    rows: tuple[Measured, ...]
    failures: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def means(self) -> dict[str, Measured]:
        """Set of distorted images → means over its pairs, where there are several."""
        sets: dict[str, list[Measured]] = {}
        for row in self.rows:
            if row.name != WHOLE:
                sets.setdefault(_set_of(row), []).append(row)
        found = {}
        for name, rows in sets.items():
            if len(rows) > 1:
                values = {column: _mean([row.values.get(column) for row in rows]) for column in self.columns}
                found[name] = Measured("mean", _folder(rows[0].reference), name, values)
        return found


def _set_of(row: Measured) -> str:
    return _folder(row.distorted)


def _folder(name: str) -> str:
    parent = str(Path(name).parent)
    return name if parent == "." else parent


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if len(known) == len(values) else None


def measure(
    reference: Given | Sequence[Given],
    distorted: Given | Sequence[Given],
    metrics: str | Sequence[str] = (),
    *,
    device: str = "auto",
    profile: str = "bundled",
    registry: Registry | None = None,
    plugins: Sequence[str | Path] = (),
) -> dict[str, float | None] | list[dict[str, float | None]]:
    """Score images that are there already: ``qbench.measure("ref.png", "dis.png", ["psnr", "ssim"])``.

    Args:
        reference: an image, or as many as there are distorted ones.
        distorted: an image, or a list of them.
        metrics: names; by default those that are customary.
        device: as for :func:`qbench.run`.
        profile: which weights, as a suite's.
        registry: instead of what is installed.
        plugins: files that are plugins, besides.

    Returns:
        Column → value; for a list of distorted images a list of these. A value is None where a metric does not apply.
        Metrics of distributions need a list, and are in none of these: see :func:`measure_pairs`.

    Raises:
        QbenchError: no such metric, an image can't be read, or sizes differ.
        PluginError: a metric fails.
    """
    several = isinstance(distorted, (list, tuple))
    references = list(reference) if isinstance(reference, (list, tuple)) else [reference]
    images = list(distorted) if several else [distorted]
    if len(references) not in (1, len(images)):
        raise QbenchError(f"{len(references)} references for {len(images)} images; accepted: one, or as many")
    pairs = []
    for index, given in enumerate(images):
        original = references[index if len(references) > 1 else 0]
        called, other = _called(original, "reference"), _called(given, "distorted image")
        size = Path(given).stat().st_size if isinstance(given, (str, Path)) and Path(given).is_file() else None
        pairs.append(
            Pair(str(index), called, other, partial(as_image, original, called), partial(as_image, given, other), size)
        )
    found = measure_pairs(pairs, metrics, device=device, profile=profile, registry=registry, plugins=plugins)
    if found.failures:
        raise QbenchError(found.failures[0])
    rows = [dict(row.values) for row in found.rows if row.name != WHOLE]
    return rows if several else rows[0]


def _called(given: Given, otherwise: str) -> str:
    return str(given) if isinstance(given, (str, Path)) else otherwise


def as_image(given: Any, called: str = "image") -> Image:
    """Return an image of a file, of an array, of a Pillow image, or as it is.

    Raises:
        ImageError: the file can't be read, the array is not of whole numbers from 0 to 255, or has another shape.
    """
    if isinstance(given, Image):
        return given
    if isinstance(given, (str, Path)):
        return read_image(given)
    if hasattr(given, "convert") and hasattr(given, "mode"):
        if given.mode not in ("RGB", "L", "1", "P"):
            raise ImageError(
                f"{called}: a Pillow image of mode {given.mode}; accepted: RGB or L, or the path of a file"
            )
        given = given.convert("RGB")
    array = np.asarray(given)
    if array.dtype != np.uint8:
        raise ImageError(f"{called}: an array of {array.dtype}; accepted: uint8, from 0 to 255")
    if array.ndim == 2:
        array = np.repeat(array[:, :, None], 3, axis=2)
    if array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
        raise ImageError(f"{called}: an array of shape {array.shape}; accepted: H×W×3, or H×W")
    return Image(np.ascontiguousarray(array))


def pairs_of(reference: str | Path, distorted: Sequence[str | Path]) -> list[Pair]:
    """Return the pairs of a file and other files, or of a folder and other folders, by the names of their images.

    Raises:
        QbenchError: something is not there, a folder is given with a file, or images have no partner; they are named.
    """
    first = Path(reference)
    if not distorted:
        raise QbenchError("nothing to compare with: name a reference, then one or more distorted images or folders")
    for path in (first, *map(Path, distorted)):
        if not path.exists():
            raise QbenchError(f"{shown(path)}: no such file or folder")
    kinds = {path: path.is_dir() for path in (first, *map(Path, distorted))}
    if len(set(kinds.values())) > 1:
        folders = [str(path) for path, is_folder in kinds.items() if is_folder]
        raise QbenchError(f"{shown(folders[0])}: a folder, and others are files; accepted: all files, or all folders")
    if not kinds[first]:
        return [_pair(Path(each).stem, first, Path(each)) for each in distorted]
    originals = _by_stem(first)
    pairs = []
    for each in map(Path, distorted):
        images = _by_stem(each)
        alone = [f"{first / originals[stem].name}" for stem in originals if stem not in images]
        alone += [f"{each / images[stem].name}" for stem in images if stem not in originals]
        if alone:
            more = f" and {len(alone) - 6} more" if len(alone) > 6 else ""
            raise QbenchError(f"without a partner of that name: {', '.join(map(shown, alone[:6]))}{more}")
        pairs += [_pair(stem, originals[stem], images[stem]) for stem in originals]
    return pairs


def _pair(name: str, reference: Path, distorted: Path) -> Pair:
    called, other = str(reference), str(distorted)
    size = distorted.stat().st_size
    return Pair(name, called, other, lambda: read_image(reference), lambda: read_image(distorted), size)


def _by_stem(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in images_in(folder, []):
        if path.stem in found:
            raise QbenchError(f"{shown(path)} and {shown(found[path.stem].name)}: two images of one name in a folder")
        found[path.stem] = path
    return found


def measure_pairs(
    pairs: Sequence[Pair],
    metrics: str | Sequence[str] = (),
    *,
    device: str = "auto",
    profile: str = "bundled",
    registry: Registry | None = None,
    plugins: Sequence[str | Path] = (),
    advance: Callable[[], None] = lambda: None,
) -> Measurement:
    """Score pairs of images.

    Args:
        metrics: names; by default those that are customary.
        advance: called once for each pair that is done.

    Raises:
        QbenchError: no such metric, weights that are not there, an image can't be read, or sizes differ.
    """
    registry = registry_with(plugins, registry)
    chosen = names(metrics) or [name for name in registry.metrics if registry.metrics[name].usual]
    planned = [plan_metric(spec, registry, profile) for spec in load_metrics(chosen, registry, "metrics")]
    require_distinct(planned)
    where = resolve_device(device if any(each.runs_on == "accelerator" for each in planned) else "cpu")
    desk = ScoringDesk(registry, Context(where, 0, profile), UNTIMED)
    columns = {column_id(each.label, each.metric, column.name): column for each in planned for column in each.columns}
    rows: list[Measured] = []
    failures: dict[str, None] = {}
    notes: dict[str, None] = {}
    features: dict[tuple[str, str], tuple[list[Any], list[Any]]] = {}
    with exactly(where):
        for pair in pairs:
            original, image = pair.read_reference(), pair.read()
            if original.pixels.shape != image.pixels.shape:
                raise QbenchError(_sizes_differ(pair, original, image))
            notes |= {f"{pair.reference}: {note}": None for note in original.notes}
            notes |= {f"{pair.distorted}: {note}": None for note in image.notes}
            desk.take(pair.name, original, [image], [pair.size or 0])
            values: dict[str, float | None] = {}
            reasons: dict[str, str] = {}
            for each in planned:
                if each.per_point:
                    held = features.setdefault((each.label, _folder(pair.distorted)), ([], []))
                    outcome = _score(desk, each, pair)
                    if isinstance(outcome, Exception):
                        held[1].append(outcome)
                    else:
                        held[0].append(desk.features_of_original(each))
                        held[1].append(outcome)
                    continue
                _take(each, _score(desk, each, pair), values, reasons, failures)
            rows.append(Measured(pair.name, pair.reference, pair.distorted, values, reasons))
            advance()
        rows += _wholes(desk, planned, pairs, features, failures)
    return Measurement(columns, tuple(rows), tuple(failures), tuple(notes))


def _sizes_differ(pair: Pair, original: Image, image: Image) -> str:
    both = (pair.reference, original), (pair.distorted, image)
    told = [f"{shown(name)} has {each.width}×{each.height} pixels" for name, each in both]
    return f"{'; '.join(told)}; accepted: images of one size"


def _score(desk: ScoringDesk, planned: PlannedMetric, pair: Pair) -> Any:
    if planned.scope == Scope.RATE and pair.size is None:
        return NotApplicable("an image in memory has no size in bytes")
    try:
        return desk.score(planned, (0,))[0]
    except QbenchError:
        raise
    except Exception as error:  # whatever a metric raises when it is made
        return error


def _take(
    planned: PlannedMetric,
    outcome: Any,
    values: dict[str, float | None],
    reasons: dict[str, str],
    failures: dict[str, None],
) -> None:
    """Put an outcome into values by column."""
    for column in planned.columns:
        name = column_id(planned.label, planned.metric, column.name)
        value = outcome if isinstance(outcome, Exception) else outcome[column.name]
        values[name] = None if isinstance(value, Exception) else float(value)
        if isinstance(value, Exception):
            reasons[name] = str(value) or type(value).__name__
    if isinstance(outcome, Exception) and not isinstance(outcome, NotApplicable):
        told = "".join(traceback.format_exception(outcome)).rstrip()
        failures[f"metric {planned.label}, plugin {planned.plugin}, failed: {outcome}\n{told}"] = None


def _wholes(
    desk: ScoringDesk,
    planned: Sequence[PlannedMetric],
    pairs: Sequence[Pair],
    features: Mapping[tuple[str, str], tuple[list[Any], list[Any]]],
    failures: dict[str, None],
) -> list[Measured]:
    """Return a row for each set of distorted images, of metrics of distributions."""
    found: dict[str, tuple[dict[str, float | None], dict[str, str]]] = {}
    for each in planned:
        for (label, name), (originals, images) in features.items():
            if label != each.label:
                continue
            values, reasons = found.setdefault(name, ({}, {}))
            failed = next((one for one in images if isinstance(one, Exception)), None)
            outcome: Any = failed
            if failed is None:
                try:
                    outcome = desk.finish(each, originals, images)
                except Exception as error:
                    outcome = error
            _take(each, outcome, values, reasons, failures)
    reference = {_folder(pair.distorted): _folder(pair.reference) for pair in pairs}
    return [Measured(WHOLE, reference[name], name, *both) for name, both in found.items()]
