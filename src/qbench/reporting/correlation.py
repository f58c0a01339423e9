"""Do metrics agree, with one another and with people? Correlations over the cells of runs."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
import numpy.typing as npt

from qbench.contracts.metric import Direction
from qbench.errors import QbenchError
from qbench.results.comparability import check_same_columns, column_owners
from qbench.results.run import Run
from qbench.toolkit.resampling import jackknife_interval

METHODS = ("spearman", "kendall", "pearson")
HUMAN = "human"
OBSERVER = "observer"
"""Column that tells the observers of a cell apart, if there is one."""
SCORES = {"score": 1.0, "mos": 1.0, "dmos": -1.0}
"""Accepted columns of people's scores, and which way is better: a difference of scores is lower for better images."""
FEWEST_CELLS = 4
FEWEST_IMAGES = 8
"""Images below which a correlation has no interval: where an image's cells have much in common, one over four images
holds 90 % instead of 95 %."""

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A correlation with its 95 % interval over images; None with fewer than eight, or where it is perfect."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Correlation:
    """How two columns agree.

    Attributes:
        cells: cells that have a value of both.
        images: images that these are of.
        estimates: method → estimate; None where it is not defined: too few cells, one column constant, or values that
            are infinite (for Pearson's).
    """

    one: str
    other: str
    cells: int
    images: int
    estimates: Mapping[str, Estimate | None]


@dataclass(frozen=True)
class Cells:
    """The values that are correlated, better ones higher in every column.

    Attributes:
        columns: names, in the order of the suites; people's scores last.
        images: number of the image that each cell is of.
        values: cells × columns; NaN where there is none.
        turned: columns whose sign was changed, as lower is better in them.
        unmatched: people's scores of cells that the runs don't have.
        observers: fewest and most scores of people that a cell's score is the mean of; 0 and 0 without any.
        deviation: mean standard deviation of one cell's scores of several people, None where there are none.
        lacking: images of which some cells have no value in some column, people's scores included; and how many cells
            that are. ``empty`` are columns without any value.
        infinite: columns with infinite values, which Pearson's correlation can't take.
    """

    columns: tuple[str, ...]
    images: npt.NDArray[np.intp]
    values: Array
    turned: tuple[str, ...]
    unmatched: int = 0
    observers: tuple[int, int] = (0, 0)
    deviation: float | None = None
    lacking: tuple[tuple[str, ...], int] = ((), 0)
    empty: tuple[str, ...] = ()
    infinite: tuple[str, ...] = ()


def collect(runs: Sequence[Run], human: Path | None = None, *, everything: bool = False) -> Cells:
    """Collect the cells of runs, with people's scores from a CSV file with columns image, point and score.

    Args:
        everything: every column; otherwise the main column of each metric that looks at images.

    Raises:
        QbenchError: a column means different things in two runs; the file is not of that form, or names images that
            are others in two runs; nothing is left.
    """
    signs = _signs(runs, everything)
    people, sign = _people(human) if human is not None else ({}, 1.0)
    columns = (*signs, *([HUMAN] if human is not None else []))
    images: dict[tuple[str, str], int] = {}
    rows, known, matched, places = [], [], set(), []
    own = [run for run in runs if not run.imported]  # of what was imported, nobody knows the pixels
    digests = {name: {run.plan.image(name).sha256 for run in own if name in _names(run)} for name in _all(own)}
    ambiguous = sorted(name for name, found in digests.items() if len(found) > 1)
    if human is not None and any(image in ambiguous for image, _ in people):
        raise QbenchError(f"{human}: {', '.join(ambiguous)} have other pixels in one run than in another; give one run")
    for run in runs:
        for row in run.rows:
            found = {
                name: sign * value
                for name, sign in signs.items()
                if name in row.entries and (value := row.entries[name].value) is not None
            }
            if (row.image, row.point) in people:
                found[HUMAN] = sign * fmean(people[row.image, row.point])
                matched.add((row.image, row.point))
            rows.append([found.get(name, math.nan) for name in columns])
            pixels = run.plan.image(row.image).sha256 if row.image in ambiguous and not run.imported else ""
            known.append(images.setdefault((row.image, pixels), len(images)))
            places.append(row.image)
    turned = [name for name, sign in signs.items() if sign < 0] + ([HUMAN] if sign < 0 else [])
    if human is not None and not matched:
        raise QbenchError(
            f"{human}: none of its {len(people)} pairs of image and point is in the runs; "
            f"a point is named like {runs[0].plan.points[0].id}"
        )
    values = np.array(rows, np.float64).reshape(len(rows), len(columns))
    lacking = np.isnan(values)
    empty = lacking.all(axis=0)
    without = np.flatnonzero(lacking[:, ~empty].any(axis=1))
    counts = [len(people[place]) for place in matched]
    spreads = [stdev(people[place]) for place in matched if len(people[place]) > 1]
    return Cells(
        columns,
        np.array(known, np.intp),
        values,
        tuple(turned),
        len(people) - len(matched),
        (min(counts, default=0), max(counts, default=0)),
        fmean(spreads) if spreads else None,
        (tuple(dict.fromkeys(places[index] for index in without)), len(without)),
        tuple(name for index, name in enumerate(columns) if lacking[:, index].all()),
        tuple(name for name, column in zip(columns, values.T, strict=True) if np.isinf(column).any()),
    )


