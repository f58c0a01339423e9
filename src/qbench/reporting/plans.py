"""Plans for a terminal."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from qbench.errors import shown
from qbench.planning.types import Plan


def print_plan(console: Console, plan: Plan, folder: Path, *, cells: bool = False) -> None:
    """Show what a run of a plan would do; with ``cells`` every single one."""
    images = _table("Images", "image", "size", "from", "conversions")
    for image in plan.images:
        size = f"{image.width}×{image.height}"
        described = (image.name, size, image.location, "; ".join(image.notes) or "none")
        images.add_row(*(Text(shown(cell)) for cell in described))
    console.print(images)
    for remark in plan.remarks:
        console.print(Text(remark, "yellow"))
    codecs = _table("Codecs", "label", "codec", "points", "settings", "libraries")
    for label, group in groupby(plan.points, key=lambda point: point.label):
        points = list(group)
        settings = []
        for name in points[0].parameters:
            values = dict.fromkeys(_plain(point.parameters[name]) for point in points)
            settings.append(f"{name} {', '.join(values)}")
        libraries = ", ".join(f"{name} {version}" for name, version in points[0].libraries.items())
        row = (label, points[0].codec, str(len(points)), "\n".join(settings), libraries)
        codecs.add_row(*(Text(cell or "–") for cell in row))
    console.print(codecs)
    metrics = _table("Metrics", "label", "scope", "columns", "settings")
    for metric in plan.metrics:
        settings = [f"metric {metric.metric}"] if metric.label != metric.metric else []
        settings += [f"{name} {_plain(value)}" for name, value in metric.parameters.items()]
        columns = ", ".join(metric.column_ids())
        metrics.add_row(*(Text(cell or "–") for cell in (metric.label, metric.scope, columns, "\n".join(settings))))
    console.print(metrics)
    if cells:
        listed = _table("Cells", "image", "operating point", "content key")
        for image, point, key in plan.iter_cells():
            listed.add_row(Text(shown(image.name)), Text(point.id), Text(key[:16]))
        console.print(listed)
    megapixels = sum(image.pixels for image in plan.images) * len(plan.points) / 1e6
    console.print(
        f"{len(plan.images)} images × {len(plan.points)} operating points = {plan.cells} cells "
        f"({megapixels:.1f} megapixels to code); × {len(plan.metrics)} metrics = {plan.jobs} scoring jobs",
        highlight=False,
    )
    console.print(f"profile {plan.profile} · seed {plan.seed} · plan {plan.key()[:12]}", highlight=False)
    console.print(f"run folder: {folder}", markup=False, highlight=False, soft_wrap=True)


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else "none" if value is None else str(value)


def _table(title: str, *headings: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table
