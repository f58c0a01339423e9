"""The journal: one line of JSON per record, appended and never changed.

Why lines of JSON and not a database: a run is an archive, read whole, by people and tools that may not have qbench;
one process writes it (the folder's lock sees to that), so nothing needs transactions; and it works on the network
file systems of clusters, where SQLite's WAL mode does not. Each batch of records is one ``write`` to a file opened for
appending, so a killed process leaves at most one torn line, at the end. Every line carries a CRC-32; the torn tail is
cut off when the journal is opened for writing, and a damaged line in the middle is reported and counts as not measured.

The first line says which version of the format the records are in. A journal of an older version is read by migrating
its records, and continued by another such line: what was written is never changed.
"""

from __future__ import annotations

import json
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
from qbench.records import AnyRecord
from qbench.store.migrations import FORMAT_VERSION, migrated

HEADER = f'{{"qbench-journal":{FORMAT_VERSION}}}\n'.encode()
_HEADER = re.compile(rb'\{"qbench-journal":(\d{1,9})\}')
_TORN_HEADER = re.compile(rb'\{"qbench-journal":\d{0,9}\}?')
_validate = AnyRecord.validator.validate_json


NEWLINE = ord("\n")
MOST_BYTES = 2_000_000_000
"""Of a journal that is read, as that takes several times as much memory."""
MOST_DAMAGED = 10_000
MOST_BYTES_VARIABLE = "QBENCH_MAX_JOURNAL"


@dataclass(frozen=True)
class Contents:
    """What a journal holds.

    Attributes:
        records: in the order they were written.
        damaged: line numbers that could not be read, other than a torn last one.
        intact_bytes: length of the file up to the end of the last whole line.
        version: of the format, at the end of the file; 0 of an empty one.
    """

    records: tuple[Any, ...]
    damaged: tuple[int, ...]
    intact_bytes: int
    version: int


def read_journal(path: Path) -> Contents:
    """Read a journal; also one that another process is writing.

    Raises:
        StoreError: not a journal, too large, or one of a newer qbench.
    """
    data = _bytes_of(path)
    records: list[Any] = []
    damaged: list[int] = []
    version, number, begin = 0, 0, 0
    while (end := data.find(b"\n", begin)) >= 0:
        number, line, begin = number + 1, data[begin:end], end + 1
        if len(damaged) > MOST_DAMAGED:
            raise StoreError(f"{path}: more than {MOST_DAMAGED} of its lines are damaged")
        header = _HEADER.fullmatch(line) if line.startswith(b'{"qbench') else None
        if header:
            version = _supported(int(header[1]), path)
        elif not version:
            raise StoreError(f"{path}: not a qbench journal")
        elif (record := _parse(line, version)) is None:
            damaged.append(number)
        else:
            records.append(record)
    return Contents(tuple(records), tuple(damaged), begin, version)


def _bytes_of(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > most_bytes():
            raise StoreError(
                f"{path}: a journal of {size} bytes, more than {most_bytes()}; set {MOST_BYTES_VARIABLE} to read it"
            )
        data = path.read_bytes()
    except OSError as error:
        raise StoreError(f"{path}: can't read the run's journal: {error.strerror or error}") from error
    if b"\n" not in data and not (HEADER.startswith(data) or _TORN_HEADER.fullmatch(data)):  # but the first line, torn
        raise StoreError(f"{path}: not a qbench journal")
    return data


def _looked_through(path: Path) -> tuple[int, int]:
    """Return a journal's version at its end, and its length up to the end of the last whole line.

    Raises:
        StoreError: as :func:`read_journal`.
    """
    data = _bytes_of(path)
    whole = data[: data.rfind(b"\n") + 1]
    version, begin = 0, 0
    while begin >= 0 and whole:
        header = _HEADER.match(whole, begin)
        if header and whole[header.end()] == NEWLINE:
            version = _supported(int(header[1]), path)
        elif not version:
            raise StoreError(f"{path}: not a qbench journal")
        begin = whole.find(b'\n{"qbench-journal":', begin) + 1 or -1
    return version, len(whole)


def most_bytes() -> int:
    """Return how large a journal may be.

    Raises:
        StoreError: the variable that says so is not a number.
    """
    text = os.environ.get(MOST_BYTES_VARIABLE, "")
    if text and not (text.isascii() and text.isdigit()):
        raise StoreError(f"{MOST_BYTES_VARIABLE} is `{text}`; accepted: a number of bytes, such as {MOST_BYTES}")
    return int(text or MOST_BYTES)


def _supported(version: int, path: Path) -> int:
    if not 1 <= version <= FORMAT_VERSION:
        raise StoreError(
            f"{path}: the run has format {version}; this qbench reads formats 1 to {FORMAT_VERSION}. "
            "Use the qbench version that made it (see provenance.json)"
        )
    return version


def _parse(line: bytes, version: int) -> Any:
    body = line[29:-1]
    if line[:29] != b'{"crc32":"%08x","record":' % zlib.crc32(body) or line[-1:] != b"}":
        return None
    try:
        if version == FORMAT_VERSION:
            return _validate(body)
        return AnyRecord.validate_python(migrated(json.loads(body), version))
    except (ValidationError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


class JournalWriter:
    """Appends records to a journal. Open it only while holding the run folder's lock."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o666)
            self._end = os.fstat(self._file).st_size
        except OSError as error:
            raise StoreError(f"{path}: can't write the run's journal: {error.strerror or error}") from error
        version = 0
        if self._end:
            version, intact_bytes = _looked_through(path)
            if intact_bytes < self._end:
                self._truncate(intact_bytes)
        if version < FORMAT_VERSION:
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
                f"{self._path}: can't write the run's journal: {error.strerror or error}. Results so far are kept; "
                "make room and rerun the same command to resume"
            ) from error
        self._end += written

    def _truncate(self, size: int) -> None:
        os.ftruncate(self._file, size)
        self._end = size