def _names(run: Run) -> set[str]:
    return {image.name for image in run.plan.images}


def _all(runs: Sequence[Run]) -> list[str]:
    return list(dict.fromkeys(image.name for run in runs for image in run.plan.images))


def correlate(cells: Cells) -> list[Correlation]:
    """Correlate every two columns.

    Intervals are the jackknife's over images, as an image's cells have much in common, of Fisher's z. With people's
    scores, only pairs with these.
    """
    pairs = list(combinations(range(len(cells.columns)), 2))
    if HUMAN in cells.columns:
        pairs = [pair for pair in pairs if cells.columns[pair[1]] == HUMAN]
    return [_correlation(cells, one, other) for one, other in pairs]


def _correlation(cells: Cells, one: int, other: int) -> Correlation:
    both = cells.values[:, [one, other]]
    kept = ~np.isnan(both).any(axis=1)
    both, images = both[kept], cells.images[kept]
    distinct = np.unique(images)
    groups = [np.flatnonzero(images == image) for image in distinct]
    estimates: dict[str, Estimate | None] = dict.fromkeys(METHODS)
    for method in METHODS:
        value = _value(method, both)
        if not math.isnan(value):
            interval = jackknife_interval(
                partial(_fisher, method, both, groups), len(groups), fewest=FEWEST_IMAGES, fitted=2, corrected=True
            )
            estimates[method] = Estimate(value, *(map(math.tanh, interval) if interval else (None, None)))
    return Correlation(cells.columns[one], cells.columns[other], len(both), len(distinct), estimates)


def _fisher(method: str, both: Array, groups: Sequence[npt.NDArray[np.intp]], chosen: npt.NDArray[np.intp]) -> float:
    """Return Fisher's z of the correlation over some images; NaN where that is perfect or not defined."""
    value = _value(method, both[np.concatenate([groups[index] for index in chosen])])
    return math.atanh(value) if abs(value) < 1 - 1e-12 else math.nan


def _value(method: str, both: Array) -> float:
    """Return a correlation; NaN where it is not defined."""
    from scipy import stats

    if len(both) < FEWEST_CELLS or (np.ptp(_ranks(both), axis=0) == 0).any():
        return math.nan
    if method == "pearson" and not np.isfinite(both).all():
        return math.nan
    one, other = both.T if method == "pearson" else _ranks(both).T
    if method == "kendall":
        return float(stats.kendalltau(one, other).statistic)
    return float(np.corrcoef(one, other)[0, 1])  # of ranks, Spearman's


def _ranks(both: Array) -> Array:
    from scipy.stats import rankdata

    ranks: Array = rankdata(both, axis=0)  # infinite values have a rank, too
    return ranks


def _signs(runs: Sequence[Run], everything: bool) -> dict[str, float]:
    """Return column → 1, or -1 where lower is better."""
    signs: dict[str, float] = {}
    for run in runs:
        owners = column_owners(run)
        for name, column in run.cell_columns.items():
            if everything or (name not in run.rate_columns and name == owners[name].label):
                signs[name] = 1.0 if column.direction is Direction.HIGHER else -1.0
    check_same_columns(runs, list(signs))
    return signs


def _people(path: Path) -> tuple[dict[tuple[str, str], list[float]], float]:
    """Read people's scores; return (image, point) → scores, one of each observer, and whether higher is better."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            header = reader.fieldnames or []
            kinds = [name for name in SCORES if name in header]
            if not {"image", "point"} <= set(header) or len(kinds) != 1:
                raise QbenchError(
                    f"{path}: the columns are {', '.join(header) or 'none'}; needed: image, point, and one of "
                    "score, mos (higher is better) or dmos (lower is better)"
                )
            scores: dict[tuple[str, str], list[float]] = {}
            seen: set[tuple[str, ...]] = set()
            for row in reader:
                who = (row["image"], row["point"], row.get(OBSERVER) or "")
                if OBSERVER in header and who in seen:
                    raise QbenchError(f"{path}:{reader.line_num}: {who[2]} scores {who[0]} at {who[1]} again")
                seen.add(who)
                score = _number(row[kinds[0]], path, reader.line_num)
                scores.setdefault((row["image"], row["point"]), []).append(score)
            return scores, SCORES[kinds[0]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise QbenchError(f"{path}: can't be read: {error}") from error


def _number(text: str | None, path: Path, line: int) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise QbenchError(f"{path}:{line}: `{text}` is not a number")
    return value
