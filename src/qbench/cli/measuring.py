"""Commands on images that are there already: measure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qbench.cli.options import Device, PluginFiles, listed
from qbench.cli.sheets import Format, Output, show_sheet
from qbench.cli.streams import say


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("measure")(measure_command)


def measure_command(
    reference: Annotated[Path, typer.Argument(help="The original, or a folder of originals.", show_default=False)],
    distorted: Annotated[
        list[Path],
        typer.Argument(help="Images to compare with it, or folders with images of the same names.", show_default=False),
    ],
    metric: Annotated[
        list[str] | None,
        typer.Option("--metric", "-m", help="Name of a metric, repeatable. Default: those that are customary."),
    ] = None,
    fail_if: Annotated[
        list[str] | None,
        typer.Option(help="Exit with code 1 if the condition holds for a pair: `ssim < 0.95`. Repeatable."),
    ] = None,
    profile: Annotated[str, typer.Option(help="Which weights: bundled, hub.")] = "bundled",
    device: Device = "auto",
    form: Format = "table",
    output: Output = None,
    plugin: PluginFiles = None,
) -> None:
    """Score images that are there already: two files, or folders of images with the same names.

    Rates are of the files' sizes. Exit code 1: a condition of --fail-if holds or can't be judged, or a metric failed.
    """
    from qbench.api.measuring import measure_pairs, pairs_of
    from qbench.reporting.measurement import measurement_sheet, parse_threshold, violations

    names = listed(metric)
    pairs = pairs_of(reference, distorted)
    found = measure_pairs(pairs, names, device=device, profile=profile, plugins=plugin or ())
    thresholds = [parse_threshold(text, list(found.columns)) for text in fail_if or ()]
    show_sheet(measurement_sheet(found.columns, found.rows, list(found.means.values())), form, output)
    for note in found.notes:
        say(f"note: {note}", error=True)
    told = [f"{each.text}: {line}" for each in thresholds for line in violations(each, found.rows)]
    for line in (*found.failures, *(f"failed: {each}" for each in told)):
        say(line, error=True)
    if told or found.failures:
        raise typer.Exit(1)
