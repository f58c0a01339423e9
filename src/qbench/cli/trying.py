"""Commands to begin with: try, init, new."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from qbench.cli.coding import target_of
from qbench.cli.options import Overrides, Profile, Quiet, Report, Seed, executes, listed, shows
from qbench.cli.running import check_look, finish, planned_for, watched
from qbench.cli.streams import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qbench.execute.work import ExecutionOptions
    from qbench.reporting.look import Look


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command("try")(try_command)
    app.command("init")(init_command)
    app.command("new")(new_command)


@shows
@executes
def try_command(
    images: Annotated[list[Path], typer.Argument(help="Images, or folders of images.", show_default=False)],
    options: ExecutionOptions,
    codec: Annotated[
        list[str] | None,
        typer.Option(
            "--codec",
            "-c",
            help="A codec's name, or file.py:Name of one in a file; repeatable. Default: customary ones.",
        ),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option("--metric", "-m", help="A metric, repeatable. Default: those that are customary."),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(metavar="COLUMN=VALUE", help="Choose settings for it, image by image: bpp=0.5, psnr=35."),
    ] = None,
    save: Annotated[
        Path | None, typer.Option(metavar="SUITE.YAML", help="Also write what is run as a suite, to go on with.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The run folder. Default: one below runs/ for this comparison."),
    ] = None,
    overrides: Overrides = None,
    profile: Profile = None,
    seed: Seed = None,
    report: Report = True,
    quiet: Quiet = False,
    look: Look | None = None,
) -> None:
    """Compare codecs on images, with no suite: each over its range of rates, or at a target.

    It is run as a suite made on the fly. Exit codes are those of run.
    """
    from qbench.api.running import run
    from qbench.api.trying import save_suite, suite_of

    plugins = cast("Sequence[Path]", options.get("plugins", ()))
    metrics, codecs = listed(metric), listed(codec)
    wanted = target_of(target)
    suite = suite_of(images, codecs, metrics, target=wanted, plugins=plugins)
    planned = planned_for(suite, options, overrides, profile, seed)
    check_look(planned, look)
    if save is not None:
        saved = suite_of(
            images, codecs, metrics, target=wanted, plugins=plugins, name=save.stem, beside=save.absolute().parent
        )
        save_suite(saved, save)
        say(f"suite: {save}", error=True)
    with watched() as watch:
        made = run(planned, output=output, on_event=watch.on_event, stop=watch.stop, **options)
    finish(made, watch.interrupted, look, quiet=quiet, report=report)


def init_command(
    folder: Annotated[Path, typer.Argument(help="Where to; its images, or those below it, are named.")] = Path(),
) -> None:
    """Write suite.yaml, with comments, for the images of a folder."""
    from qbench.api.trying import write_first_suite

    path = write_first_suite(folder)
    say(f"{path}: written; run it: qbench run {path}")


def new_command(
    kind: Annotated[str, typer.Argument(help="codec, metric, dataset or generator.", show_default=False)],
    name: Annotated[str, typer.Argument(help="What it is called: my-codec.", show_default=False)],
    folder: Annotated[Path, typer.Option("--output", "-o", help="Where the package's folder goes.")] = Path(),
) -> None:
    """Write a package with a plugin of your own, with tests and a CI file, to put yours in."""
    from qbench.api.packaging import new_package

    place = new_package(kind, name, folder)
    say(f"{place}: written; next: pip install -e '{place}[test]' && pytest {place}")
