"""The entry points of installed packages, whatever state the environment is in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, EntryPoint, MetadataPathFinder
from pathlib import PurePath


@dataclass(frozen=True)
class Installed:
    """An entry point and the package that it came in; or, without one, a package whose entry points can't be read."""

    distribution: str
    version: str
    point: EntryPoint | None
    problem: str = ""
    editable: bool = False


def distributions() -> Iterable[Distribution]:
    """Return what is installed, by Python's own finder.

    Its backport, if anything loads that, takes the place of it, and is of another mind about what is damaged.
    """
    return MetadataPathFinder.find_distributions()


def installed_entry_points(group: str) -> Iterator[Installed]:
    """Yield the entry points of a group.

    One broken package must not hide the others, as it does from ``importlib.metadata.entry_points``; nor must what an
    uninstalled version left behind, which has no entry points. Of several versions, the first on ``sys.path`` counts.
    """
    seen: set[tuple[str, str]] = set()
    for distribution in distributions():
        try:
            text = distribution.read_text("entry_points.txt") or ""
            if group not in text:
                continue  # most packages: reading on would cost time
            points = [point for point in distribution.entry_points if point.group == group]
            name, version = _name(distribution), _version(distribution)
        except Exception as error:
            yield Installed(_folder(distribution), "?", None, f"its entry points can't be read: {error}")
            continue
        for point in points:
            key = (re.sub(r"[-_.]+", "-", name).lower(), point.name)
            if key not in seen:
                seen.add(key)
                yield Installed(name, version, point, editable=_editable(distribution))


def _name(distribution: Distribution) -> str:
    return str(distribution.metadata["Name"] or _folder(distribution))


def _version(distribution: Distribution) -> str:
    return str(distribution.metadata["Version"] or "?")


def _folder(distribution: Distribution) -> str:
    return PurePath(str(getattr(distribution, "_path", "?"))).name


def _editable(distribution: Distribution) -> bool:
    """Whether it is installed in editable mode (PEP 660), so that its code changes without its version."""
    try:
        origin = json.loads(distribution.read_text("direct_url.json") or "{}")
        return bool(origin.get("dir_info", {}).get("editable", False))
    except (ValueError, AttributeError):
        return False
