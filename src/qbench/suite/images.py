"""From a suite's image entries to named sources, and from sources to what a plan needs to know of them."""

from __future__ import annotations

import glob
import os
import sys
import unicodedata
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from qbench.errors import DatasetError, ImageError, shown
from qbench.home import dataset_home
from qbench.images.at_hand import AtHand
from qbench.images.decoded import most_pixels
from qbench.images.formats import SUFFIXES
from qbench.images.reading import Alpha
from qbench.images.sources import ImageFile, ImageSource
from qbench.records import JOURNAL
from qbench.registry.registry import Registry
from qbench.suite.model import ImagesEntry, Suite


@dataclass(frozen=True)
class ResolvedImage:
    """An original that was read once, so that nothing about it can surprise a long run.

    Attributes:
        source: where workers read it again.
        name: unique in the run, whatever the case of its letters.
        sha256: of its 8-bit sRGB pixels.
        notes: conversions made on reading.
        dataset: that it belongs to, or empty.
        alpha: what its transparency became.
    """

    source: ImageSource
    name: str
    sha256: str
    width: int
    height: int
    notes: tuple[str, ...]
    dataset: str = ""
    alpha: Alpha = "white"


@dataclass(frozen=True)
class ResolvedImages:
    """The originals of a suite.

    Attributes:
        images: in the suite's order.
        remarks: what was passed over or skipped, in words.
    """

    images: tuple[ResolvedImage, ...]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Found:
    """A source with what its entry says of it."""

    source: ImageSource
    entry: ImagesEntry


def resolve_images(suite: Suite, registry: Registry, at_hand: AtHand | None = None) -> ResolvedImages:
    """Find and read every image of a suite.

    Args:
        at_hand: takes the images, which are needed again at once.

    Raises:
        ImageError: listing every folder, pattern or file that is missing, empty, or can't be read.
        DatasetError: a dataset that has to be fetched first.
    """
    most_pixels()  # a limit that is no number is told once, not of each file
    found: list[_Found] = []
    remarks: list[str] = []
    problems: list[str] = []
    for entry in suite.images:
        try:
            found += [_Found(each, entry) for each in _sources(entry, suite.folder, registry, remarks)[: entry.limit]]
        except ImageError as error:
            problems.append(str(error))
    found = _each_once(found, remarks)
    problems += _without_text(found)

    # Only what pixels are is kept, and as many of them as are needed at once.
    def inspect(each: _Found) -> tuple[str, int, int, tuple[str, ...]] | ImageError:
        try:
            image = each.source.read()
        except ImageError as error:
            return error
        if at_hand is not None:
            at_hand.put(image)
        return image.digest, image.width, image.height, image.notes

    # Decoding frees Python's lock, so threads do use the cores.
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        inspected = list(pool.map(inspect, found))
    for each, result in zip(found, inspected, strict=True):
        if isinstance(result, ImageError):
            skipped = each.entry.unreadable == "skip"
            (remarks if skipped else problems).append(f"skipped: {result}" if skipped else str(result))
    usable = [(each, result) for each, result in zip(found, inspected, strict=True) if isinstance(result, tuple)]
    if not (usable or problems):
        problems.append("no image can be read:\n" + "\n".join(remarks))
    if problems:
        raise ImageError("\n".join(problems))
    names = _unique_names([each.source for each, _ in usable])
    return ResolvedImages(
        tuple(
            ResolvedImage(each.source, name, *result, each.entry.dataset or "", each.entry.alpha)
            for (each, result), name in zip(usable, names, strict=True)
        ),
        tuple(remarks),
    )


def sources_at(places: Sequence[tuple[str, str, Alpha]], registry: Registry) -> list[ImageSource]:
    """Return the sources of images by their location, the dataset that they belong to (or an empty text), and alpha.

    Raises:
        DatasetError: a dataset has to be fetched first, or no longer has an image.
    """
    datasets: dict[str, dict[str, ImageSource]] = {}
    found: list[ImageSource] = []
    for location, dataset, alpha in places:
        if not dataset:
            found.append(ImageFile(Path(location), alpha=alpha))
            continue
        if dataset not in datasets:
            listed = registry.datasets[dataset]().images(dataset_home(dataset))
            datasets[dataset] = {source.location: source for source in listed}
        if location not in datasets[dataset]:
            raise DatasetError(f"dataset `{dataset}` no longer has {location}")
        found.append(datasets[dataset][location])
    return found


def _sources(entry: ImagesEntry, base: Path, registry: Registry, remarks: list[str]) -> Sequence[ImageSource]:
    if entry.dataset is not None:
        return registry.datasets[entry.dataset]().images(dataset_home(entry.dataset))
    if entry.files is not None:
        return [ImageFile(base / _expanded(name), alpha=entry.alpha) for name in entry.files]
    if entry.folder is not None:
        folder = base / _expanded(entry.folder)
        paths = images_in(folder, remarks)
    else:
        assert entry.glob is not None  # the model sees to it
        pattern = _expanded(entry.glob)
        # What the suite's own folder is called is no pattern.
        searched = pattern if pattern.is_absolute() else Path(glob.escape(str(base))) / pattern
        found = [Path(name) for name in glob.iglob(str(searched), recursive=True)]  # noqa: PTH207 - may be absolute
        files = [path for path in found if path.is_file()]
        produced = _in_run_folders(files, _fixed_part(base / pattern))
        paths = _chosen(base / pattern, [path for path in files if path not in produced], len(produced), 0, remarks)
    return [ImageFile(path, alpha=entry.alpha) for path in paths]


