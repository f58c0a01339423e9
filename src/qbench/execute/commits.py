"""The commit of what code was taken from, as its repository says."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

SECONDS = 5.0


def commits_of(folders: Iterable[Path]) -> dict[str, str]:
    """Return name of a repository → its commit, of those that folders are in; with a word where files were changed.

    Empty where there is no git, or no repository.
    """
    found: dict[str, str] = {}
    for folder in dict.fromkeys(folders):
        root = _asked(folder, "rev-parse", "--show-toplevel")
        commit = _asked(folder, "rev-parse", "HEAD")
        if root and commit:
            changed = _asked(folder, "status", "--porcelain", "--untracked-files=no")
            found[Path(root).name] = f"{commit}{' with changes' if changed else ''}"
    return found


def _asked(folder: Path, *words: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
