"""Suites made on the fly: a comparison without a YAML file, and a file to begin with."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qbench.api.coding import metric_of, named_codec
from qbench.contracts.codec import Codec, RateParameter
from qbench.errors import QbenchError, shown
from qbench.registry.catalogue import rate_parameter
from qbench.registry.registry import Registry, registry_with
from qbench.suite import document
from qbench.suite.images import images_in
from qbench.toolkit.files import writing

SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Where in the range of a codec's rate parameter a comparison looks, if nobody says."""
WIDE = 100
"""Ratio of a range's ends from which its values are multiples of each other."""
DIGITS = 3


def suite_of(
    images: Sequence[str | Path],
    codecs: Sequence[str] = (),
    metrics: Sequence[str] = (),
    *,
    target: tuple[str, float] | None = None,
    plugins: Sequence[str | Path] = (),
    name: str = "try",
    beside: str | Path = ".",
) -> dict[str, Any]:
    """Return a suite that compares codecs on images.

    Args:
        images: files and folders.
        codecs: names, or ``file.py:Name``; by default those that are customary, each over its range of rates.
        metrics: names; by default those that are customary.
        target: a metric's column and value that settings are chosen for, in place of sweeps.
        plugins: files that are plugins.
        name: of the suite.
        beside: folder that paths in it are relative to.

    Raises:
        QbenchError: something is not there, or a codec is named twice.
    """
    if not images:
        raise QbenchError("no images are given; name files or folders")
    registry = registry_with(plugins)
    entries: dict[str, Any] = {}
    for codec in codecs or [each for each in registry.codecs if registry.codecs[each].usual]:
        found, registry = named_codec(codec, registry)
        if found in entries:
            raise QbenchError(f"{found} is named twice; a suite (qbench init) can have one codec with several settings")
        entries[found] = {"target": {target[0]: target[1]}} if target is not None else swept(found, registry)
    chosen = list(metrics) or [each for each in registry.metrics if registry.metrics[each].usual]
    if target is not None:
        wanted, _ = metric_of(target[0], registry)
        chosen += [wanted] if wanted not in chosen else []
    made: dict[str, Any] = {"name": name}
    if registry.files:
        made["plugins"] = [_relative(file, beside) for file in registry.files]
    return made | {"images": _entries(images, beside), "codecs": entries, "metrics": chosen}


def _entries(images: Sequence[str | Path], beside: str | Path) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    files = []
    for path in map(Path, images):
        if path.is_dir():
            entries.append({"folder": _relative(path, beside)})
        elif path.exists():
            files.append(_relative(path, beside))
        else:
            raise QbenchError(f"{shown(path)}: no such file or folder")
    return [*([{"files": files}] if files else []), *entries]


def _relative(path: str | Path, beside: str | Path) -> str:
    found = os.path.relpath(path, beside)
    return Path(found).as_posix() if not found.startswith("..") else str(Path(path).absolute())


def swept(codec: str, registry: Registry) -> dict[str, Any]:
    """Return settings of a codec that cover its range of rates; none where it has no parameter for that.

    Of a codec in a file that names none, its only number with bounds is one.
    """
    offer = registry.codecs.offer(codec)
    rate = rate_parameter(offer, {})
    if rate is None and offer.plugin.distribution.endswith(".py"):
        rate = _only_number(offer.cls)
    if rate is None:
        return {}
    values: dict[float, None] = {}
    for share in SHARES:
        if rate.low > 0 and rate.high / rate.low > WIDE and not rate.integer:
            value = rate.low * (rate.high / rate.low) ** share
        else:
            value = rate.low + (rate.high - rate.low) * share
        values[round(value) if rate.integer else _rounded(value)] = None
    return {rate.name: list(values)}


def _only_number(codec: type[Codec]) -> RateParameter | None:
    numbers = [
        RateParameter(name, field["minimum"], field["maximum"], integer=field["type"] == "integer")
        for name, field in codec.Parameters.model_json_schema().get("properties", {}).items()
        if field.get("type") in ("integer", "number") and {"minimum", "maximum"} <= field.keys()
    ]
    return numbers[0] if len(numbers) == 1 else None


def _rounded(value: float) -> float:
    return round(value, DIGITS - 1 - math.floor(math.log10(abs(value)))) if value else 0.0


def save_suite(suite: dict[str, Any], path: Path, *, replace: bool = False) -> None:
    """Write a suite as a YAML file.

    Raises:
        QbenchError: it is there already, or can't be written.
    """
    _write(document.dump(suite), path, replace=replace)


def _write(text: str, path: Path, *, replace: bool = False) -> None:
    if path.exists() and not replace:
        raise QbenchError(f"{shown(path)}: is there already; nothing was written")
    with writing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def first_suite(folder: Path, registry: Registry) -> str:
    """Return the text of a suite for the images in a folder (or below it), with comments; else for sample images."""
    found = _folder_with_images(folder)
    if found is None:
        dataset = next(iter(registry.datasets))
        images = [f"  - dataset: {dataset}   # no images are here; or e.g.  - folder: photos"]
    else:
        images = [f"  - folder: {_quoted(_relative(found, folder))}   # every image in it, relative to this file"]
    lines = [
        "# A suite: every image is coded by every codec at each of its settings, and scored by every metric.",
        "# Run it:        qbench run suite.yaml        (again, it goes on where it stopped)",
        "# What it does:  qbench plan suite.yaml",
        "# More:          qbench plugins;  qbench plugins show NAME",
        f"name: {_quoted(folder.resolve().name or 'suite')}",
        "",
        "images:",
        *images,
        "",
        "codecs:   # label: settings; a list gives an operating point for each of its values",
    ]
    usual = [name for name in registry.codecs if registry.codecs[name].usual]
    for name in usual:
        settings = ", ".join(f"{key}: {value}" for key, value in swept(name, registry).items())
        lines.append(f"  {name}: {{{settings}}}   # {registry.codecs[name].summary}")
    others = [name for name in registry.codecs if name not in usual]
    lines += [f"  # also: {', '.join(others)}", "", "metrics:"]
    for name in (each for each in registry.metrics if registry.metrics[each].usual):
        lines.append(f"  - {name}   # {registry.metrics[name].summary}")
    rest = [name for name in registry.metrics if not registry.metrics[name].usual]
    lines += [
        f"  # also: {', '.join(rest)}",
        "",
        "# plugins: [./mycodec.py]   # codecs and metrics of your own, a file each",
    ]
    return "\n".join(lines) + "\n"


def write_first_suite(folder: str | Path = ".", name: str = "suite.yaml") -> Path:
    """Write a suite for the images of a folder into it; return the file.

    Raises:
        QbenchError: no such folder, or a suite is there already.
    """
    place = Path(folder)
    if not place.is_dir():
        raise QbenchError(f"{shown(place)}: no such folder")
    path = place / name
    _write(first_suite(place, registry_with()), path)
    return path


def _folder_with_images(folder: Path) -> Path | None:
    for place in (
        folder,
        *sorted(each for each in folder.iterdir() if each.is_dir() and not each.name.startswith(".")),
    ):
        try:
            if images_in(place, []):
                return place
        except (QbenchError, OSError):
            continue
    return None


def _quoted(text: str) -> str:
    return document.dump({"x": text}).partition(":")[2].strip()
