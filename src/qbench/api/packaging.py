"""Packages for plugins, written out of templates."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from qbench.errors import QbenchError, did_you_mean, shown
from qbench.registry.forms import NAME
from qbench.toolkit.files import writing

KINDS = ("codec", "metric", "dataset", "generator")
WHAT = {
    "codec": "the codec `{name}`",
    "metric": "the metric `{name}`",
    "dataset": "the dataset `{name}`",
    "generator": "the generator `{name}`",
}
USE = {
    "codec": "In a row beside others: `qbench try PHOTO.png -c jpeg -c {name}`.",
    "metric": "On two images: `qbench measure A.png B.png -m {name}`.",
    "dataset": "In a suite: `images: [{{dataset: {name}}}]`.",
    "generator": "In a suite: `codecs: {{gan-inversion: {{generator: {name}}}}}`.",
}
HOOK = '''
@hookimpl
def qbench_register_{kind}s(register):
    """Offer the {kind}.{why}"""
    from {package}.{kind} import {cls}

    register({cls})
'''


def new_package(kind: str, name: str, folder: str | Path = ".") -> Path:
    """Write a package with a plugin of one kind, its tests and a CI file; return its folder.

    Args:
        kind: ``codec``, ``metric``, ``dataset`` or ``generator``.
        name: of the codec and so on, which the package is named after.
        folder: where the package's folder goes.

    Raises:
        QbenchError: no such kind, a name that can't be one, or a folder that is there already.
    """
    if kind not in KINDS:
        raise QbenchError(f"can't write a {kind}{did_you_mean(kind, KINDS)}; accepted: {', '.join(KINDS)}")
    if not NAME.fullmatch(name) or not re.match(r"[a-z]", name) or "+" in name:
        raise QbenchError(f"the name {name!r} is not accepted; accepted: small letters, digits, hyphens, as my-codec")
    place = Path(folder) / f"qbench-{name.replace('_', '-')}"
    if place.exists():
        raise QbenchError(f"{shown(place)}: is there already; nothing was written")
    write_package(place, {kind: name})
    return place


def write_package(place: Path, parts: Mapping[str, str]) -> None:
    """Write a package.

    Args:
        place: its folder, whose name the package has.
        parts: kind → name of what it brings.

    Raises:
        QbenchError: it can't be written.
    """
    project = place.name
    package = re.sub(r"\W", "_", project)
    entry = package.removeprefix("qbench_")
    values = {
        "PROJECT": project,
        "PACKAGE": package,
        "ENTRY": entry,
        "WHAT": " and ".join(WHAT[kind].format(name=name) for kind, name in parts.items()),
        "USE": "".join(f"{USE[kind].format(name=name)}\n" for kind, name in parts.items()),
        "FILES": ", ".join(f"`src/{package}/{kind}.py`" for kind in parts),
    }
    hooks = [
        HOOK.format(kind=kind, package=package, cls=class_name(name), why=WHY if not index else "")
        for index, (kind, name) in enumerate(parts.items())
    ]
    head = '"""A plugin for qbench."""\n\nfrom qbench.plugin import hookimpl\n'
    written = {
        "pyproject.toml": _filled("pyproject.toml", values),
        "README.md": _filled("README.md", values),
        ".github/workflows/test.yml": _filled("test.yml", values),
        f"src/{package}/__init__.py": head + "".join(f"\n\n{hook.strip()}\n" for hook in hooks),
    }
    for kind, name in parts.items():
        own = {**values, "NAME": name, "CLASS": class_name(name)}
        written[f"src/{package}/{kind}.py"] = _filled(f"{kind}.py", own)
        written[f"tests/test_{kind}.py"] = _filled(f"test_{kind}.py", own)
    for relative, text in written.items():
        path = place / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        with writing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")


WHY = " Imports are inside, so that listing plugins stays fast."


def class_name(name: str) -> str:
    """Return what a class of something is called: ``BlockMean`` of ``block-mean``."""
    return "".join(part.capitalize() for part in re.split(r"[-_]", name))


def _filled(template: str, values: Mapping[str, str]) -> str:
    text = (files("qbench") / "templates" / f"{template}.in").read_text("utf-8")
    return re.sub(r"@([A-Z]+)@", lambda found: values[found[1]], text)
