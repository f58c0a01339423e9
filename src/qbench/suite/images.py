"""From a suite's image entries to named sources, and from sources to what a plan needs to know of them."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from qbench.errors import DatasetError, ImageError
from qbench.home import dataset_home
from qbench.images.formats import SUFFIXES
from qbench.images.sources import ImageFile, ImageSource
from qbench.registry.registry import Registry
from qbench.suite.model import ImagesEntry, Suite


@dataclass(frozen=True)
class ResolvedImage:
    """An original that was read once, so that nothing about it can surprise a long run.

    Attributes:
        source: where workers read it again.
        name: unique in the run.
        sha256: of its 8-bit sRGB pixels.
        notes: conversions made on reading.
        dataset: that it belongs to, or empty.
    """

    source: ImageSource
    name: str
    sha256: str
    width: int
    height: int
    notes: tuple[str, ...]
    dataset: str = ""


def resolve_images(suite: Suite, registry: Registry) -> tuple[ResolvedImage, ...]:
    """Find and read every image of a suite.

    Raises:
        ImageError: listing every folder, pattern or file that is missing, empty, or can't be read.
        DatasetError: a dataset that has to be fetched first.
    """
    sources: list[ImageSource] = []
    datasets: list[str] = []
    problems: list[str] = []
    for entry in suite.images:
        try:
            sources.extend(_sources(entry, suite.folder, registry)[: entry.limit])
            datasets.extend([entry.dataset or ""] * (len(sources) - len(datasets)))
        except ImageError as error:
            problems.append(str(error))
    names = _unique_names(sources, problems)

    def inspect(source: ImageSource, name: str, dataset: str) -> ResolvedImage | ImageError:
        try:
            image = source.read()
        except ImageError as error:
            return error
        return ResolvedImage(source, name, image.digest, image.width, image.height, image.notes, dataset)

    # Decoding frees Python's lock, so threads do use the cores.
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        inspected = list(pool.map(inspect, sources, names, datasets))
    problems.extend(str(result) for result in inspected if isinstance(result, ImageError))
    if problems:
        raise ImageError("\n".join(problems))
    return tuple(result for result in inspected if isinstance(result, ResolvedImage))


def sources_at(places: Sequence[tuple[str, str]], registry: Registry) -> list[ImageSource]:
    """Return the sources of images by their location and the dataset that they belong to, or an empty text.

    Raises:
        DatasetError: a dataset has to be fetched first, or no longer has an image.
    """
    datasets: dict[str, dict[str, ImageSource]] = {}
    found: list[ImageSource] = []
    for location, dataset in places:
        if not dataset:
            found.append(ImageFile(Path(location)))
            continue
        if dataset not in datasets:
            listed = registry.datasets[dataset]().images(dataset_home(dataset))
            datasets[dataset] = {source.location: source for source in listed}
        if location not in datasets[dataset]:
            raise DatasetError(f"dataset `{dataset}` no longer has {location}")
        found.append(datasets[dataset][location])
    return found


def _sources(entry: ImagesEntry, base: Path, registry: Registry) -> Sequence[ImageSource]:
    if entry.dataset is not None:
        return registry.datasets[entry.dataset]().images(dataset_home(entry.dataset))
    if entry.files is not None:
        return [ImageFile(base / name) for name in entry.files]
    accepted = "files ending in " + " ".join(SUFFIXES)
    if entry.folder is not None:
        folder = base / Path(entry.folder).expanduser()
        if not folder.is_dir():
            raise ImageError(f"{folder}: no such folder")
        paths = [path for path in folder.iterdir() if path.is_file()]
        place = str(folder)
    else:
        assert entry.glob is not None  # the model sees to it
        place = str(base / Path(entry.glob).expanduser())
        paths = [path for path in map(Path, glob.glob(place, recursive=True)) if path.is_file()]  # noqa: PTH207 - may be absolute
    found = sorted(path for path in paths if path.suffix.lower() in SUFFIXES)
    if not found:
        raise ImageError(f"{place}: no images found ({len(paths)} files seen; accepted: {accepted})")
    return [ImageFile(path) for path in found]


def _unique_names(sources: Sequence[ImageSource], problems: list[str]) -> list[str]:
    """Name images by file stem, or by as much of the path as tells them apart."""
    locations = [source.location for source in sources]
    for location in sorted({location for location in locations if locations.count(location) > 1}):
        problems.append(f"{location}: duplicated")
    if len(set(locations)) < len(locations):
        return locations
    names = [source.name or Path(source.location).stem for source in sources]
    for depth in range(1, 64):
        clashing = {name for name in names if names.count(name) > 1}
        if not clashing:
            return names
        names = [
            "/".join(Path(location).parts[-depth:]) if name in clashing or (depth > 1 and "/" in name) else name
            for name, location in zip(names, locations, strict=True)
        ]
    return locations
