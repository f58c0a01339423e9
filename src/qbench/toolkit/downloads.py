"""Downloading files, as qbench downloads weights. Stable."""

from __future__ import annotations

from qbench.errors import DownloadError
from qbench.models.transfer import download

__all__ = ["DownloadError", "download"]
