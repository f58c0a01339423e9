"""What travels between the coordinator of a run and workers on other machines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from qbench.execute.work import CellWork, ImageWork
from qbench.images.image import Image
from qbench.images.sources import ImageSource
from qbench.planning.types import Plan
from qbench.records import CellRecord, ScoreRecord
from qbench.store.folder import RunFolder


@dataclass(frozen=True)
class Contract:
    """What a worker is told of a session before it is given units.

    Attributes:
        session: its id.
        device: where networks compute, as the option says it.
        repeats, budget: of timing.
        neighbours: workers of this session on each host, by its name: they share its cores.
    """

    plan: Plan
    session: str
    device: str
    repeats: int
    budget: float
    neighbours: Mapping[str, int]


@dataclass(frozen=True)
class GivenImage(ImageSource):
    """An original that is sent along, as the worker can't see its file."""

    image: Image
    name: str
    place: str

    def read(self) -> Image:
        """Return it."""
        return self.image

    @property
    def location(self) -> str:
        """Where it was read."""
        return self.place


@dataclass(frozen=True)
class CellPart:
    """A cell of a unit; its operating point is one of the plan's."""

    point: str
    key: str
    coded: CellRecord | None
    metrics: tuple[str, ...]


@dataclass(frozen=True)
class ImagePart:
    """An image of a unit, one of the plan's, and what is left to do for it."""

    image: str
    source: ImageSource
    cells: tuple[CellPart, ...]


@dataclass(frozen=True)
class Unit:
    """What one worker does in one piece: some cells of one image, or of several.

    Attributes:
        accelerator: whether something in it computes on an accelerator that only some workers have.
        files: what is needed of the run folder, by its path there: of cells that were coded before.
        later: metrics that the same cells are scored with afterwards, by a worker that has an accelerator.
        looked_for: whether its originals are known to be out of reach of everybody: what fails for it is recorded.
    """

    number: int
    parts: tuple[ImagePart, ...]
    accelerator: bool = False
    files: Mapping[str, bytes] = field(default_factory=dict)
    later: frozenset[str] = frozenset()
    looked_for: bool = False

    @property
    def name(self) -> str:
        """For people."""
        first = self.parts[0]
        points = first.cells[0].point if len(first.cells) == 1 else f"{len(first.cells)} operating points"
        return f"{first.image} · {points}" + (f" and {len(self.parts) - 1} more images" if self.parts[1:] else "")

    @property
    def cells(self) -> int:
        """How many."""
        return sum(len(part.cells) for part in self.parts)

    def given(self, images: Mapping[str, Image]) -> Unit:
        """Return it with originals, by name, in the place of where they are."""
        parts = [
            replace(part, source=GivenImage(images[part.image], part.source.name, part.source.location))
            for part in self.parts
        ]
        return replace(self, parts=tuple(parts))

    def works(self, plan: Plan) -> list[ImageWork]:
        """Return the work, in the terms of a plan."""
        images = {image.name: image for image in plan.images}
        points = {point.id: point for point in plan.points}
        return [
            ImageWork(
                images[part.image],
                part.source,
                tuple(CellWork(points[cell.point], cell.key, cell.coded, cell.metrics) for cell in part.cells),
            )
            for part in self.parts
        ]

    def alone(self) -> Iterator[tuple[ImagePart, ...]]:
        """Yield each cell as a part by itself."""
        for part in self.parts:
            for cell in part.cells:
                yield (replace(part, cells=(cell,)),)


@dataclass(frozen=True)
class Done:
    """What came of a unit.

    Attributes:
        files: of the run folder, by their path there.
        notices: what plugins told.
        unseen: originals that the worker can't read where they are said to be; nothing was done then.
        seconds: that an image took at an operating point, the longest.
        worker: its name.
    """

    records: tuple[CellRecord | ScoreRecord, ...] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    worker: str = ""


@dataclass(frozen=True)
class WorkerReport:
    """What a worker is.

    Attributes:
        kind: what decides results on its accelerator; None without one.
        problems: why it can't take part.
    """

    name: str
    host: str
    threads: int
    processor: str
    versions: Mapping[str, str]
    device: str = "cpu"
    device_name: str = "cpu"
    kind: Mapping[str, str] | None = None
    accelerators: Mapping[str, object] | None = None
    problems: Sequence[str] = ()


def files_in(folder: RunFolder) -> dict[str, bytes]:
    """Return a folder's files by their path in it."""
    found = (path for path in folder.path.rglob("*") if path.is_file())
    return {path.relative_to(folder.path).as_posix(): path.read_bytes() for path in found}


def write_files(folder: RunFolder, files: Mapping[str, bytes]) -> None:
    """Write files by their path in a folder.

    Raises:
        StoreError: one can't be written, or its path leads elsewhere.
    """
    for name, data in files.items():
        folder.write_file(folder.path / Path(name), data)
