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
        Column("mse", LOWER, 0.0, None, digits=2, title="MSE"),
        Column("psnr", HIGHER, None, None, "dB", 2, title="PSNR"),
        Column("ssim", HIGHER, -1.0, 1.0, title="SSIM"),
        Column("dssim", LOWER, 0.0, None, title="DSSIM"),
        Column("ms-ssim", HIGHER, 0.0, 1.0, title="MS-SSIM"),
        Column("ms-ssim.db", HIGHER, None, None, "dB", 2, title="MS-SSIM"),
        Column("butteraugli", LOWER, 0.0, None, digits=3, title="Butteraugli"),
        Column("ssimulacra", LOWER, 0.0, None, title="SSIMULACRA"),
        Column("ssimulacra2", HIGHER, None, 100.0, digits=2, title="SSIMULACRA 2"),
        Column("ciede2000", LOWER, 0.0, None, digits=3, title="CIEDE2000"),
        Column("flip", LOWER, 0.0, 1.0, title="FLIP"),
        Column("lpips", LOWER, 0.0, None, title="LPIPS"),
        Column("p3-norm", LOWER, 0.0, None, digits=3, title="Butteraugli 3-norm"),
        Column("butteraugli.norm3", LOWER, 0.0, None, digits=3, title="Butteraugli 3-norm"),
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
