"""What is behind a score, for a terminal or as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from qbench.contracts.metric import Explanation


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


def explanation_json(explanation: Explanation) -> str:
    """Return an explanation as JSON."""
    return json.dumps(asdict(explanation), indent=1, ensure_ascii=False)


def _text(value: str | int | float) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
