"""The console that everything is shown on: what names contain is shown, and never obeyed."""

from __future__ import annotations

from collections.abc import Iterable

from rich import console
from rich.segment import Segment

from qbench.errors import shown


class Console(console.Console):
    """Rich's console; control characters in texts, which could move the cursor or set the title, appear escaped."""

    def render(
        self, renderable: console.RenderableType, options: console.ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Render to segments whose texts are printable."""
        for segment in super().render(renderable, options):
            text = segment.text
            if segment.control or text == "\n" or text.isprintable():
                yield segment
            else:
                yield Segment("\n".join(map(shown, text.split("\n"))), segment.style)
