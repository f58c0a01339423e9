"""Tables as HTML, for notebooks and web pages."""

from __future__ import annotations

import html
from collections.abc import Sequence

from qbench.errors import shown


def escape_html(text: str) -> str:
    """Return text as HTML shows it to the letter, on one line."""
    return html.escape(shown(" ".join(text.splitlines())))


def html_table(
    header: Sequence[str],
    body: Sequence[Sequence[str]],
    left: Sequence[bool],
    notes: Sequence[str] = (),
    title: str = "",
) -> str:
    """Return a table, with its notes below.

    Args:
        header, body: cells, which are HTML already.
        left: which columns stand on the left, being text.
        notes, title: plain text.
    """
    sides = ["left" if stands else "right" for stands in left]

    def row(tag: str, cells: Sequence[str]) -> str:
        made = (f'<{tag} style="text-align:{side}">{cell}</{tag}>' for side, cell in zip(sides, cells, strict=True))
        return f"<tr>{''.join(made)}</tr>\n"

    caption = f'<caption style="text-align:left">{escape_html(title)}</caption>\n' if title else ""
    text = f"<table>\n{caption}<thead>\n{row('th', header)}</thead>\n<tbody>\n"
    text += "".join(row("td", line) for line in body) + "</tbody>\n</table>\n"
    return text + "".join(f"<p>{escape_html(note)}</p>\n" for note in notes)
