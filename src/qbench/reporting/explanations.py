"""What is behind a score, for a terminal or as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from qbench.contracts.artifact import Artifact
from qbench.contracts.metric import Explanation
from qbench.errors import OutputError
from qbench.toolkit.files import replacing


def print_explanation(console: Console, title: str, explanation: Explanation, most: int) -> None:
    """Show an explanation: its facts, then its tables, each cut after ``most`` rows (0 shows all)."""
    console.print(Text(title, "bold"))
    wide = max((len(name) for name in explanation.facts), default=0)
    for name, value in explanation.facts.items():
        console.print(Text.assemble((name.ljust(wide), "dim"), "  ", _text(value)))
    for found in explanation.tables:
        shown = found.rows[:most] if most else found.rows
        table = Table(
            title=f"{found.title} ({len(found.rows)})",
            title_justify="left",
            title_style="bold",
            box=box.SIMPLE_HEAD,
            pad_edge=False,
        )
        for index, name in enumerate(found.columns):
            numeric = bool(found.rows) and all(not isinstance(row[index], str) for row in found.rows)
            table.add_column(name, justify="right" if numeric else "left", overflow="fold")
        for row in shown:
            table.add_row(*(_text(value) for value in row))
        console.print(table)
        if len(shown) < len(found.rows):
            console.print(Text(f"and {len(found.rows) - len(shown)} more; --all lists them", "dim"))
    for artifact in explanation.artifacts:
        console.print(Text.assemble(artifact.name, (f"  {artifact.summary}" if artifact.summary else "", "dim")))


def explanation_content(explanation: Explanation) -> dict[str, Any]:
    """Return an explanation as plain values; of artifacts, what they are and not their bytes."""
    artifacts = [{"name": each.name, "summary": each.summary} for each in explanation.artifacts]
    return asdict(replace(explanation, artifacts=())) | {"artifacts": artifacts}


def explanation_json(explanation: Explanation) -> str:
    """Return an explanation as JSON."""
    return json.dumps(explanation_content(explanation), indent=1, ensure_ascii=False)


def write_artifacts(artifacts: Sequence[Artifact], folder: Path) -> list[Path]:
    """Write artifacts to a folder, which is made; return the files.

    Raises:
        QbenchError: they can't be written.
    """
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for artifact in artifacts:
            path = folder / Path(artifact.name).name
            with replacing(path) as temporary:
                temporary.write_bytes(artifact.data)
            written.append(path)
    except OSError as error:
        raise OutputError(folder, error) from error
    return written


def _text(value: str | int | float) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
