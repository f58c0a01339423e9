"""Encoders that are installed on request."""

from __future__ import annotations

import importlib
from importlib.metadata import version
from typing import Any

from qbench.plugin import PluginError


def required(module: str, package: str, codec: str, extra: str) -> Any:
    """Import a module of an optional package.

    Raises:
        PluginError: it is not installed; the text says how to.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise PluginError(
            f"codec {codec} needs the package {package}, which is not installed: pip install 'qbench[{extra}]'"
        ) from error


def version_of(module: str, package: str, codec: str, extra: str) -> str:
    """Return the version of an optional package.

    Raises:
        PluginError: it is not installed; the text says how to.
    """
    required(module, package, codec, extra)
    return version(package)
