"""Encoding several images at once, where a codec can; and keeping what came of it until each image's turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from qbench.errors import ImageError
from qbench.execute.coding import Encoded, PointCoder
from qbench.execute.events import CellStarted
from qbench.execute.targeting import TargetCoder
from qbench.image import Picture
from qbench.plan import OperatingPoint

if TYPE_CHECKING:
    from qbench.execute.bench import CellWork, ImageWork

MOST_PIXELS = 2**26
"""Pixels of a group: its pictures are in memory at the same time."""


class BatchEncoder:
    """Groups images, and encodes each group at the operating points whose codecs take several at once."""

    def __init__(
        self, coder: Callable[[OperatingPoint], PointCoder | TargetCoder], stopping: Callable[[], bool]
    ) -> None:
        self._coder = coder
        self._stopping = stopping
        self._pictures: dict[str, Picture] = {}
        self._encoded: dict[tuple[str, str], Encoded] = {}

    def groups(self, works: Sequence[ImageWork]) -> Iterator[Sequence[ImageWork]]:
        """Split work into what is encoded together: single images unless a codec takes more."""
        points = {cell.point.id: cell.point for work in works for cell in work.cells if cell.coded is None}
        largest = max((self._size(point) for point in points.values()), default=1)
        group: list[ImageWork] = []
        for work in works:
            pixels = sum(member.image.pixels for member in (*group, work))
            if group and (len(group) == largest or pixels > MOST_PIXELS):
                yield group
                group = []
            group.append(work)
        if group:
            yield group

    def encode(self, group: Sequence[ImageWork]) -> Iterator[CellStarted]:
        """Encode a group where that is possible. What fails is left to be encoded, and to fail, one by one."""
        self._pictures, self._encoded = {}, {}
        if len(group) == 1:
            return
        points = {cell.point.id: cell.point for work in group for cell in work.cells}
        for point in points.values():
            size = self._size(point)
            members = [
                work for work in group for cell in work.cells if cell.point.id == point.id and cell.coded is None
            ]
            for first in range(0, len(members), size):
                part = members[first : first + size]
                if len(part) == 1:
                    continue
                if self._stopping():
                    return
                yield CellStarted(part[0].image.name, point.id, 0)
                try:
                    for work in part:
                        if work.image.name not in self._pictures:
                            self._pictures[work.image.name] = _read(work)
                    pixels = [self._pictures[work.image.name].pixels for work in part]
                    made = self._coder(point).encode_batch(pixels)
                except Exception:  # whatever a plugin raises; it is raised, and recorded, again for the image it is of
                    continue
                self._encoded |= {
                    (work.image.name, point.id): encoded for work, encoded in zip(part, made, strict=True)
                }

    def picture(self, work: ImageWork) -> Picture:
        """Return an image of the group, or any other.

        Raises:
            ImageError: it can't be read, or is not the one that was planned.
        """
        return self._pictures.pop(work.image.name, None) or _read(work)

    def encoded(self, work: ImageWork, cell: CellWork) -> Encoded | None:
        """Return what :meth:`encode` made of a cell."""
        return self._encoded.pop((work.image.name, cell.point.id), None)

    def _size(self, point: OperatingPoint) -> int:
        try:
            return max(1, self._coder(point).batch_size)
        except Exception:  # a codec that can't be set up fails, with its reason, in each of its cells
            return 1


def _read(work: ImageWork) -> Picture:
    picture = work.source.read()
    if picture.digest != work.image.sha256:
        raise ImageError(f"{work.image.location}: the image changed since the run was planned")
    return picture
