"""Commands that look: show, explain, plugins, datasets, schema, cache."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qbench.cli.options import Device, OriginalsFolder, PluginFiles, Trust, shows
from qbench.cli.runs import RunName
from qbench.cli.streams import put, say

if TYPE_CHECKING:
    from qbench.reporting.look import Look
    from qbench.store.folder import RunFolder

MOST_EXPLAINED = 20
"""Rows of a table that are shown unless all are asked for."""

NOTHING = {
    "--timings": "nothing is coded yet",
    "--complexity": "no codec in this run states its complexity",
    "--failures": "nothing failed",
}
"""Why a table is empty."""

plugins_app = typer.Typer(
    help="List the installed plugins, or describe what they provide.", invoke_without_command=True
)
datasets_app = typer.Typer(help="List named datasets, or fetch one.", invoke_without_command=True)
cache_app = typer.Typer(help="Show or clear the cache shared by runs.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command("show")(show_command)
    app.command("explain")(explain_command)
    app.add_typer(plugins_app, name="plugins")
    app.add_typer(datasets_app, name="datasets")
    app.command("schema")(schema_command)
    app.add_typer(cache_app, name="cache")


def _show_log(folder: RunFolder, form: str, output: Path | None) -> None:
    """Show what was printed, process by process."""
    from qbench.errors import QbenchError, shown

    if form != "table":
        raise QbenchError("--log has no other format; -o writes it to a file")
    pieces = [f"{name}:\n" + "\n".join(map(shown, text.splitlines())) for name, text in folder.logs()]
    if not pieces:
        say("nothing to show of --log: codecs and metrics printed nothing", error=True)
        return
    put("\n\n".join(pieces) + "\n", output)


@shows
def show_command(
    run: RunName,
    form: Annotated[
        str, typer.Option("--format", "-f", help="table, markdown, latex, html, csv, json or parquet.")
    ] = "table",
    group_by: Annotated[
        str | None,
        typer.Option("--group-by", "-g", help="Summarise by point, codec or image instead of listing cells."),
    ] = None,
    sort: Annotated[
        str | None, typer.Option("--sort", "-s", help="Sort by a column, best first; or by image, codec or point.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write to a file.")] = None,
    look: Look | None = None,
    timings: Annotated[bool, typer.Option("--timings", help="Show coding times.")] = False,
    complexity: Annotated[
        bool, typer.Option("--complexity", help="Show parameters, kMAC/pixel and memory, as codecs state them.")
    ] = False,
    pooled: Annotated[
        bool, typer.Option("--pooled", help="Use each metric's own aggregation, e.g. PSNR of the overall MSE.")
    ] = False,
    failures: Annotated[bool, typer.Option("--failures", help="Show every failure with its traceback.")] = False,
    log: Annotated[bool, typer.Option("--log", help="Show what codecs and metrics printed.")] = False,
) -> None:
    """Show a run, finished or not: its cells and a summary, or one of the other tables."""
    from qbench.api.reporting import savings_of
    from qbench.api.runs import load_run
    from qbench.errors import QbenchError, did_you_mean
    from qbench.records import JOURNAL
    from qbench.registry.registry import default_registry
    from qbench.reporting import costs, formats, story, tables
    from qbench.reporting.aggregate import pools
    from qbench.reporting.console import Console
    from qbench.store.folder import RunFolder

    if form not in formats.FORMATS:
        raise QbenchError(
            f"unknown format `{form}`{did_you_mean(form, formats.FORMATS)} (accepted: {', '.join(formats.FORMATS)})"
        )
    grouping = " with ".join(
        name for name, given in (("--group-by", group_by is not None), ("--pooled", pooled)) if given
    )
    asked = [
        name
        for name, given in (
            ("--cells", look is not None and look.cells),
            (grouping, bool(grouping)),
            ("--timings", timings),
            ("--complexity", complexity),
            ("--failures", failures),
            ("--log", log),
        )
        if given
    ]
    assert look is not None
    if len(asked) > 1:
        raise QbenchError(f"{' and '.join(asked)} are different tables; ask for one at a time")
    if sort is not None and (timings or complexity or failures or log):
        raise QbenchError(f"--sort does not apply to {asked[0]}")
    found = load_run(run)
    if log:
        _show_log(RunFolder(found.path), form, output)
        return
    points = {point.id: point for point in found.plan.points}
    coded = [(points[row.point], row.cell) for row in found.rows if row.cell is not None]
    altered = RunFolder(found.path).sizes_differ(coded)
    if altered:
        say(f"note: {altered} bitstreams have other sizes than were measured; see qbench verify", error=True)
    view = formats.View(
        group_by or ("point" if pooled else None),
        sort,
        pools(found, default_registry().metrics) if pooled else None,
        costs.timings_sheet(found)
        if timings
        else costs.complexity_sheet(found)
        if complexity
        else costs.failures_sheet(found)
        if failures
        else None,
        look.columns,
    )
    look.check(list(found.columns))
    if view.sheet is not None and not view.sheet.lines:
        say(f"nothing to show of {asked[0]}: {NOTHING[asked[0]]}", error=True)
    if form in ("csv", "json", "parquet"):  # which hold no notes
        damage = [line for line in found.remarks if line.startswith(JOURNAL)]
        for line in (*damage, *(view.sheet.notes if view.sheet is not None else ())):
            say(f"note: {line}", error=True)
    if form == "parquet":
        if output is None:
            raise QbenchError("the parquet format is binary: name a file with --output")
        formats.write_parquet(found, output, view)
        return
    if form != "table":
        text = formats.write_text(found, form, view)
        put(text, output)
        return
    kept = None if output is None else io.StringIO()
    console = Console(file=kept)
    if failures:
        for note in found.failures:
            console.rule(f"{note.image} · {note.point}", align="left")
            printed = f"\nlast printed:\n{note.printed}" if note.printed else ""
            text = f"{note.what}\n{note.traceback or note.message}{printed}"
            console.print(text, markup=False, highlight=False)
    elif view.sheet is not None:
        if view.sheet.lines:
            console.print(tables.sheet_table(view.sheet, console.width))
            for line in view.sheet.notes:
                console.print(line, style="yellow", markup=False, highlight=False)
    elif view.by is not None:
        story.print_groups(console, found, look, by=view.by, sort=sort, ways=view.ways)
    else:
        story.print_run(console, found, look, sort=sort, found=savings_of(found, look.anchor))
    if not found.complete:
        console.print("this run is incomplete; run its suite again to resume it", style="yellow")
    if output is not None and kept is not None:
        put(kept.getvalue(), output)


def explain_command(
    run: RunName,
    image: Annotated[str, typer.Option(help="Name of the image.", show_default=False)],
    point: Annotated[str, typer.Option(help="The operating point, such as jpeg:quality=40.", show_default=False)],
    metric: Annotated[str | None, typer.Option(help="Label of the metric; needed if several support explain.")] = None,
    form: Annotated[str, typer.Option("--format", "-f", help="table or json.")] = "table",
    everything: Annotated[bool, typer.Option("--all", help="List every row.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder to write the metric's artifacts to, such as maps.")
    ] = None,
    originals: OriginalsFolder = None,
    trust: Trust = False,
    device: Device = "auto",
    plugin: PluginFiles = None,
) -> None:
    """Explain a metric's value for one cell, such as the labels that a classifier kept and lost."""
    from qbench.api.explaining import explain
    from qbench.errors import QbenchError
    from qbench.reporting.console import Console
    from qbench.reporting.explanations import explanation_json, print_explanation, write_artifacts

    if form not in ("table", "json"):
        raise QbenchError(f"unknown format `{form}` (accepted: table, json)")
    tell = partial(say, error=True)
    planned, explanation = explain(
        run, image, point, metric, originals=originals, trust=trust, device=device, plugins=plugin or (), notice=tell
    )
    if form == "json":
        put(explanation_json(explanation) + "\n")
    else:
        title = f"{planned.label} · {image} · {point}"
        print_explanation(Console(), title, explanation, 0 if everything else MOST_EXPLAINED)
    if output is not None:
        if not explanation.artifacts:
            raise QbenchError(f"{planned.label} has no artifacts here; nothing was written to {output}")
        for path in write_artifacts(explanation.artifacts, output):
            say(path, error=True)


