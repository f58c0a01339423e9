"""The stations of a session: made when they are needed, lent to one task at a time, replaced when they die."""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from qbench.execute.station import Role
from qbench.execute.stations import LocalStation, ProcessStation, Station
from qbench.execute.work import Setup, Stop
from qbench.planning.types import OperatingPoint, PlannedMetric
from qbench.registry.registry import Registry

Place = tuple[Role, str, bool]
"""A role, the family of plugins that works there, and whether on an accelerator."""


class StationPool:
    """The stations of a session: made when they are needed, lent to one task at a time, replaced when they die.

    Args:
        most: how many there may be of a role, for work on the processor.
        devices: accelerators: each is shared by one process of each role, which is what has a device's memory.
        tell: takes what plugins tell.
        registry: works in this process, by these plugins; None: in processes of their own, by those installed.
    """

    def __init__(
        self,
        setup: Setup,
        stop: Stop,
        most: int,
        devices: Sequence[str],
        tell: Callable[[str], None],
        *,
        registry: Registry | None = None,
    ) -> None:
        self._setup = setup
        self._stop = stop
        self._most = most
        self._devices = tuple(devices)
        self._tell = tell
        self._registry = registry
        self._log: Path | None = None
        self._changed = threading.Condition()
        self._idle: list[Station] = []
        self._all: list[Station] = []
        self._count: dict[Place, int] = {}
        self._place: dict[int, Place] = {}
        self._device: dict[int, tuple[Place, str]] = {}
        self._user: dict[int, int] = {}
        self._made = 0
        _POOLS.add(self)

    def on_accelerator(self, planned: OperatingPoint | PlannedMetric) -> bool:
        """Whether a codec or metric computes on another device than the processor."""
        return bool(self._devices) and planned.runs_on == "accelerator"

    def log_to(self, folder: Path) -> None:
        """Keep what plugins print in a folder from now on."""
        self._log = folder
        for station in self._idle:
            if isinstance(station, ProcessStation):
                station.log_to(self._log_of(station.role, station.number))

    @contextlib.contextmanager
    def lease(
        self,
        role: Role,
        *,
        family: str = "",
        accelerator: bool = False,
        preferred: Callable[[Station], Any] = lambda station: 0,
    ) -> Iterator[Station]:
        """Lend a station, waiting for one if need be: that which this thread had before, or else another of its own.

        Args:
            family: of the plugin that will work there: plugins of others never work in the same process.
            preferred: where there is a choice, that which this gives the greatest value is taken.
        """
        place, user = (role, family, accelerator), threading.get_ident()
        with self._changed:
            while True:
                fit = [station for station in self._idle if self._place[id(station)] == place]
                if fit or self._room(place):
                    break
                self._changed.wait()
            own = [station for station in fit if self._user.get(id(station), user) == user]
            station = max(own or ([] if self._room(place) else fit), key=preferred, default=None)
            if station is not None:
                self._idle.remove(station)
            else:
                self._count[place] = self._count.get(place, 0) + 1
        try:
            if station is None:
                station = self._new(place)
            self._user[id(station)] = user
            yield station
        finally:
            with self._changed:
                if station is None or (isinstance(station, ProcessStation) and not station.alive):
                    self._count[place] -= 1
                    if isinstance(station, ProcessStation):
                        station.kill()
                        self._all.remove(station)
                        self._device.pop(station.number, None)
                else:
                    self._idle.append(station)
                self._changed.notify_all()

    def begin(self, role: Role, *, family: str = "", accelerator: bool = False) -> None:
        """Begin to start a station for whoever comes first: several get ready at the same time."""
        place = role, family, accelerator
        with self._changed:
            if self._registry is not None or not self._room(place):
                return
            self._count[place] = self._count.get(place, 0) + 1
        try:
            station = self._new(place)
        except (EOFError, OSError):  # whoever needs it will be told
            with self._changed:
                self._count[place] -= 1
            return
        with self._changed:
            self._idle.append(station)

    def close(self) -> list[str]:
        """End all; return what went wrong."""
        told = []
        with self._changed:
            idle, self._idle = self._idle, []
        for station in idle:
            told += station.close()
        self.kill()
        for path in self._log.glob("*.log") if self._log is not None else ():
            if not path.stat().st_size:  # nothing was printed there
                path.unlink(missing_ok=True)
        _POOLS.discard(self)
        return told

    def kill(self) -> None:
        """End all processes at once."""
        for station in list(self._all):
            if isinstance(station, ProcessStation):
                station.kill()

    def _room(self, place: Place) -> bool:
        return self._count.get(place, 0) < (len(self._devices) if place[2] else self._most)

    def _new(self, place: Place) -> Station:
        role, _, accelerator = place
        with self._changed:
            number, self._made = self._made, self._made + 1
            taken = {device for where, device in self._device.values() if where == place}
            device = next(each for each in self._devices if each not in taken) if accelerator else "cpu"
            if accelerator:
                self._device[number] = place, device
        setup = replace(self._setup, context=replace(self._setup.context, device=device))
        station: Station
        try:
            if self._registry is not None:
                station = LocalStation(role, number, setup, self._registry, self._tell)
            else:
                station = ProcessStation(role, number, setup, self._log_of(role, number), self._stop, self._tell)
        except BaseException:
            self._device.pop(number, None)
            raise
        with self._changed:
            self._all.append(station)
            self._place[id(station)] = place
        return station

    def _log_of(self, role: Role, number: int) -> Path:
        return Path(os.devnull) if self._log is None else self._log.absolute() / f"{role}-{number}.log"


_POOLS: weakref.WeakSet[StationPool] = weakref.WeakSet()


@atexit.register
def _end_all() -> None:
    for pool in list(_POOLS):
        pool.kill()
