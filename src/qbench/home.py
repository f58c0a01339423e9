"""Where qbench keeps what outlives a run: the cache, and datasets that were fetched."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def home() -> Path:
    """Return ``$QBENCH_HOME``, or the system's usual place for a user's caches."""
    configured = os.environ.get("QBENCH_HOME")
    return Path(configured).expanduser() if configured else Path(platformdirs.user_cache_dir("qbench"))


def dataset_home(name: str) -> Path:
    """Return the folder that a dataset's files are kept in."""
    return home() / "datasets" / name


def model_home(name: str) -> Path:
    """Return the folder that a model's weights are kept in."""
    return home() / "models" / name


def cache_home() -> Path:
    """Return the folder of the content-addressed cache."""
    return home() / "cache"
