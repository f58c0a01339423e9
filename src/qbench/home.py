"""Where qbench keeps what outlives a run: the cache, and datasets that were fetched."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from qbench.errors import QbenchError


def home() -> Path:
    """Return ``$QBENCH_HOME``, or the system's usual place for a user's caches.

    Raises:
        QbenchError: the system knows no home of this user.
    """
    try:
        return Path(os.environ.get("QBENCH_HOME") or platformdirs.user_cache_dir("qbench")).expanduser()
    except RuntimeError as error:
        raise QbenchError("this user has no home folder; set QBENCH_HOME to a folder for qbench's cache") from error


def dataset_home(name: str) -> Path:
    """Return the folder that a dataset's files are kept in."""
    return home() / "datasets" / name


def model_home(name: str) -> Path:
    """Return the folder that a model's weights are kept in."""
    return home() / "models" / name


def cache_home() -> Path:
    """Return the folder of the content-addressed cache."""
    return home() / "cache"
