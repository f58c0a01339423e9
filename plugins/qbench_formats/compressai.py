"""CompressAI's result files: means over a data set, a list per metric, an entry per operating point."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from qbench.plugin import Column, Direction, ExchangedCell, ExchangedResults, Format, QbenchError
from qbench_formats.columns import BPP, KNOWN, file_name, finite, number, text

OURS = {
    "bpp": "bpp",
    "psnr": "psnr",
    "psnr-rgb": "psnr",
    "ms-ssim": "ms-ssim",
    "ms-ssim-rgb": "ms-ssim",
    "ms-ssim-db": "ms-ssim.db",
    "ms-ssim-db-rgb": "ms-ssim.db",
}
THEIRS = {"psnr": "psnr-rgb", "ms-ssim": "ms-ssim-rgb", "ms-ssim.db": "ms-ssim-db-rgb"}
TIMES = ("encoding_time", "decoding_time")
AVERAGING = "means over a data set, as the file gives them (CompressAI's own are of each image's value)"
MEAN = "mean of the data set"
ROUNDED = 1.01
"""Above it MS-SSIM is in decibels, below it at most rounded."""


class CompressAI(Format):
    """Result files of ``compressai.utils.bench`` and ``eval_model``, as published in CompressAI's repository.

    Read are means over a data set, so that a run of them has one image, the mean. ``psnr`` and ``psnr-rgb`` are both
    PSNR of RGB; ``ms-ssim`` above 1 is in decibels and becomes ``ms-ssim.db``, with a note. Metrics that qbench
    has no name for keep theirs and count as better when higher if their name is of a known family.
    """

    name = "compressai"
    summary = "CompressAI's result JSON: means over a data set, one file per codec"
    reference = "https://github.com/InterDigitalInc/CompressAI/tree/master/results"

    def recognises(self, document: Any) -> bool:
        """Whether there is a mapping of results."""
        return isinstance(document, dict) and isinstance(document.get("results"), dict)

    def read(self, document: Any, name: str) -> ExchangedResults:
        """Read means."""
        if not self.recognises(document):
            raise QbenchError(f"{name}: no `results` with a list for each metric")
        codec = text(document.get("name", name), f"{name}: `name`") or name
        lists = {key: _numbers(values, f"{name}: results.{key}") for key, values in document["results"].items()}
        if "bpp" not in lists:
            raise QbenchError(f"{name}: results have no `bpp` (has: {', '.join(lists) or 'nothing'})")
        lengths = {len(values) for values in lists.values()}
        if len(lengths) > 1:
            counts = ", ".join(f"{key} {len(values)}" for key, values in lists.items())
            raise QbenchError(f"{name}: lists are of different lengths: {counts}")
        notes: list[str] = []
        columns: dict[str, Column] = {}
        sources: dict[str, list[float | None]] = {}
        for key, values in lists.items():
            column = _column(key, values, name, notes)
            if column is None:
                continue
            if column.name in columns:
                notes.append(f"{name}: `{key}` is omitted: {column.name} comes from another key")
                continue
            columns[column.name], sources[column.name] = column, values
        cells = [
            ExchangedCell(
                MEAN,
                codec,
                {"point": index + 1},
                {column: values[index] for column, values in sources.items()},
                encode=lists[TIMES[0]][index] if TIMES[0] in lists else None,
                decode=lists[TIMES[1]][index] if TIMES[1] in lists else None,
            )
            for index in range(lengths.pop())
        ]
        if not cells:
            raise QbenchError(f"{name}: results have no operating point")
        described = text(document.get("description", ""), f"{name}: `description`")
        return ExchangedResults(
            codec, {MEAN: (0, 0)}, list(columns.values()), cells, described, ("bpp",), notes, averaging=AVERAGING
        )

    def write(self, results: ExchangedResults, folder: Path) -> list[Path]:
        """Write a file for each codec; means are over images that have a finite value everywhere."""
        paths: list[Path] = []
        for codec, cells in results.by_codec().items():
            points: dict[str, list[ExchangedCell]] = {}
            for cell in cells:
                points.setdefault(repr(cell.settings), []).append(cell)
            columns = [
                column.name for column in results.columns if any(finite(cell.values[column.name]) for cell in cells)
            ]
            images = [
                image
                for image in results.images
                if _complete([cell for cell in cells if cell.image == image], len(points), columns)
            ]
            if not images:
                raise QbenchError(
                    f"{results.name}: no image has a finite value of every column at every point of {codec}"
                )
            means = [
                _means(results, [cell for cell in own if cell.image in images], columns) for own in points.values()
            ]
            means.sort(key=lambda mean: mean["bpp"])
            document = {
                "name": codec,
                "description": f"{codec}, mean over {len(images)} images of run {results.name}, written by qbench",
                "results": {key: [mean[key] for mean in means] for key in means[0]},
            }
            path = file_name(folder, codec, paths)
            path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
            paths.append(path)
        return paths


def _numbers(values: Any, where: str) -> list[float | None]:
    if not isinstance(values, list):
        raise QbenchError(f"{where}: a list is expected, not {values!r:.60}")
    return [number(value, f"{where}[{index}]") for index, value in enumerate(values)]


def _column(key: str, values: Sequence[float | None], name: str, notes: list[str]) -> Column | None:
    """Return the column that a list of the file becomes; None for times and what can't be read."""
    if key in TIMES:
        return None
    ours = OURS.get(key)
    if ours == "ms-ssim" and any(value is not None and value > ROUNDED for value in values):
        notes.append(f"{name}: `{key}` is above 1, so it is in decibels: ms-ssim.db")
        ours = "ms-ssim.db"
    if ours is not None:
        return KNOWN[ours]
    if key.startswith(("psnr", "ms-ssim", "ssim", "vmaf")):
        unit = "dB" if key.startswith("psnr") or "-db" in key else ""
        return Column(key, Direction.HIGHER, unit=unit)
    if key in KNOWN:
        return KNOWN[key]
    notes.append(f"{name}: `{key}` is omitted: whether higher or lower is better is not known")
    return None


def _complete(cells: Sequence[ExchangedCell], points: int, columns: Sequence[str]) -> bool:
    return len(cells) == points and all(finite(cell.values[name]) for cell in cells for name in columns)


def _means(results: ExchangedResults, cells: Sequence[ExchangedCell], columns: Sequence[str]) -> dict[str, float]:
    rates = [cell.rate for cell in cells if cell.rate is not None]
    if not rates:
        raise QbenchError(f"{results.name}: the rate of {cells[0].codec} {dict(cells[0].settings)} is not known")
    found = {"bpp": fmean(rates)}
    for name in columns:
        if name != BPP.name:
            found[THEIRS.get(name, name)] = fmean(cell.values[name] or 0.0 for cell in cells)
    for key, times in zip(TIMES, ([cell.encode for cell in cells], [cell.decode for cell in cells]), strict=True):
        known = [time for time in times if time is not None]
        if len(known) == len(cells):
            found[key] = fmean(known)
    return found
