"""The journal: one line of JSON per record, appended and never changed.

Why lines of JSON and not a database: a run is an archive, read whole, by people and tools that may not have qbench;
one process writes it (the folder's lock sees to that), so nothing needs transactions; and it works on the network
file systems of clusters, where SQLite's WAL mode does not. Each batch of records is one ``write`` to a file opened for
appending, so a killed process leaves at most one torn line, at the end. Every line carries a CRC-32; the torn tail is
cut off when the journal is opened for writing, and a damaged line in the middle is reported and counts as not measured.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from pydantic import ValidationError

from qbench.errors import StoreError
from qbench.records import SCHEMA_VERSION, AnyRecord

HEADER = f'{{"qbench-journal":{SCHEMA_VERSION}}}\n'.encode()
_LINE = re.compile(rb'\{"crc32":"([0-9a-f]{8})","record":(.*)\}', re.DOTALL)


@dataclass(frozen=True)
class Contents:
    """What a journal holds.

    Attributes:
        records: in the order they were written.
        damaged: line numbers that could not be read, other than a torn last one.
        intact_bytes: length of the file up to the end of the last whole line.
    """

    records: tuple[Any, ...]
    damaged: tuple[int, ...]
    intact_bytes: int


def read_journal(path: Path) -> Contents:
    """Read a journal; also one that another process is writing.

    Raises:
        StoreError: not a journal, or one of a newer qbench.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StoreError(f"{path}: can't read the run's journal: {error.strerror or error}") from error
    lines = data.split(b"\n")
    whole, tail = lines[:-1], lines[-1]
    intact = len(data) - len(tail)
    if not whole:
        return Contents((), (), 0)
    if whole[0] + b"\n" != HEADER:
        version = re.fullmatch(rb'\{"qbench-journal":(\d+)\}', whole[0])
        if version:
            raise StoreError(
                f"{path}: the run has format {int(version[1])}; this qbench reads format {SCHEMA_VERSION}. "
                "Use the qbench version that made it (see provenance.json)"
            )
        raise StoreError(f"{path}: not a qbench journal")
    records = []
    damaged = []
    for number, line in enumerate(whole[1:], start=2):
        record = _parse(line)
        if record is None:
            damaged.append(number)
        else:
            records.append(record)
    return Contents(tuple(records), tuple(damaged), intact)


def _parse(line: bytes) -> Any:
    match = _LINE.fullmatch(line)
    if match is None or zlib.crc32(match[2]) != int(match[1], 16):
        return None
    try:
        return AnyRecord.validate_json(match[2])
    except ValidationError:
        return None


class JournalWriter:
    """Appends records to a journal. Open it only while holding the run folder's lock."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o644)
            self._end = os.fstat(self._file).st_size
        except OSError as error:
            raise StoreError(f"{path}: can't write the run's journal: {error.strerror or error}") from error
        if self._end:
            self._truncate(read_journal(path).intact_bytes)
        if not self._end:
            self._write(HEADER)

    def append(self, records: Iterable[Any]) -> None:
        """Append records in one write.

        Raises:
            StoreError: the disk is full or gone. The journal is left as it was before the call.
        """
        parts = []
        for record in records:
            body = record.model_dump_json(exclude_defaults=False).encode()
            parts.append(b'{"crc32":"%08x","record":%s}\n' % (zlib.crc32(body), body))
        if parts:
            self._write(b"".join(parts))

    def sync(self) -> None:
        """Make everything appended so far survive a power cut, too."""
        os.fsync(self._file)

    def close(self) -> None:
        """Close the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> JournalWriter:
        """Return self."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()

    def _write(self, data: bytes) -> None:
        written = 0
        try:
            while written < len(data):
                written += os.write(self._file, data[written:])
        except OSError as error:
            self._truncate(self._end)
            raise StoreError(
                f"{self._path}: can't write the run's journal: {error.strerror or error}. What was measured before is "
                "kept; make room and run the same command to go on"
            ) from error
        self._end += written

    def _truncate(self, size: int) -> None:
        os.ftruncate(self._file, size)
        self._end = size
