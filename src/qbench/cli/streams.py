"""Terminals and pipes that can't show every character."""

from __future__ import annotations

import codecs
import os
import sys
from pathlib import Path

from qbench.errors import shown
from qbench.toolkit.files import writing

PLAIN = {
    "×": "x",
    "·": "-",
    "±": "+-",
    "↑": "^",
    "↓": "v",
    "–": "-",
    "…": "...",
    "“": '"',
    "”": '"',
    "∞": "inf",
    "→": "->",
    "ø": "o",
}
"""What stands for a character of ours where an encoding lacks it; names of files are escaped instead."""


def prepare_streams() -> None:
    """Let output never fail for a character that its encoding lacks."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed before the program began
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123 - as above
    codecs.register_error("qbench-plain", _plain)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="qbench-plain")


def say(text: object, *, error: bool = False) -> None:
    """Print what people read: what a terminal would obey is escaped."""
    stream = sys.stderr if error else sys.stdout
    stream.write("".join(f"{shown(line)}\n" for line in str(text).splitlines()))


def put(text: str, output: Path | None = None) -> None:
    """Write what programs read, as it is, to a file or to stdout.

    Raises:
        OutputError: the file can't be written.
    """
    if output is None:
        sys.stdout.write(text)
        return
    with writing(output) as temporary:
        temporary.write_text(text, encoding="utf-8")


def silence_stdout() -> None:
    """Drop what is still to be written, so that the interpreter does not complain of it at its end."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - for what is left of the process


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join(PLAIN.get(char) or _escaped(char) for char in text), error.end


def _escaped(char: str) -> str:
    return char.encode("ascii", "backslashreplace").decode("ascii")
