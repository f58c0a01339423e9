"""The command line. Thin: it parses arguments, calls the API, and shows what comes back.

Nothing heavy is imported here, so that ``qbench --help`` answers at once; commands import what they need.
"""

from __future__ import annotations

import os
import sys

import typer

from qbench.cli import comparing, inspect, models, running, runs, training

app = typer.Typer(
    name="qbench",
    help="Benchmark neural and classical image compression: real bitstreams, many metrics, numbers you can publish.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
running.add_to(app)
inspect.add_to(app)
runs.add_to(app)
comparing.add_to(app)
models.add_to(app)
training.add_to(app)


def main() -> None:
    """Run the command line; bad input ends with its message and exit code 2."""
    from qbench.errors import QbenchError

    try:
        app()
    except QbenchError as error:
        for line in str(error).splitlines():
            prefix = "" if line.startswith(" ") else "error: "
            print(prefix + line, file=sys.stderr)  # noqa: T201 - the one place that may
        sys.exit(2)
    except BrokenPipeError:
        # Whoever read our output has enough (`qbench show … | head`).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
