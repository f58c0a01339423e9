"""Codecs that are programs: one that encodes a file and one that decodes it."""

from __future__ import annotations

from collections.abc import Callable

from qbench.plugin import Codec, hookimpl
from qbench_command.codec import CommandCodec


@hookimpl
def qbench_register_codecs(register: Callable[[type[Codec]], None]) -> None:
    """Register the codec."""
    register(CommandCodec)
