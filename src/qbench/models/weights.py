"""What is known of a model's weights before they are loaded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Weights:
    """A file of weights in safetensors form; nothing is ever unpickled.

    Attributes:
        name: how suites and ``qbench models`` call it; lower case with hyphens, dots and underscores.
        summary: one line.
        source: ``package:my_plugin/weights/model.safetensors`` for a file that a package ships, or an https address.
        sha256: of the file, hexadecimal.
        size: of the file in bytes.
        licence: what may be done with it.
        provenance: who trained it on what, and where that is written down.
        metadata: what its plugin needs to build the model: architecture, labels, preprocessing.
    """

    name: str
    summary: str
    source: str
    sha256: str
    size: int
    licence: str
    provenance: str
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def profile(self) -> str:
        """``bundled`` or ``hub``."""
        return "bundled" if self.source.startswith("package:") else "hub"

    def problem(self) -> str:
        """Say what is wrong with the declaration; empty when it can be used."""
        if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", self.name):
            return "its name must be lower case letters, digits, dots, hyphens and underscores"
        if not re.fullmatch(r"[0-9a-f]{64}", self.sha256):
            return "its sha256 must be 64 hexadecimal digits"
        if self.size <= 0:
            return "its size must be in bytes"
        if not re.match(r"package:[A-Za-z0-9_.]+/.|https?://.", self.source):
            return "its source must be package:module/path or an https address"
        return ""
