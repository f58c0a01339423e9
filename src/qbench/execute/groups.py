"""Images that are read and coded together, and the order of their tasks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from qbench.errors import NotApplicable
from qbench.execute.desks import Setting
from qbench.execute.flow import ImageFlow
from qbench.execute.means import Means, at_coder
from qbench.execute.stations import PluginFailedError
from qbench.execute.tasks import Task
from qbench.execute.work import CellStarted, CellWork, ImageWork, Notice, Recorded


class GroupFlow:
    """Images that are coded together where codecs can, and else beside one another."""

    def __init__(self, works: Sequence[ImageWork], number: int, means: Means, batch_sizes: dict[str, int]) -> None:
        self._number = number
        self._means = means
        self._images = [ImageFlow(work, number, means) for work in works]
        self._batch_sizes = batch_sizes
        self._lock = threading.Lock()
        self._unread = len(works)
        self._readable: list[ImageFlow] = []

    def begin(self) -> list[Task]:
        """Return the first tasks."""
        return [
            Task((self._number, 2, index), lambda hand, image=image: self._read(image))  # type: ignore[misc]
            for index, image in enumerate(self._images)
        ]

    def _read(self, image: ImageFlow) -> list[Task]:
        readable = image.read()
        with self._lock:
            if readable:
                self._readable.append(image)
            self._unread -= 1
            if self._unread:
                return []
        alone = [(image, cell) for image in self._readable for cell in image.work.cells]
        tasks: list[Task] = []
        points = {cell.point.id: cell.point for _, cell in alone if self._batch_sizes.get(cell.point.id, 1) > 1}
        for point in points.values():
            members = [(image, cell) for image, cell in alone if cell.point.id == point.id and cell.coded is None]
            size = self._batch_sizes[point.id]
            for part in (members[first : first + size] for first in range(0, len(members), size)):
                if len(part) > 1:
                    alone = [each for each in alone if each not in part]
                    tasks.append(self._task(len(tasks), lambda hand, part=part: self._code_together(part, hand)))  # type: ignore[misc]
        if len(self._images) == 1 and not tasks:
            return self._images[0].in_waves([cell for _, cell in self._slow_first(alone)]) if alone else []
        return tasks + self._each(alone, len(tasks))

    def _slow_first(self, cells: Sequence[tuple[ImageFlow, CellWork]]) -> list[tuple[ImageFlow, CellWork]]:
        """Return cells so that none is left alone at the end; unknown networks are taken for slow."""
        seconds = self._means.seconds
        return sorted(cells, key=lambda each: (-seconds.get(each[1].point.id, 0.0), not each[1].point.models))

    def _task(self, index: int, do: Callable[[int], list[Task]]) -> Task:
        return Task((self._number, 1, index), do)

    def _each(self, cells: Sequence[tuple[ImageFlow, CellWork]], first: int = 0) -> list[Task]:
        return [image.task(first + index, cell) for index, (image, cell) in enumerate(self._slow_first(cells))]

    def _code_together(self, part: Sequence[tuple[ImageFlow, CellWork]], hand: int) -> list[Task]:
        """Encode and decode several images in one call each; what fails so is left to be coded one by one."""
        images, point = [image for image, _ in part], part[0][1].point
        self._means.emit(CellStarted(images[0].name, point.id, hand))
        setting, names = Setting(point), f"{images[0].name} and {len(part) - 1} more"
        try:
            originals = [image.original for image in images]
            encoded, promises = at_coder(self._means, "encode", setting, names, "encode_batch", originals)
            forms = [original.description[:2] for original in originals if original is not None]
            streams = [each.bitstream for each in encoded]
            unpacked = at_coder(self._means, "decode", setting, names, "decode_batch", streams, forms)
        except PluginFailedError as error:
            if error.failure.error == "ContractError":
                text = f"{point.owner}: {error.failure.message}; its images are coded one by one"
                self._means.emit(Notice(text))
            return self._each(part)
        except NotApplicable:
            return self._each(part)
        tasks: list[Task] = []
        for (image, cell), one, other in zip(part, encoded, unpacked, strict=True):
            try:
                image.keep(cell, one, other, promises, None)
            except PluginFailedError as error:
                self._means.emit(Recorded((image.failed(cell, error.failure),)))
            tasks += image.after(cell)
        return tasks
