"""What a notebook shows: a run's progress, and images beside each other. IPython is never required."""

from __future__ import annotations

import base64
import importlib
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qbench.execute import work
from qbench.images.image import Image, encode_png
from qbench.markup import escape_html
from qbench.reporting.tally import Tally

LEAST_SECONDS = 0.25
"""Between two pictures of the bar."""
MOST_LINES = 20
MOST_PIXELS = 4_000_000
"""Of an image that is shown as it is; of larger ones every second pixel, or fewer."""


@dataclass(frozen=True)
class Shown:
    """Something that a notebook shows, and a terminal as text."""

    html: str
    text: str

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        """Return the text."""
        return self.text


def in_notebook() -> bool:
    """Say whether this process is a notebook's kernel."""
    shell = sys.modules.get("IPython")
    found = shell.get_ipython() if shell is not None else None
    return found is not None and hasattr(found, "kernel")


class NotebookDisplay:
    """Shows a run's events below the cell that runs it: pass :meth:`on_event` on. Use it as a context manager."""

    def __init__(self) -> None:
        self._tally = Tally()
        self._lines: list[str] = []
        self._left_out = 0
        self._started = self._drawn = time.monotonic()
        self._now = ""
        self._handle: Any = None

    def __enter__(self) -> NotebookDisplay:
        """Show an empty bar."""
        # Not named in an import, as it need not be there: who is in a notebook has it.
        self._ipython: Any = importlib.import_module("IPython.display")
        self._handle = self._ipython.display(self._ipython.HTML(self._html()), display_id=True)
        return self

    def __exit__(self, *_: object) -> None:
        """Show where it ended."""
        self._now = ""
        self._draw()

    def on_event(self, event: work.Event) -> None:
        """Show one event."""
        for line in self._tally.on_event(event):
            if len(self._lines) < MOST_LINES:
                self._lines.append(line)
            else:
                self._left_out += 1
        if isinstance(event, work.CellStarted):
            self._now = f"{event.image} · {event.point}"
        elif isinstance(event, work.ScoringStarted):
            self._now = f"{event.image} · {event.metric}"
        if time.monotonic() - self._drawn > LEAST_SECONDS:
            self._draw()

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        self._handle.update(self._ipython.HTML(self._html()))

    def _html(self) -> str:
        tally = self._tally
        done, whole = tally.cells_done + tally.jobs_done, (tally.cells or 0) + tally.jobs
        bar = f'<progress value="{done}" max="{max(whole, 1)}"></progress>'
        seconds = f"{time.monotonic() - self._started:.0f} s"
        said = escape_html(f"{tally}, {seconds}{f' · {self._now}' if self._now else ''}") if tally.cells else "starting"
        more = [f"and {self._left_out} more lines"] if self._left_out else []
        lines = "".join(f"<div>{escape_html(line)}</div>" for line in (*self._lines, *more))
        return f"<div>{bar} {said}</div>{lines}"


def beside(images: Sequence[tuple[str, Image]]) -> str:
    """Return images with captions beside each other, as HTML that needs no other file."""
    figures = []
    for caption, image in images:
        pixels = image.pixels
        step = 1
        while pixels.shape[0] * pixels.shape[1] / step**2 > MOST_PIXELS:
            step += 1
        said = f"{caption}{f' (every {step}th pixel each way)' if step > 1 else ''}"
        data = base64.b64encode(encode_png(pixels[::step, ::step])).decode()
        figures.append(
            '<figure style="margin:0;flex:1 1 200px;min-width:0">'
            f'<img style="max-width:100%" alt="{escape_html(said)}" '
            f'src="data:image/png;base64,{data}"><figcaption>{escape_html(said)}</figcaption></figure>'
        )
    return f'<div style="display:flex;gap:8px;flex-wrap:wrap">{"".join(figures)}</div>'
