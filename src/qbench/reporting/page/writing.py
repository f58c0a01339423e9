"""Puts content, images, style and scripts into one HTML file."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import html
import json
import re
from collections.abc import Collection, Mapping, Sequence
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

from qbench.errors import OutputError, StoreError
from qbench.reporting.appearance import DARK, LIGHT, appearances
from qbench.reporting.page import page_images
from qbench.reporting.page.content import Explanations, run_content
from qbench.reporting.page.series import read_series
from qbench.reporting.runs import told_apart
from qbench.results.comparability import unlike_images
from qbench.results.run import Run
from qbench.store.folder import RunFolder
from qbench.toolkit.files import writing

BEGINNING = 1000
"""Characters of a page among which it says what it was made by."""
SCRIPTS = ("elements.js", "tables.js", "curves.js", "viewer.js", "blind.js", "main.js")


def write_page(
    path: Path,
    runs: Sequence[Run],
    originals: page_images.Originals,
    explanations: Sequence[Explanations],
    *,
    keep_fuller: bool = False,
    usual: Collection[str] = (),
) -> list[Path]:
    """Write the report of one or several runs.

    Images are in the file while it stays below 20 MB; else it refers to those in the run folder, or to copies in
    ``<name>-files`` beside it.

    Args:
        path: of the HTML file.
        originals: how to get an original, which a run folder does not keep.
        explanations: of each run.
        keep_fuller: whether a file that is there stays if originals are missing now.
        usual: names of codecs that others are customarily compared with.

    Returns:
        What was written: the file, and the folder beside it if there is one.

    Raises:
        QbenchError: it can't be written, or would replace one that is fuller.
    """
    content = [run_content(run, each, usual) for run, each in zip(runs, explanations, strict=True)]
    for each, name in zip(content, told_apart(runs), strict=True):
        each["name"] = name
    looks = appearances(runs)
    for index, each in enumerate(content):
        each["looks"] = {
            codec: [look.colour, look.marker, look.line] for (codec, run), look in looks.items() if run == index
        }
    unlike = unlike_images(runs)
    for each, of in zip(content, runs, strict=True):
        each["unlike"] = unlike.get(of.name, [])
    found = page_images.collect(runs, originals)
    lacking = [*found.missing.values(), *(["reconstructions are gone or altered"] if found.gone else [])]
    if keep_fuller and lacking and path.exists():
        raise StoreError(
            f"{path}: stays as it is, as a new one would lack pictures: {lacking[0]}. Say where originals are "
            "(--originals FOLDER), or name another file (--output)"
        )
    made_by = f"qbench {version('qbench')}" if lacking else generator(runs)
    _add_missing(content, found.missing)
    for run, row in found.altered:
        content[run]["rows"][row]["altered"] = True
    folder = path.parent / f"{path.stem}-files"
    small = page_images.fit_inline(found.assets, len(_json(content)))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for number, asset in enumerate(found.assets):
            if asset.kind == "series":
                _add_series(content[asset.run], asset)
                continue
            address = page_images.inline(asset) if small else page_images.beside(asset, path, folder, number)
            _add(content[asset.run], asset, address)
        with writing(path) as temporary:  # a report may be open while a run continues
            temporary.write_text(page_text(content, made_by), encoding="utf-8")
    except OSError as error:
        raise OutputError(path, error) from error
    return [path] if small or not folder.is_dir() else [path, folder]


def page_text(content: list[dict[str, Any]], made_by: str = "qbench") -> str:
    """Return the HTML of a report's content.

    Everything that comes from suites, files and plugins is in a block of JSON that no text can end, and is only ever
    set as text by the scripts. The page's policy runs no other script than these.
    """
    here = files("qbench.reporting.page")
    style = (here / "style.css").read_text("utf-8")
    script = "\n".join((here / name).read_text("utf-8") for name in SCRIPTS)
    script = f'"use strict";\n(() => {{\n{script}\n}})();\n'
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    title = " · ".join(dict.fromkeys(str(run["name"]) for run in content))
    parts = {
        "generator": html.escape(made_by),
        "title": html.escape(title),
        "digest": digest,
        "style": f"{_palette()}{style}",
        "content": _json(content),
        "script": script,
    }
    # In one pass: what is put in may itself hold such a mark.
    return re.sub(r"\{\{(\w+)\}\}", lambda mark: parts[mark[1]], (here / "page.html").read_text("utf-8"))


def _palette() -> str:
    """Return the colours of codecs, as figures have them."""
    themes = (":root", LIGHT), (':root[data-theme="dark"]', DARK)
    rules = [
        f"{root} {{ {' '.join(f'--s{index}: {colour};' for index, colour in enumerate(colours))} }}"
        for root, colours in themes
    ]
    rules += [f".series{index} {{ --series: var(--s{index}); }}" for index in range(len(LIGHT))]
    return "".join(f"{rule}\n" for rule in rules)


def generator(runs: Sequence[Run]) -> str:
    """Return what a page says it was made by, and of what."""
    digest = hashlib.sha256()
    for run in runs:
        digest.update(run.name.encode() + b"\0")
        with contextlib.suppress(OSError):
            digest.update(RunFolder(run.path).journal_path.read_bytes())
    return f"qbench {version('qbench')}, {digest.hexdigest()}"


def is_current(path: Path, run: Run) -> bool:
    """Whether a page is there that this version of qbench made of all of a run's records, and lacks nothing."""
    try:
        page = path.read_bytes()
    except OSError:
        return False
    made_by = f'content="{html.escape(generator([run]))}"'.encode()
    return made_by in page[:BEGINNING] and page.rstrip().endswith(b"</html>")


def _json(content: Any) -> str:
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text


def _add_missing(content: list[dict[str, Any]], missing: Mapping[tuple[int, int], str]) -> None:
    for (run, image), reason in missing.items():
        content[run]["images"][image]["missing"] = reason


def _add(run: dict[str, Any], asset: page_images.Asset, address: str) -> None:
    if asset.row is None:
        run["images"][asset.image]["original"] = address
    elif asset.kind == "reconstruction":
        run["rows"][asset.row]["reconstruction"] = address
    else:
        found = {"name": asset.name, "summary": asset.summary, "address": address}
        run["rows"][asset.row].setdefault("artifacts", []).append(found)


def _add_series(run: dict[str, Any], asset: page_images.Asset) -> None:
    series = read_series(asset.read())
    if series is not None:
        found = {"name": asset.name, "summary": asset.summary, **series}
        run["rows"][asset.row].setdefault("series", []).append(found)
