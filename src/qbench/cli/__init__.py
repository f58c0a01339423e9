"""The command line. Thin: it parses arguments, calls the API, and shows what comes back.

Nothing heavy is imported here, so that ``qbench --help`` answers at once; commands import what they need.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
from typing import Annotated

import typer

from qbench.cli import (
    checking,
    clusters,
    coding,
    comparing,
    inspect,
    measuring,
    models,
    running,
    runs,
    telling,
    training,
    trying,
    verifying,
)

app = typer.Typer(
    name="qbench",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
running.add_to(app)
trying.add_to(app)
clusters.add_to(app)
inspect.add_to(app)
runs.add_to(app)
telling.add_to(app)
verifying.add_to(app)
measuring.add_to(app)
coding.add_to(app)
checking.add_to(app)
comparing.add_to(app)
models.add_to(app)
training.add_to(app)


def _tell_version(wanted: bool) -> None:
    if wanted:
        import qbench
        from qbench.cli.streams import say

        say(f"qbench {qbench.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Print qbench's version.", callback=_tell_version, is_eager=True)
    ] = False,
) -> None:
    """Benchmark neural and classical image compression: real bitstreams, many metrics, numbers you can publish."""


OBJECTS_BETWEEN_SEARCHES = 200_000


def main() -> None:
    """Run the command line; bad input ends with its message and exit code 2."""
    from qbench.cli.streams import prepare_streams, silence_stdout
    from qbench.errors import QbenchError, shown
    from qbench.results.bulk import short_lived

    # pydantic would ask every installed package for plugins of its own, and end with one whose metadata are damaged.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    # The interpreter would look through everything that was loaded once more before it ends.
    atexit.register(gc.freeze)
    # Records come by the 100,000 and none is garbage, but half of the time goes into looking whether some is.
    before = gc.get_threshold()
    gc.set_threshold(OBJECTS_BETWEEN_SEARCHES, 20, 100)
    prepare_streams()
    code: str | int | None = 0
    try:
        try:
            with short_lived():
                app()
        except SystemExit as end:
            code = end.code
        sys.stdout.flush()
    except QbenchError as error:
        for line in str(error).splitlines():
            prefix = "" if line.startswith(" ") else "error: "
            print(prefix + shown(line), file=sys.stderr)  # noqa: T201 - the one place that may
        code = error.exit_code
    except BrokenPipeError:  # whoever read our output has enough (`qbench show … | head`)
        silence_stdout()
        code = 1
    except OSError as error:  # most likely of our output: a full disk
        silence_stdout()
        place = f"{shown(error.filename)}: " if error.filename else "output: "
        print(f"error: {place}{error.strerror or error}", file=sys.stderr)  # noqa: T201 - likewise
        code = 1
    finally:
        gc.set_threshold(*before)
    sys.exit(code)