@plugins_app.callback()
def plugins_command(context: typer.Context, plugin: PluginFiles = None) -> None:
    """List the installed plugins."""
    if context.invoked_subcommand is None:
        from qbench.registry.registry import registry_with
        from qbench.reporting.console import Console
        from qbench.reporting.plugins import print_plugins

        if not print_plugins(Console(), registry_with(plugin or ())):
            raise typer.Exit(1)


def _listing(kind: str) -> None:
    """Register the command that lists one kind of what plugins offer."""

    def command(plugin: PluginFiles = None) -> None:
        from qbench.registry.registry import registry_with
        from qbench.reporting.console import Console
        from qbench.reporting.plugins import print_kind

        print_kind(Console(), registry_with(plugin or ()), kind)

    plugins_app.command(kind, help=f"List all {kind} that are installed.")(command)


for _kind in ("codecs", "metrics", "generators", "losses", "datasets", "recipes", "formats"):
    _listing(_kind)


@plugins_app.command("show")
def plugins_show_command(
    name: Annotated[str, typer.Argument(help="Name of a codec, metric, dataset or plugin.", show_default=False)],
    plugin: PluginFiles = None,
) -> None:
    """Describe a codec, metric or dataset: parameters with bounds and defaults, columns, source."""
    from qbench.registry.registry import registry_with
    from qbench.reporting.console import Console
    from qbench.reporting.plugins import print_offer

    print_offer(Console(), registry_with(plugin or ()), name)


