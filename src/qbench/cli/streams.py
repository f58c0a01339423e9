"""Terminals and pipes that can't show every character."""

from __future__ import annotations

import codecs
import os
import sys

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
    codecs.register_error("qbench-plain", _plain)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="qbench-plain")


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
