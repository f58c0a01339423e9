"""What travels with units: originals that workers can't see, and what cells that were coded before need."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import distributed

from qbench.cluster.dealing import Dealer
from qbench.cluster.units import CellPart, Done, ImagePart, Unit
from qbench.errors import NotApplicable
from qbench.execute.means import Means
from qbench.execute.stations import PluginFailedError
from qbench.execute.tasks import BYTES_PER_PIXEL
from qbench.execute.work import ImageWork
from qbench.images.image import Image
from qbench.records import CellRecord


class Luggage:
    """Packs units, and knows what of it is still needed."""

    def __init__(self, client: distributed.Client, works: Sequence[ImageWork], means: Means) -> None:
        self._client = client
        self._means = means
        self._folder = means.setup.folder
        self._works = {work.image.name: work for work in works}
        self._wanted = {(work.image.name, cell.point.id): cell.metrics for work in works for cell in work.cells}
        self._points = {point.id: point for point in means.setup.plan.points}
        self._scattered: dict[str, Any] = {}
        self._units_of: Counter[str] = Counter()
        self._by_value: set[str] = set()

    @property
    def size(self) -> int:
        """Bytes of originals that are with Dask."""
        return sum(BYTES_PER_PIXEL * self._works[name].image.pixels for name in self._scattered)

    def expect(self, unit: Unit) -> None:
        """Take note of a unit that will be packed, perhaps several times."""
        self._units_of.update(part.image for part in unit.parts)

    def unpack(self, unit: Unit) -> None:
        """Take note that a unit is done with; let go of originals that no other needs."""
        for part in unit.parts:
            self._units_of[part.image] -= 1
            if self._units_of[part.image] <= 0:
                self._scattered.pop(part.image, None)

    def forget(self, unit: Unit) -> None:
        """Take note that the originals of a unit were lost."""
        for part in unit.parts:
            self._scattered.pop(part.image, None)

    def clear(self) -> None:
        """Let go of everything."""
        self._scattered.clear()

    def send_along(self, images: Iterable[str]) -> None:
        """Send these originals along from now on."""
        self._by_value.update(images)

    def packed(self, unit: Unit) -> tuple[Unit, dict[str, Any]]:
        """Return a unit with what it needs, and its originals as Dask has them, as far as they are sent along."""
        unit = replace(unit, files=self._files(unit))
        originals = {}
        for part in unit.parts:
            if part.image in self._by_value and not unit.looked_for:
                if (sent := self._sent(part)) is None:
                    unit = replace(unit, looked_for=True)
                else:
                    originals[part.image] = sent
        return unit, originals

    def scoring_of(self, unit: Unit, done: Done, dealer: Dealer) -> Unit | None:
        """Return what is left to score where there is an accelerator, of cells that a processor has coded."""
        coded = {(each.image, each.point): each for each in done.records if isinstance(each, CellRecord)}
        parts, files = [], {}
        for part in unit.parts if unit.later else ():
            cells = []
            for cell in part.cells:
                record = coded.get((part.image, cell.point), cell.coded)
                left = tuple(name for name in self._wanted[part.image, cell.point] if name in unit.later)
                if record is not None and record.outcome == "coded" and left:
                    cells.append(CellPart(cell.point, cell.key, record, left))
                    path = self._folder.bitstream_path(self._points[cell.point], part.image)
                    name = path.relative_to(self._folder.path).as_posix()
                    if name in done.files:
                        files[name] = done.files[name]
            if cells:
                parts.append(replace(part, cells=tuple(cells)))
        if not parts:
            return None
        return replace(dealer.unit(tuple(parts), accelerator=True), files=files)

    def _files(self, unit: Unit) -> Mapping[str, bytes]:
        """Return what a unit needs of the run folder: of cells that were coded before."""
        if unit.files:
            return unit.files
        found = {}
        for part in unit.parts:
            for cell in part.cells:
                if cell.coded is not None:
                    point = self._points[cell.point]
                    for path in (
                        self._folder.reconstruction_path(point, part.image),
                        self._folder.bitstream_path(point, part.image),
                    ):
                        if (data := self._folder.read_file(path)) is not None:
                            found[path.relative_to(self._folder.path).as_posix()] = data
                            break
        return found

    def _sent(self, part: ImagePart) -> Any:
        """Return an original as Dask has it, which takes it to each worker once; None if it can't be read here."""
        if part.image not in self._scattered:
            work = self._works[part.image]
            try:
                shared = self._means.read(work.source, work.image)
            except (PluginFailedError, NotApplicable):
                return None
            image = Image(shared.image.pixels.copy(), shared.image.format, shared.image.notes)
            shared.close()
            self._scattered[part.image] = self._client.scatter(image, hash=False)
        return self._scattered[part.image]
