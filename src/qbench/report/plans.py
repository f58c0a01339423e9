"""Plans for a terminal."""

from __future__ import annotations

from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from qbench.plan import Plan


def print_plan(console: Console, plan: Plan, folder: Path) -> None:
    """Show what a run of a plan would do."""
    table = Table(title="Images", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("image", "size", "from", "on reading"):
        table.add_column(heading, overflow="fold")
    for image in plan.images:
        table.add_row(image.name, f"{image.width}×{image.height}", image.location, "; ".join(image.notes) or "as it is")
    console.print(table)
    table = Table(
        title="Operating points", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False
    )
    for heading in ("operating point", "codec", "settings", "libraries", "plugin"):
        table.add_column(heading, overflow="fold")
    for point in plan.points:
        settings = " ".join(f"{name}={value}" for name, value in point.parameters.items())
        libraries = ", ".join(f"{name} {version}" for name, version in point.identity["libraries"].items())
        table.add_row(point.id, point.codec, settings, libraries or "–", point.plugin)
    console.print(table)
    table = Table(title="Metrics", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("metric", "scope", "columns", "plugin"):
        table.add_column(heading, overflow="fold")
    for metric in plan.metrics:
        table.add_row(metric.label, metric.scope, ", ".join(metric.column_ids()), metric.plugin)
    console.print(table)
    megapixels = sum(image.pixels for image in plan.images) * len(plan.points) / 1e6
    console.print(
        f"{plan.cells} cells ({len(plan.images)} images × {len(plan.points)} operating points, {megapixels:.1f} "
        f"megapixels to code), {plan.jobs} scoring jobs · profile {plan.profile} · seed {plan.seed}",
        highlight=False,
    )
    console.print(f"run folder: {folder}", markup=False, highlight=False, soft_wrap=True)
