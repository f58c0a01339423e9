"""A command line with placeholders: what it needs, and what comes of running it. No shell ever sees it."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from qbench.plugin import PluginError

PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_-]*)\}")
LONGEST_QUOTE = 2000
"""Characters of what a program printed that are quoted."""
FILES = ("input", "output")
SIZES = ("width", "height")


@dataclass(frozen=True)
class Template:
    """A command line as a suite has it: ``cjxl {input} {output} -d {distance}``.

    Attributes:
        what: what it is for, in messages.
        text: as it was written.
    """

    what: str
    text: str

    @property
    def words(self) -> list[str]:
        """Program and arguments, split as a shell would, placeholders in them.

        Raises:
            PluginError: it is empty, or a quotation isn't closed.
        """
        try:
            words = shlex.split(self.text)
        except ValueError as error:
            raise PluginError(f"{self.what}: {self.text!r} can't be split into words: {error}") from error
        if not words:
            raise PluginError(f"{self.what}: write a command, such as: cjxl {{input}} {{output}} -d {{distance}}")
        return words

    @property
    def program(self) -> str:
        """Where the program is.

        Raises:
            PluginError: it isn't installed.
        """
        name = self.words[0]
        found = shutil.which(str(Path(name).expanduser()))
        if found is None:
            raise PluginError(f"{self.what}: no program `{name}` is installed here; install it, or write its path")
        return str(Path(found).absolute())

    def check(self, known: Sequence[str], *, files: bool = True) -> None:
        """Check that it can be run.

        Args:
            known: names of settings, which may stand in it.
            files: whether it is to name the files that it reads and writes.

        Raises:
            PluginError: the program isn't there, or a placeholder is missing or not known.
        """
        named = {name for word in self.words for name in PLACEHOLDER.findall(word)}
        accepted = [*(FILES if files else ()), *SIZES, *known]
        for name in sorted(named - set(accepted)):
            shown = ", ".join(f"{{{each}}}" for each in accepted)
            raise PluginError(f"{self.what}: unknown placeholder {{{name}}} in {self.text!r} (accepted: {shown})")
        lacking = [name for name in FILES if files and name not in named]
        if lacking:
            raise PluginError(f"{self.what}: {self.text!r} lacks {{{lacking[0]}}}, the file it {_does(lacking[0])}")
        _ = self.program

    def filled(self, values: Mapping[str, object]) -> list[str]:
        """Return program and arguments with values in place of placeholders."""
        first, *rest = self.words
        words = [PLACEHOLDER.sub(lambda found: _text(values[found[1]]), word) for word in rest]
        return [self.program if not PLACEHOLDER.search(first) else first, *words]

    def run(self, values: Mapping[str, object], folder: Path) -> str:
        """Run it in a folder; return what it printed.

        Raises:
            PluginError: it ends with another exit code than 0; what it printed is quoted.
        """
        command = self.filled(values)
        try:
            done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        except OSError as error:
            raise PluginError(f"{self.what}: {command[0]} can't be run: {error.strerror or error}") from error
        printed = (done.stderr + done.stdout).decode(errors="replace")
        if done.returncode:
            how = f"exit code {done.returncode}" if done.returncode > 0 else f"signal {-done.returncode}"
            raise PluginError(f"{self.what}: {shlex.join(command)} ended with {how}{quoted(printed)}")
        return printed


def quoted(printed: str) -> str:
    """Return what a program printed, for a message."""
    text = printed.strip()
    if not text:
        return ", and printed nothing"
    return f" and printed:\n{'… ' if len(text) > LONGEST_QUOTE else ''}{text[-LONGEST_QUOTE:]}"


def _does(name: str) -> str:
    return "reads" if name == "input" else "writes"


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
