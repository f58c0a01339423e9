"""The images of a report: in the file while it stays small, else in files that it refers to."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from qbench.errors import QbenchError
from qbench.images.image import Image, encode_png
from qbench.results.run import Run, Status
from qbench.store.folder import RunFolder

LARGEST_FILE = 20_000_000
"""Bytes of a report with its images in it; base64 makes four of three."""
SHOWN = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".svg": "image/svg+xml",
    ".webp": "image/webp",
    ".gif": "image/gif",
}
"""Artifacts that a browser shows; of others only series of numbers are taken along."""
SERIES = ".csv"
Originals = Callable[[Run, str], Image]
"""Returns an image of a run; raises QbenchError where it is gone or has changed."""


@dataclass(frozen=True)
class Asset:
    """An image that a report shows.

    Attributes:
        run, row, image: where it belongs: indices of the run, and of the cell or (if ``row`` is None) the original.
        kind: ``original``, ``image``, ``artifact`` or ``series``.
        name, summary: of an artifact.
        size: bytes.
        file: where the image is in a run folder; None for originals, which are not kept there.
        data: the PNG of an original.
    """

    run: int
    kind: str
    image: int
    row: int | None
    size: int
    file: Path | None = None
    data: bytes = b""
    name: str = ""
    summary: str = ""

    def read(self) -> bytes:
        """Return the bytes."""
        return self.data if self.file is None else self.file.read_bytes()


@dataclass
class Collected:
    """All images of runs.

    Attributes:
        missing: (run, image) of originals that can't be had → why.
        altered: (run, row) of reconstructions that are not those that were measured, and are not shown.
        gone: how many reconstructions were to be kept and are not there, or altered.
    """

    assets: list[Asset] = field(default_factory=list)
    missing: dict[tuple[int, int], str] = field(default_factory=dict)
    altered: list[tuple[int, int]] = field(default_factory=list)
    gone: int = 0


def collect(runs: Sequence[Run], originals: Originals) -> Collected:
    """Return all images of runs."""
    found = Collected()
    for index, run in enumerate(runs):
        kept = list(_kept(index, run, found.altered))
        for image in sorted({asset.image for asset in kept}):
            try:
                data = encode_png(originals(run, run.plan.images[image].name).pixels)
            except QbenchError as error:
                found.missing[index, image] = str(error)
            else:
                found.assets.append(Asset(index, "original", image, None, len(data), data=data))
        found.assets.extend(kept)
        if run.plan.keep.get("reconstructions"):
            coded = sum(row.cell is not None and row.status is Status.OK for row in run.rows)
            found.gone += coded - sum(asset.kind == "reconstruction" for asset in kept)
    return found


def _kept(index: int, run: Run, altered: list[tuple[int, int]]) -> Iterator[Asset]:
    folder = RunFolder(run.path)
    points = {point.id: point for point in run.plan.points}
    places = {image.name: place for place, image in enumerate(run.plan.images)}
    for number, row in enumerate(run.rows):
        if row.cell is None or row.status is not Status.OK:
            continue
        point, place = points[row.point], places[row.image]
        path = folder.reconstruction_path(point, row.image)
        if path.is_file():
            found = folder.read_reconstruction(point, run.plan.images[place])
            if found is not None and found.digest == row.cell.reconstruction_sha256:
                yield Asset(index, "reconstruction", place, number, path.stat().st_size, path)
            else:
                altered.append((index, number))
        for note in row.cell.artifacts:
            path = folder.artifact_path(point, row.image, note.name)
            kind = "series" if path.suffix.lower() == SERIES else "artifact"
            if (kind == "series" or path.suffix.lower() in SHOWN) and path.is_file() and folder.holds(path):
                size = path.stat().st_size
                yield Asset(index, kind, place, number, size, path, name=note.name, summary=note.summary)


def fit_inline(assets: list[Asset], text: int) -> bool:
    """Say whether a report of ``text`` bytes stays small with its images in it."""
    return text + sum(asset.size for asset in assets) * 4 // 3 <= LARGEST_FILE


def inline(asset: Asset) -> str:
    """Return a data URL."""
    kind = "image/png" if asset.file is None else SHOWN[asset.file.suffix.lower()]
    return f"data:{kind};base64,{base64.b64encode(asset.read()).decode()}"


def beside(asset: Asset, page: Path, folder: Path, number: int) -> str:
    """Return a relative address: of the image in the run folder if the report is there, else of a copy in ``folder``.

    Raises:
        OSError: it can't be written.
    """
    home = page.resolve().parent
    if asset.file is not None and asset.file.resolve().is_relative_to(home):
        return _address(asset.file.resolve(), home)
    folder.mkdir(parents=True, exist_ok=True)
    suffix = ".png" if asset.file is None else asset.file.suffix.lower()
    copy = folder / f"{asset.run}-{number}-{asset.kind}{suffix}"
    copy.write_bytes(asset.read())
    return _address(copy.resolve(), home)


def _address(path: Path, home: Path) -> str:
    return quote(Path(os.path.relpath(path, home)).as_posix())
