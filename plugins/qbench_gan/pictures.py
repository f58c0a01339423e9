"""Training pictures out of any folder: small ones whole, squares cut out of larger ones."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from qbench import Pixels, QbenchError

CROPS = 24
"""Squares that are cut out of a picture larger than one."""
ENDINGS = {".jpg", ".jpeg", ".png"}

Squares = npt.NDArray[np.uint8]


def load(data: Path, work: Path, size: int) -> tuple[Squares, Squares]:
    """Load training and held-out squares, each uint8, N×size×size×3, mapped from files in ``work``.

    Args:
        data: a folder; every picture in it, in folders below, and in tar archives is used. Those with a folder or
            archive on their path whose name is or ends in ``val`` are held out.
        work: gets the decoded squares, so that they are cut once.

    Raises:
        QbenchError: nothing to train on, or nothing held out.
    """
    paths = [work / f"{part}-{size}.npy" for part in ("train", "val")]
    if not all(path.is_file() for path in paths):
        work.mkdir(parents=True, exist_ok=True)
        parts: tuple[list[Pixels], list[Pixels]] = ([], [])
        for index, (name, content) in enumerate(_files(data)):
            parts[_held_out(name)].extend(_squares(content, size, index))
        for path, squares, what in zip(paths, parts, ("train on", "hold out"), strict=True):
            if not squares:
                raise QbenchError(f"{data}: no pictures to {what} (held out is what lies in folders or archives *val)")
            temporary = path.with_suffix(".part.npy")
            np.save(temporary, np.stack(squares))
            temporary.replace(path)
    train, held_out = (np.load(path, mmap_mode="r") for path in paths)
    return train, held_out


def _files(data: Path) -> Iterator[tuple[str, bytes]]:
    """Yield path (archives are folders in it) and content of every picture, in order of path."""
    for path in sorted(data.rglob("*")):
        name = path.relative_to(data).as_posix()
        if path.suffix.lower() in ENDINGS:
            yield name, path.read_bytes()
        elif ".tar" in path.suffixes and path.is_file():
            with tarfile.open(path) as archive:
                for member in archive:
                    content = archive.extractfile(member) if Path(member.name).suffix.lower() in ENDINGS else None
                    if content is not None:
                        yield f"{name.partition('.tar')[0]}/{member.name}", content.read()


def _held_out(name: str) -> bool:
    return any(part.endswith("val") for part in name.split("/")[:-1])


def _squares(content: bytes, size: int, seed: int) -> Iterator[Pixels]:
    try:
        with Image.open(io.BytesIO(content)) as opened:
            picture = opened.convert("RGB")
    except (UnidentifiedImageError, OSError) as error:
        raise QbenchError(f"a training picture can't be read: {error}") from error
    shorter = min(picture.size)
    if shorter < size:
        return
    if max(picture.size) < 2 * size:
        yield np.asarray(
            picture.resize((size, size), Image.Resampling.LANCZOS) if picture.size != (size, size) else picture
        )
        return
    # At many scales: what a tile of a photograph shows, and what a photograph as a whole shows.
    rng = np.random.default_rng(seed)
    for _ in range(CROPS):
        side = round(size * (shorter / size) ** rng.uniform())
        left, top = (int(rng.integers(length - side + 1)) for length in picture.size)
        box = (left, top, left + side, top + side)
        yield np.asarray(picture.resize((size, size), Image.Resampling.LANCZOS, box=box))