def images_in(folder: Path, remarks: list[str]) -> list[Path]:
    """Return the image files of a folder in order of name; say in a remark what is skipped.

    Raises:
        ImageError: there is no such folder, or no image in it.
    """
    if not folder.is_dir():
        raise ImageError(f"{shown(folder)}: no such folder")
    paths = list(folder.iterdir())
    # A pattern also finds links that lead round in circles, which end somewhere.
    others = [path for path in paths if path.suffix.lower() in SUFFIXES and not path.is_file() and not path.is_dir()]
    return _chosen(folder, [path for path in paths if path.is_file()], 0, len(others), remarks)


def _chosen(place: Path, files: Sequence[Path], produced: int, others: int, remarks: list[str]) -> list[Path]:
    hidden = [path for path in files if path.name.startswith(".")]
    seen = [path for path in files if not path.name.startswith(".")]
    chosen = sorted(path for path in seen if path.suffix.lower() in SUFFIXES)
    if not chosen:
        accepted = "files ending in " + " ".join(SUFFIXES)
        raise ImageError(f"{shown(place)}: no images found ({len(files)} files seen; accepted: {accepted})")
    left = Counter(path.suffix.lower() or "without a suffix" for path in seen if path.suffix.lower() not in SUFFIXES)
    counts = [f"{count} {suffix}" for suffix, count in sorted(left.items())]
    counts += [f"{len(hidden)} hidden"] if hidden else []
    counts += [f"{produced} in run folders"] if produced else []
    counts += [f"{others} that are no files (broken links, say)"] if others else []
    if counts:
        remarks.append(f"{shown(place)}: skipped {', '.join(counts)}")
    return chosen


def _fixed_part(pattern: Path) -> Path:
    """Return the folder that a pattern names before its first wildcard."""
    while glob.has_magic(str(pattern)):
        pattern = pattern.parent
    return pattern


def _in_run_folders(files: Sequence[Path], within: Path) -> set[Path]:
    """Return the files that a run wrote: what codecs made of originals are no originals for the next run."""
    known: dict[Path, bool] = {within: False}

    def inside(folder: Path) -> bool:
        if folder not in known:
            known[folder] = (folder / JOURNAL).is_file() or (folder.parent != folder and inside(folder.parent))
        return known[folder]

    return {path for path in files if inside(path.parent)}


def _expanded(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise ImageError(f"{shown(text)}: can't resolve its home folder; write the full path") from error


def _each_once(found: Sequence[_Found], remarks: list[str]) -> list[_Found]:
    """Drop what leads to a file that is there already: a link of any kind, a way through `..`, or its name again."""
    kept: dict[tuple[object, Alpha], _Found] = {}
    again: Counter[tuple[object, Alpha]] = Counter()
    for each in found:
        place = each.source.location
        key = (_file_itself(each.source), each.entry.alpha)
        if key in kept:
            again[key] += 1
            if len(Path(place).parts) < len(Path(kept[key].source.location).parts):
                kept[key] = each  # a loop of links leads to it in ever longer ways
        else:
            kept[key] = each
    for key, count in again.items():
        remarks.append(f"{shown(kept[key].source.location)}: found {count + 1} times, used once")
    return list(kept.values())


def _file_itself(source: ImageSource) -> object:
    if isinstance(source, ImageFile):
        try:
            found = source.path.stat()
        except (OSError, ValueError):  # reading says what is wrong with it
            return source.location
        if found.st_ino:
            return found.st_dev, found.st_ino
    return source.location


def _without_text(found: Sequence[_Found]) -> list[str]:
    """Return a problem for each name that is no text: it could be written to no record."""
    problems = []
    for each in found:
        try:
            each.source.location.encode()
        except UnicodeEncodeError:
            problems.append(f"{shown(each.source.location)}: {_why_no_text(each.source.location)}")
    return problems


def _why_no_text(path: str) -> str:
    try:
        os.fsencode(path).decode("utf-8")
    except UnicodeError:
        return "the path is not valid UTF-8; rename it"
    return f"the locale's encoding ({sys.getfilesystemencoding()}) lacks a character of the path; set PYTHONUTF8=1"


def _stem(location: str) -> str:
    path = Path(location)
    return path.stem if path.stem.strip() else path.name


def _unique_names(sources: Sequence[ImageSource]) -> list[str]:
    """Name images by file stem, or by as much of the path as tells them apart; numbered where they look alike."""
    locations = [source.location for source in sources]
    names = [source.name or _stem(source.location) for source in sources]
    depth = 1
    while clashing := {name for name, count in Counter(names).items() if count > 1}:
        deeper = [
            "/".join(Path(location).parts[-depth:]) if name in clashing or (depth > 1 and "/" in name) else name
            for name, location in zip(names, locations, strict=True)
        ]
        if deeper == names and depth > 1:
            names = locations
            break
        names, depth = deeper, depth + 1
    used: Counter[str] = Counter()
    numbered = []
    for name in names:
        alike = unicodedata.normalize("NFC", name).casefold()
        used[alike] += 1
        count = used[alike]
        numbered.append(name if count == 1 else f"{name} ({count})")
    return numbered
