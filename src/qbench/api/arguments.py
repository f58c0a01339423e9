"""What the functions of the public API take, checked."""

from __future__ import annotations

from collections.abc import Sequence

from qbench.errors import QbenchError, did_you_mean


def names(given: str | Sequence[str]) -> list[str]:
    """Return names, of which there may be only one: a text is a sequence of letters, too."""
    return [given] if isinstance(given, str) else list(given)


def require_one_of(kind: str, given: str, accepted: Sequence[str]) -> None:
    """Refuse a name that is not accepted.

    Raises:
        QbenchError: with the nearest, and all that are.
    """
    if given not in accepted:
        raise QbenchError(f"unknown {kind} `{given}`{did_you_mean(given, accepted)} (accepted: {', '.join(accepted)})")
