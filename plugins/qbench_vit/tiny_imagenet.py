"""Reading Tiny-ImageNet: folders or archives of 64×64 images, one folder a label."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from qbench.plugin import QbenchError
from qbench.toolkit.files import replacing

PREFIX = "tiny-imagenet"


@dataclass(frozen=True)
class Images:
    """One part of the data set.

    Attributes:
        pixels: uint8, shape N×S×S×3, mapped from a file.
        labels: int64, shape N, indices into the list of label identifiers.
    """

    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]


@dataclass(frozen=True)
class TinyImageNet:
    """Training and validation images, and the labels' identifiers (WordNet's) and names in order."""

    train: Images
    validation: Images
    identifiers: tuple[str, ...]
    names: tuple[str, ...]


def load(data: Path, work: Path) -> TinyImageNet:
    """Load the data set.

    Args:
        data: holds ``tiny-imagenet-train`` and ``tiny-imagenet-val``, each a folder or a tar archive (``.tar``,
            ``.tar.xz``, …) of ``identifier/photo.jpg``, and optionally ``tiny-imagenet-labels.tsv`` (identifier,
            tab, name).
        work: gets the decoded images, so that they are decoded once.

    Raises:
        QbenchError: something is missing or of another form.
    """
    work.mkdir(parents=True, exist_ok=True)
    train, identifiers = _part(data, work, "train", None)
    validation, _ = _part(data, work, "val", identifiers)
    names = dict(zip(identifiers, identifiers, strict=True))
    table = data / f"{PREFIX}-labels.tsv"
    if table.is_file():
        rows = (line.split("\t", 1) for line in table.read_text(encoding="utf-8").splitlines() if "\t" in line)
        names |= {identifier: name.strip() for identifier, name in rows if identifier in names}
    return TinyImageNet(train, validation, identifiers, tuple(names[identifier] for identifier in identifiers))


def _part(data: Path, work: Path, part: str, known: tuple[str, ...] | None) -> tuple[Images, tuple[str, ...]]:
    decoded, listed = work / f"{part}-pixels.npy", work / f"{part}-labels.npz"
    if not (decoded.is_file() and listed.is_file()):
        _decode(data, part, known, decoded, listed)
    with np.load(listed, allow_pickle=False) as table:
        labels, identifiers = table["labels"], tuple(str(name) for name in table["identifiers"])
    return Images(np.load(decoded, mmap_mode="r"), labels), identifiers


def _decode(data: Path, part: str, known: tuple[str, ...] | None, decoded: Path, listed: Path) -> None:
    images: list[npt.NDArray[np.uint8]] = []
    owners: list[str] = []
    for identifier, content in _files(data, part):
        with Image.open(io.BytesIO(content)) as opened:
            images.append(np.asarray(opened.convert("RGB")))
        owners.append(identifier)
    if len({image.shape for image in images}) != 1:
        raise QbenchError(f"{data}: the {part} images are of different sizes, or there are none")
    identifiers = known or tuple(sorted(set(owners)))
    place = {identifier: index for index, identifier in enumerate(identifiers)}
    strange = sorted(set(owners) - set(place))
    if strange:
        raise QbenchError(f"{data}: the {part} part has labels absent from the training part: {', '.join(strange[:5])}")
    np.savez(listed, labels=np.array([place[owner] for owner in owners]), identifiers=np.array(identifiers))
    with replacing(decoded) as temporary:
        np.save(temporary, np.stack(images))


def _files(data: Path, part: str) -> Iterator[tuple[str, bytes]]:
    """Yield label identifier and file content of every image, in order of path."""
    folder = data / f"{PREFIX}-{part}"
    if folder.is_dir():
        for path in sorted(folder.glob("*/*.[jJpP]*")):
            yield path.parent.name, path.read_bytes()
        return
    archives = sorted(data.glob(f"{PREFIX}-{part}.tar*"))
    if not archives:
        raise QbenchError(f"{data}: no folder {folder.name} and no archive {folder.name}.tar*")
    with tarfile.open(archives[0]) as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isfile() else None
            if content is not None:
                yield Path(member.name).parent.name, content.read()
