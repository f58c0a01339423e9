"""The stations of a session: made when they are needed, lent to one task at a time, replaced when they die."""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from qbench.execute.station import Role
from qbench.execute.stations import LocalStation, ProcessStation, Station
from qbench.execute.work import Setup, Stop
from qbench.registry.registry import Registry


class StationPool:
    """The stations of a session: made when they are needed, lent to one task at a time, replaced when they die.

    Args:
        most: how many there may be of a role, for work on the processor and on an accelerator.
        tell: takes what plugins tell.
        registry: works in this process, by these plugins; None: in processes of their own, by those installed.
    """

    def __init__(
        self,
        setup: Setup,
        stop: Stop,
        most: tuple[int, int],
        tell: Callable[[str], None],
        *,
        registry: Registry | None = None,
    ) -> None:
        self._setup = setup
        self._stop = stop
        self._most = most
        self._tell = tell
        self._registry = registry
        self._log: Path | None = None
        self._changed = threading.Condition()
        self._idle: list[Station] = []
        self._all: list[Station] = []
        self._count: dict[tuple[Role, str, bool], int] = {}
        self._place: dict[int, tuple[Role, str, bool]] = {}
        self._user: dict[int, int] = {}
        self._made = 0
        _POOLS.add(self)

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
                if fit or self._count.get(place, 0) < self._most[accelerator]:
                    break
                self._changed.wait()
            own = [station for station in fit if self._user.get(id(station), user) == user]
            more = self._count.get(place, 0) < self._most[accelerator]
            station = max(own or ([] if more else fit), key=preferred, default=None)
            if station is not None:
                self._idle.remove(station)
            else:
                self._count[place] = self._count.get(place, 0) + 1
        try:
            if station is None:
                station = self._new(role)
                self._all.append(station)
                self._place[id(station)] = place
            self._user[id(station)] = user
            yield station
        finally:
            with self._changed:
                if station is None or (isinstance(station, ProcessStation) and not station.alive):
                    self._count[place] -= 1
                    if isinstance(station, ProcessStation):
                        station.kill()
                        self._all.remove(station)
                else:
                    self._idle.append(station)
                self._changed.notify_all()

    def begin(self, role: Role, *, family: str = "", accelerator: bool = False) -> None:
        """Begin to start a station for whoever comes first: several get ready at the same time."""
        place = role, family, accelerator
        with self._changed:
            if self._registry is not None or self._count.get(place, 0) >= self._most[accelerator]:
                return
            self._count[place] = self._count.get(place, 0) + 1
        try:
            station = self._new(role)
        except (EOFError, OSError):  # whoever needs it will be told
            with self._changed:
                self._count[place] -= 1
            return
        with self._changed:
            self._all.append(station)
            self._place[id(station)] = place
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

    def _new(self, role: Role) -> Station:
        with self._changed:
            number, self._made = self._made, self._made + 1
        if self._registry is not None:
            return LocalStation(role, number, self._setup, self._registry, self._tell)
        return ProcessStation(role, number, self._setup, self._log_of(role, number), self._stop, self._tell)

    def _log_of(self, role: Role, number: int) -> Path:
        return Path(os.devnull) if self._log is None else self._log.absolute() / f"{role}-{number}.log"


_POOLS: weakref.WeakSet[StationPool] = weakref.WeakSet()


@atexit.register
def _end_all() -> None:
    for pool in list(_POOLS):
        pool.kill()
