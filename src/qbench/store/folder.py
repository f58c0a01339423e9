"""The run folder: where everything that one execution of a suite produced is kept.

::

    runs/thesis-3fa9c1/
        suite.yaml          the suite as run
        provenance.json     versions, machine, settings of the latest session (all of them are in the journal)
        journal.jsonl       the records
        bitstreams/jpeg/quality=40/face.jpg
        artifacts/...       what codecs left to look at, per operating point and image
        features/...        of distribution metrics, until they are finished
        reconstructions/jpeg/quality=40/face.png
        logs/encode-0.log   what codecs and metrics printed, by the process that they ran in
        lock                held by the process that executes the run
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import os
import re
import shutil
import socket
import struct
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import filelock
import numpy as np
import numpy.typing as npt

from qbench.errors import RunLockedError, StoreError
from qbench.images.image import Image, encode_png
from qbench.planning.placing import placed
from qbench.planning.types import OperatingPoint, Plan, PlannedImage
from qbench.records import JOURNAL, CellRecord, PlanRecord
from qbench.results.bulk import many_objects
from qbench.results.state import RunState
from qbench.store.journal import JournalWriter, read_journal
from qbench.toolkit.files import replacing

PNG_SIZE = 16
"""Where width and height stand in a PNG."""

LOGS = "logs"


def now() -> str:
    """Return the time in UTC, ISO 8601, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class RunFolder:
    """Paths, lock, journal and files of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def journal_path(self) -> Path:
        """The journal."""
        return self.path / JOURNAL

    def exists(self) -> bool:
        """Whether a run was begun here."""
        return self.journal_path.is_file()

    # -- reading --------------------------------------------------------------------------------------------------

    def load(self) -> RunState:
        """Read the run.

        Raises:
            StoreError: there is no run here, or it can't be read.
        """
        if not self.exists():
            raise StoreError(f"{self.path}: not a run folder (no {JOURNAL})")
        state = self._read()
        if state.plan_record is None:
            what = "the run was interrupted before it started"
            if state.damaged:
                what = f"{len(state.damaged)} lines of its journal are damaged, and none that can be read has a plan"
            raise StoreError(f"{self.path}: {what}; rerun the same command")
        try:
            _ = state.plan
        except (ValueError, TypeError, KeyError) as error:  # a ValidationError is a ValueError
            reason = "; ".join(str(error).splitlines()[1:3]) or str(error)
            raise StoreError(f"{self.path}: this qbench can't read the plan in its journal: {reason}") from error
        return state

    def _read(self) -> RunState:
        with many_objects():
            contents = read_journal(self.journal_path)
            return RunState(contents.records, contents.damaged)

    def bitstream_path(self, point: OperatingPoint, image: str) -> Path:
        """Where a cell's bitstream is kept."""
        return self._cell_path("bitstreams", point, image, point.file_extension)

    def reconstruction_path(self, point: OperatingPoint, image: str) -> Path:
        """Where a cell's reconstruction is kept, a PNG."""
        return self._cell_path("reconstructions", point, image, "png")

    def artifact_path(self, point: OperatingPoint, image: str, name: str) -> Path:
        """Where a file that a codec left to look at is kept."""
        return self._point_path("artifacts", point) / _slug(image) / _slug(name, ending=True)

    def features_path(self, metric: str, point: OperatingPoint | None, image: str) -> Path:
        """Where a distribution metric's features of a reconstruction (or of the original) wait to be finished."""
        kind = f"features/{_slug(metric)}"
        if point is None:
            return self.path / kind / "originals" / f"{_slug(image)}.npy"
        return self._cell_path(f"{kind}/points", point, image, "npy")

    def _cell_path(self, kind: str, point: OperatingPoint, image: str, extension: str) -> Path:
        return self.path.joinpath(kind, *_place_of(point), f"{_slug(image)}.{_slug(extension)}")

    def _point_path(self, kind: str, point: OperatingPoint) -> Path:
        return self.path.joinpath(kind, *_place_of(point))

    def keeps(self, point: OperatingPoint, image: str) -> bool:
        """Whether a cell's bitstream or reconstruction is here."""
        return self.bitstream_path(point, image).is_file() or self.reconstruction_path(point, image).is_file()

    def sizes_differ(self, cells: Iterable[tuple[OperatingPoint, CellRecord]]) -> int:
        """Count bitstreams whose size is not the one that was recorded: what can be told without reading them."""
        differ = 0
        if not (self.path / "bitstreams").is_dir():
            return 0
        for point, cell in cells:
            try:
                size = self.bitstream_path(point, cell.image).stat().st_size
            except OSError:  # not kept
                continue
            differ += cell.bitstream_size not in (None, size)
        return differ

    def read_reconstruction(self, point: OperatingPoint, image: PlannedImage) -> Image | None:
        """Return a kept reconstruction, None if there is none, or its file is damaged or of another size."""
        import imagecodecs

        try:
            data = self.read_file(self.reconstruction_path(point, image.name)) or b""
            # Before it is decoded: a small file may claim, and hold, gigabytes.
            if struct.unpack_from(">II", data, PNG_SIZE) != (image.width, image.height):
                return None
            return Image(imagecodecs.png_decode(data))
        except (StoreError, ValueError, TypeError, struct.error, imagecodecs.PngError):
            return None

    def read_file(self, path: Path) -> bytes | None:
        """Return a file of the run, None if it is not there.

        Raises:
            StoreError: it can't be read, or a link leads out of the folder: who sends a run may not look into others'.
        """
        self.require_inside(path)
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"{path}: can't read: {error.strerror or error}") from error

    def logs(self) -> Iterator[tuple[str, str]]:
        """Yield what codecs and metrics printed: name of each log that is not empty, and its text.

        Raises:
            StoreError: one can't be read.
        """
        for path in sorted((self.path / LOGS).glob("*.log")):
            text = (self.read_file(path) or b"").decode("utf-8", "replace")
            if text:
                yield path.stem, text

    def holds(self, path: Path) -> bool:
        """Whether a path is really in the folder, whatever links there are on the way."""
        return path.resolve().is_relative_to(self.path.resolve())

    def require_inside(self, path: Path) -> None:
        """Raise StoreError if a path is not really in the folder."""
        if not self.holds(path):
            raise StoreError(f"{path}: leads out of the run folder; qbench follows no links there")

    # -- writing --------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this process; make it if need be. The system frees the lock when a process dies.

        Raises:
            RunLockedError: another process holds it.
            StoreError: the folder can't be made or written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for name in (JOURNAL, "lock", "lock.owner"):
                self.require_inside(self.path / name)
            lock = filelock.FileLock(self.path / "lock")
            owner = self.path / "lock.owner"
            try:
                lock.acquire(timeout=0)
            except filelock.Timeout as error:
                with contextlib.suppress(OSError):
                    raise RunLockedError(
                        f"{self.path}: another process is executing this run ({owner.read_text().strip()})"
                    ) from error
                raise RunLockedError(f"{self.path}: another process is executing this run") from error
            with replacing(owner) as temporary:  # at once: a process that is refused reads it
                temporary.write_text(f"pid {os.getpid()} on {socket.gethostname()} since {now()}\n")
        except OSError as error:
            raise StoreError(f"{self.path}: can't write the run folder: {error.strerror or error}") from error
        try:
            yield
        finally:
            owner.unlink(missing_ok=True)
            lock.release()

    @contextlib.contextmanager
    def writing(self) -> Iterator[JournalWriter]:
        """Open the journal for appending. Hold the lock first."""
        with JournalWriter(self.journal_path) as journal:
            yield journal
            journal.sync()

    def begin(self, plan: Plan, journal: JournalWriter) -> RunState:
        """Start a run of a plan here, or resume the one that was begun.

        Raises:
            StoreError: the folder holds a run of something else.
        """
        state = self._read()
        if state.plan_record is None:
            self.write_file(self.path / "suite.yaml", plan.suite_text.encode())
            journal.append([PlanRecord(at=now(), base=plan.key(), plan=plan.to_json())])
            return self._read()
        if state.plan_record.base != plan.key():
            if placed(state.plan, None).key() == placed(plan, None).key():
                on = {each.identity["device"]["name"] for each in state.plan.participants if "device" in each.identity}
                raise StoreError(
                    f"{self.path}: contains this run with networks on {', '.join(sorted(on)) or 'a processor'}, whose "
                    "results differ in their last digits. Choose that --device, or another folder with --output"
                )
            raise StoreError(
                f"{self.path}: contains a run with a different plan ({state.plan.suite}; images, codecs, metrics, "
                "settings or library versions differ). Choose another folder with --output"
            )
        return state

    def write_provenance(self, provenance: dict[str, Any]) -> None:
        """Write the copy of the latest session's provenance that people open."""
        text = json.dumps(provenance, indent=2, ensure_ascii=False, default=str)
        self.write_file(self.path / "provenance.json", text.encode())

    def write_reconstruction(self, point: OperatingPoint, image: str, reconstruction: Image) -> None:
        """Keep a reconstruction as PNG."""
        self.write_file(self.reconstruction_path(point, image), encode_png(reconstruction.pixels))

    def write_features(self, path: Path, features: npt.NDArray[np.float32]) -> None:
        """Keep features in NumPy's own format."""
        buffer = io.BytesIO()
        np.save(buffer, features, allow_pickle=False)
        self.write_file(path, buffer.getvalue())

    def remove(self, kind: Literal["bitstreams", "features"]) -> None:
        """Remove all files of a kind.

        Raises:
            StoreError: a link leads out of the folder.
        """
        self.require_inside(self.path / kind)
        shutil.rmtree(self.path / kind, ignore_errors=True)

    def read_features(self, path: Path) -> npt.NDArray[np.float32]:
        """Read features back.

        Raises:
            StoreError: they are gone or damaged.
        """
        self.require_inside(path)
        try:
            features: npt.NDArray[np.float32] = np.load(path, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise StoreError(
                f"{path}: can't read the features: {error}; delete it and rerun the same command"
            ) from error
        return features

    def write_file(self, path: Path, data: bytes) -> None:
        """Write a file whole or not at all.

        Raises:
            StoreError: it can't be written, or a link leads out of the folder.
        """
        try:
            self.require_inside(path.parent)
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as temporary:
                temporary.write_bytes(data)
        except OSError as error:
            hint = "; make room and rerun the same command to resume" if error.errno == errno.ENOSPC else ""
            raise StoreError(f"{path}: can't write: {error.strerror or error}{hint}") from error


def _place_of(point: OperatingPoint) -> tuple[str, str]:
    """Return the names of an operating point's folder, and of the one that it is in."""
    return _slug(point.label), _slug(point.id.partition(":")[2] or "default")


@lru_cache(maxsize=2**16)
def _slug(name: str, *, ending: bool = False) -> str:
    """Return a file name for any text: safe on every system, and different for different texts.

    Args:
        ending: let it end as the text does, so that a viewer knows what is in the file.
    """
    safe = re.sub(r"[^A-Za-z0-9._=,+-]+", "-", name)[:100].lstrip(".") or "-"
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    if re.fullmatch(r"(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", name):  # names of devices on Windows
        return f"{digest}-{safe}"
    suffix = re.search(r"\.[A-Za-z0-9]{1,8}\Z", name) if ending else None
    return safe if safe == name else f"{safe}-{digest}{suffix[0] if suffix else ''}"
