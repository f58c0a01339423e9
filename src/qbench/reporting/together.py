"""The curves of one or several runs, over images that they have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from qbench.errors import QbenchError
from qbench.reporting.curves import CurvePoint, Curves, curves
from qbench.results.comparability import unlike_images
from qbench.results.run import Run

MOST_NAMED = 4


@dataclass(frozen=True)
class Together:
    """Curves that can be drawn, and compared, beside each other.

    Attributes:
        curves: of all runs; of a codec that several have, each with its run's name in brackets.
        origins: label of a curve → codec, and index of its run.
        notes: what one must know to read them.
    """

    curves: Curves
    origins: Mapping[str, tuple[str, int]]
    notes: tuple[str, ...] = ()


def together(runs: Sequence[tuple[str, Run]], metric: str, codecs: Sequence[str] = ()) -> Together:
    """Return the curves of a metric: of one run, or of all images that several have in common.

    Images are known by their pixels. Results of other programs are over images of their own, and only their means are
    taken.

    Args:
        runs: with their names.
        codecs: labels of those that are wanted, so that no other's failures leave images out; empty for all.

    Raises:
        QbenchError: no such column, or no images in common.
    """
    each = [curves(run, metric, codecs) for _, run in runs]
    if len(runs) == 1:
        found = each[0]
        origins = {codec: (codec, 0) for codec in found.by_codec}
        return Together(found, origins, tuple(_lacking(runs[0][1], found, metric, "", codecs)))
    measured = [(run, one) for (_, run), one in zip(runs, each, strict=True) if not run.imported]
    pixels = [
        {image.name: image.sha256 for image in run.plan.images if image.name in one.images} for run, one in measured
    ]
    common = (
        [name for name, digest in pixels[0].items() if all(p.get(name) == digest for p in pixels)] if pixels else []
    )
    if len(measured) > 1 and not common:
        names = ", ".join(run.name for run, _ in measured)
        raise QbenchError(f"{names}: no images in common that all have values of {metric}")
    notes = [f"{name}: {line}" for name, lines in unlike_images([run for _, run in runs]).items() for line in lines]
    by_codec: dict[str, tuple[CurvePoint, ...]] = {}
    origins = {}
    labels = Counter(codec for one in each for codec in one.by_codec)
    for index, ((name, run), one) in enumerate(zip(runs, each, strict=True)):
        if run.imported:
            one = replace(one, by_codec={codec: _means_only(points) for codec, points in one.by_codec.items()})
        elif len(measured) > 1:
            if len(common) < len(run.plan.images):
                notes.append(f"{metric}: {len(common)} images in common, of {len(run.plan.images)} that {name} has")
            if metric not in run.cell_columns and len(common) < len(run.plan.images):
                notes.append(f"{metric}: {name} has no value over these images alone")
                continue
            one = replace(one.of_images(common), left_out=())
        notes += _lacking(run, one, metric, f"{name}: ", codecs)
        for codec, points in one.by_codec.items():
            label = codec if labels[codec] == 1 else f"{codec} ({name})"
            by_codec[label], origins[label] = points, (codec, index)
    images = tuple(common) if measured else each[0].images
    return Together(replace(each[0], images=images, left_out=(), by_codec=by_codec), origins, tuple(notes))


def _lacking(run: Run, found: Curves, metric: str, whose: str, codecs: Sequence[str]) -> list[str]:
    """Say which images curves are over if not all, and which points and codecs are in none."""
    wanted = dict.fromkeys(point.label for point in run.plan.points if not codecs or point.label in codecs)
    without = [label for label in wanted if label not in found.by_codec]
    lines = []
    if found.left_out and found.images:
        count = len(found.images) + len(found.left_out)
        lines.append(f"{whose}{metric}: over {len(found.images)} of {count} images (without {_some(found.left_out)})")
    if without and len(without) < len(wanted):
        lines.append(f"{whose}{metric}: no curve of {', '.join(without)}, without any finite value")
    absent = [point.id for point in run.plan.points if point.id in found.absent and point.label not in without]
    if absent:
        lines.append(f"{whose}{metric}: no finite value of {_some(absent)}")
    return lines


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:MOST_NAMED]) + (" …" if len(names) > MOST_NAMED else "")


def _means_only(points: Sequence[CurvePoint]) -> tuple[CurvePoint, ...]:
    return tuple(replace(point, rates=(), values=()) for point in points)
