"""The originals of a plan: read again where they were, or found elsewhere by what their pixels are."""

from __future__ import annotations

import os
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from qbench.errors import ImageError, QbenchError, shown
from qbench.images.formats import SUFFIXES
from qbench.images.sources import ImageFile, ImageSource, read_again
from qbench.planning.types import Plan, PlannedImage
from qbench.registry.registry import Registry
from qbench.suite.images import sources_at

MOST_NAMED = 10
"""Originals that a message names."""


def source_of(image: PlannedImage, registry: Registry) -> ImageSource:
    """Return where an image of a run is read again.

    Raises:
        DatasetError: its dataset has to be fetched first, or no longer has it.
    """
    return sources_at([(image.location, image.dataset, image.alpha)], registry)[0]


def require_originals(plan: Plan, registry: Registry) -> None:
    """Read all originals.

    Raises:
        ImageError: listing those that are gone or have changed.
    """

    def problem(image: PlannedImage) -> str:
        try:
            read_again(source_of(image, registry), image.sha256, image.location)
        except QbenchError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        problems = [text for text in pool.map(problem, plan.images) if text]
    if problems:
        named = problems[:MOST_NAMED]
        left = [f"and {len(problems) - len(named)} more"] if len(problems) > len(named) else []
        hint = "if they are in another place, name it with --originals FOLDER (in Python: originals=…)"
        raise ImageError("\n".join([*named, *left, hint]))


def found_again(plan: Plan, folder: Path) -> Plan:
    """Return a plan whose images are all in a folder.

    Raises:
        ImageError: some are not; or there is no such folder.
    """
    found, missing = with_originals(plan, folder)
    if missing:
        raise ImageError(f"{shown(folder)}: has no image with the pixels of {', '.join(map(shown, missing))}")
    return found


def with_originals(plan: Plan, folder: Path) -> tuple[Plan, list[str]]:
    """Return a plan whose images are the files of a folder (and of those in it) that have the same pixels.

    Returns:
        The plan, and the names of images that are not there; these keep their places.

    Raises:
        ImageError: there is no such folder.
    """
    if not folder.is_dir():
        raise ImageError(f"{shown(folder)}: no such folder")
    # A reader who follows a printed path must get there from any folder.
    files = sorted(path for path in folder.absolute().rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    by_name: dict[str, list[Path]] = defaultdict(list)
    for path in files:
        by_name[path.name].append(path)
    digests: dict[tuple[Path, str], str] = {}

    def is_it(path: Path, image: PlannedImage) -> bool:
        key = path, image.alpha
        if key not in digests:
            try:
                digests[key] = ImageFile(path, alpha=image.alpha).read().digest
            except ImageError:
                digests[key] = ""
        return digests[key] == image.sha256

    images, missing = [], []
    for image in plan.images:
        likely = by_name[Path(image.location).name]
        found = next((path for path in [*likely, *files] if is_it(path, image)), None)
        if found is None:
            missing.append(image.name)
        images.append(image if found is None else replace(image, location=str(found), dataset=""))
    return replace(plan, images=tuple(images)), missing
