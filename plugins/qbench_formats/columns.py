"""Columns that both formats know, and means over images."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qbench.plugin import Column, Direction, QbenchError

HIGHER, LOWER = Direction.HIGHER, Direction.LOWER
BPP = Column("bpp", LOWER, 0.0, None, "bit/pixel", 3, "bits per pixel, as the file gives them")
KNOWN = {
    column.name: column
    for column in (
        BPP,
        Column("mse", LOWER, 0.0, None, digits=2),
        Column("psnr", HIGHER, None, None, "dB", 2),
        Column("ssim", HIGHER, -1.0, 1.0),
        Column("dssim", LOWER, 0.0, None),
        Column("ms-ssim", HIGHER, 0.0, 1.0),
        Column("ms-ssim.db", HIGHER, None, None, "dB", 2),
        Column("butteraugli", LOWER, 0.0, None, digits=3),
        Column("ssimulacra", LOWER, 0.0, None),
        Column("ssimulacra2", HIGHER, None, 100.0, digits=2),
        Column("ciede2000", LOWER, 0.0, None, digits=3),
        Column("flip", LOWER, 0.0, 1.0),
        Column("lpips", LOWER, 0.0, None),
        Column("p3-norm", LOWER, 0.0, None, digits=3),
        Column("butteraugli.norm3", LOWER, 0.0, None, digits=3),
    )
}


def number(value: Any, where: str) -> float | None:
    """Return a number out of a file; None where it holds none (null or NaN).

    Raises:
        QbenchError: it is something else.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise QbenchError(f"{where}: a number is expected, not {value!r:.60}")
    try:
        return float(value)
    except OverflowError as error:
        raise QbenchError(f"{where}: a number of {len(str(value))} digits is too large") from error


def text(value: Any, where: str) -> str:
    """Return text out of a file.

    Raises:
        QbenchError: it is something else.
    """
    if not isinstance(value, str):
        raise QbenchError(f"{where}: text is expected, not {value!r:.60}")
    return value


def finite(value: float | None) -> bool:
    """Whether there is a value that JSON can hold."""
    return value is not None and math.isfinite(value)


def file_name(folder: Path, codec: str, taken: Sequence[Path]) -> Path:
    """Return a path for a codec's file that is not taken yet."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", codec).strip(".-") or "codec"
    path, count = folder / f"{safe}.json", 1
    while path in taken:
        count += 1
        path = folder / f"{safe}-{count}.json"
    return path