@plugins_app.command("reference")
def plugins_reference_command(
    kind: Annotated[str, typer.Argument(help="metrics.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write to a file.")] = None,
) -> None:
    """Write the reference page for everything installed of one kind, in Markdown."""
    from qbench.errors import QbenchError
    from qbench.registry.registry import default_registry
    from qbench.reporting.reference import metrics_page

    if kind != "metrics":
        raise QbenchError(f"no reference page for `{kind}` (accepted: metrics)")
    text = metrics_page(default_registry())
    put(text, output)


@datasets_app.callback()
def datasets_command(context: typer.Context) -> None:
    """List named datasets."""
    if context.invoked_subcommand is None:
        from qbench.registry.registry import default_registry
        from qbench.reporting.console import Console
        from qbench.reporting.plugins import print_datasets

        print_datasets(Console(), default_registry())


@datasets_app.command("pull")
def datasets_pull_command(
    name: Annotated[str, typer.Argument(help="Name of the dataset.", show_default=False)],
) -> None:
    """Fetch a dataset from its public home."""
    from rich.progress import Progress

    from qbench.home import dataset_home
    from qbench.registry.registry import default_registry
    from qbench.reporting.console import Console

    dataset = default_registry().datasets[name]()
    console = Console(stderr=True)
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task(name, total=None)
        dataset.fetch(
            dataset_home(name),
            lambda done, total, file: progress.update(task, completed=done, total=total, description=f"{name} {file}"),
        )
    count = len(dataset.images(dataset_home(name)))
    console.print(f"{name}: {count} images in {dataset_home(name)}", highlight=False, soft_wrap=True)


def schema_command(
    what: Annotated[str, typer.Argument(help="suite or run-folder.")] = "suite",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write to a file.")] = None,
) -> None:
    """Print the JSON schema of suites, for editors, with every installed codec and metric; or of run folders."""
    import json

    from qbench.errors import QbenchError, did_you_mean

    known = ("suite", "run-folder")
    if what == "suite":
        from qbench.registry.registry import default_registry
        from qbench.suite.schema import suite_schema

        schema = suite_schema(default_registry())
    elif what == "run-folder":
        from qbench.store.schema import run_folder_schema

        schema = run_folder_schema()
    else:
        raise QbenchError(f"no schema for `{what}`{did_you_mean(what, known)} (accepted: {', '.join(known)})")
    text = json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
    put(text, output)


@cache_app.command("info")
def cache_info_command() -> None:
    """Say where the cache is and what it holds."""
    from qbench.home import cache_home
    from qbench.store.cache import Cache

    cache = Cache(cache_home())
    cells, scores, size = cache.size()
    say(cache.trouble or f"{cache.path}: {cells} cells, {scores} scores, {size / 1e6:.1f} MB")


@cache_app.command("clear")
def cache_clear_command() -> None:
    """Remove everything from the cache."""
    from qbench.home import cache_home
    from qbench.store.cache import Cache

    say(f"{Cache.clear(cache_home())}: removed")
