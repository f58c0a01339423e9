"""What the tasks of a session work with: stations, limits, where events go, and what codecs say of their cost."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from qbench.contracts.codec import Complexity
from qbench.contracts.context import Context
from qbench.execute.answering import Request
from qbench.execute.coder import UNTIMED
from qbench.execute.desks import Setting
from qbench.execute.limits import Limits, limits_of
from qbench.execute.pool import StationPool
from qbench.execute.shared import SharedImage
from qbench.execute.starting import warm_up
from qbench.execute.station import Role
from qbench.execute.stations import Station, persistently
from qbench.execute.trust import family
from qbench.execute.work import ImageWork, Setup, Stop, WorkEvent
from qbench.images.at_hand import ORIGINALS
from qbench.images.sources import ImageSource
from qbench.planning.types import OperatingPoint, Plan, PlannedImage, PlannedMetric
from qbench.registry.registry import Registry
from qbench.store.folder import RunFolder

CODING: tuple[Role, ...] = ("encode", "decode")


class Costs:
    """What codecs say that coding costs: asked for once for every size of image, at one station.

    Counting it takes torch seconds the first time.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[tuple[Any, int, int], Complexity | None] = {}

    def of(self, means: Means, setting: Setting, name: str, height: int, width: int) -> Complexity | None:
        """Return what coding an image of that size costs.

        Raises:
            PluginFailedError, NotApplicable: as the codec has it.
        """
        key = setting.key, height, width
        with self._lock:
            if key not in self._known:
                asked = at_coder(means, "decode", setting, name, "complexity", height, width, knows="complexity")
                self._known[key] = asked
            return self._known[key]


@dataclass(frozen=True)
class Means:
    """What flows work with.

    Attributes:
        emit: takes events; of records it returns when they are stored.
        limits: of a codec at an operating point, or of a metric.
        seconds: that an image took at an operating point, the longest so far.
    """

    setup: Setup
    pool: StationPool
    emit: Callable[[WorkEvent], None]
    limits: Callable[[OperatingPoint | PlannedMetric | None], Limits]
    registry: Registry
    costs: Costs = field(default_factory=lambda: Costs())
    families: dict[tuple[str, str], str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def context(self) -> Context:
        """Of the session."""
        return self.setup.context

    def family(self, planned: OperatingPoint | PlannedMetric) -> str:
        """What else may work in the same process as a codec or metric."""
        name = planned.id if isinstance(planned, OperatingPoint) else planned.label
        key = type(planned).__name__, name
        if key not in self.families:
            self.families[key] = family(planned, self.registry)
        return self.families[key]

    def begin(self, works: Sequence[ImageWork], hands: int) -> None:
        """Begin to start the stations that the first images will be coded at."""
        points = [cell.point for work in works[:hands] for cell in work.cells[:1] if cell.coded is None]
        for point in points:
            for role in CODING:
                self.pool.begin(role, family=self.family(point), accelerator=self.pool.on_accelerator(point))

    def read(self, source: ImageSource, image: PlannedImage) -> SharedImage:
        """Read an original.

        Raises:
            PluginFailedError: it can't be read, or is not the one that was planned.
            NotApplicable: as its dataset has it.
        """

        read_before = ORIGINALS.take(image.sha256)
        if read_before is not None:
            return SharedImage.of(read_before)

        def read() -> SharedImage:
            with self.pool.lease("encode") as station:
                given = source, image.sha256, image.location
                found: SharedImage = self.ask(station, None, f"{image.name} · read", "read", *given)
                return found

        return persistently(read)

    def ask(
        self, station: Station, asked: OperatingPoint | PlannedMetric | None, about: str, method: str, *arguments: Any
    ) -> Any:
        """Have something done at a station."""
        return station.ask(self.request(asked, about, method, *arguments), self.limits(asked))

    def request(
        self, asked: OperatingPoint | PlannedMetric | None, about: str, method: str, *arguments: Any
    ) -> Request:
        """Return what a station is asked to have done by a codec, a metric or (None) a dataset."""
        return Request(method, arguments, "dataset" if asked is None else asked.owner, about)


def at_coder(
    means: Means, role: Any, setting: Setting, image: str, method: str, *arguments: Any, knows: Any = None
) -> Any:
    """Have a codec do something at an encoding or decoding station, if possible one that it is set up at.

    Args:
        knows: what else the station should be set up for, rather.
    """
    accelerator = means.pool.on_accelerator(setting.point)

    def preferred(station: Station) -> tuple[bool, bool]:
        return knows in station.knows, setting.key in station.knows

    def do() -> Any:
        family = means.family(setting.point)
        with means.pool.lease(role, family=family, accelerator=accelerator, preferred=preferred) as station:
            station.knows |= {setting.key, knows}
            about = f"{setting.point.id} · {image} · {role}"
            return means.ask(station, setting.point, about, method, setting, *arguments)

    return persistently(do)


Taken = tuple[SharedImage, Sequence[SharedImage], Sequence[int]]
"""What a scoring station is given: an original, its reconstructions, and the sizes of their bitstreams."""


@contextlib.contextmanager
def at_metric(
    means: Means, metric: PlannedMetric, about: str, key: Any, images: Taken | None
) -> Iterator[Callable[..., Any]]:
    """Lend a scoring station that has taken images, if possible one that has the metric and them already.

    Args:
        about: the image that it is about.
        key: names what the images are of, for stations that have them already; None if they are of this call only.
        images: None where features are all that is needed.

    Yields:
        A function that has the metric do something there.
    """

    def ask(method: str, *arguments: Any) -> Any:
        return means.ask(station, metric, f"{metric.label} · {about}", method, *arguments)

    with leased_for(means, metric, key) as station:
        if images is not None and (key is None or station.taken != key):
            station.taken = None
            ask("take", about, *images)
            station.taken = key
        yield ask


@contextlib.contextmanager
def leased_for(means: Means, metric: PlannedMetric, key: Any = None) -> Iterator[Station]:
    """Lend a scoring station, if possible one that has the metric and has taken the images that a key names."""

    def preferred(station: Station) -> tuple[bool, bool]:
        return metric.label in station.knows, station.taken is not None and station.taken == key

    accelerator, family = means.pool.on_accelerator(metric), means.family(metric)
    with means.pool.lease("score", family=family, accelerator=accelerator, preferred=preferred) as station:
        station.knows.add(metric.label)
        yield station


@contextlib.contextmanager
def aside(
    plan: Plan,
    folder: RunFolder,
    registry: Registry,
    context: Context,
    tell: Callable[[str], None],
    *,
    in_process: bool = False,
) -> Iterator[Means]:
    """Lend means for work outside a session, one thing at a time: to explain a run, to verify it, to watch it."""
    here = in_process or not registry.portable
    if not here:
        warm_up({name for each in plan.participants for name in each.libraries})
    setup = Setup(plan, folder, "", context, UNTIMED, registry.files)
    devices = () if context.device == "cpu" else (context.device,)
    pool = StationPool(setup, Stop(), 1, devices, tell, registry=registry if here else None)
    try:
        yield Means(setup, pool, lambda event: None, partial(limits_of, plan), registry)
    finally:
        for text in pool.close():
            tell(text)
