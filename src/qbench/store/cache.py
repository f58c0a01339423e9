"""The cache across runs: what was coded and scored once need not be again.

Content-addressed: a cell's key covers codec, version, libraries, settings, original and seed; a score's covers
metric, settings, original, bitstream and reconstruction. Unlike a run's journal this is looked up by key, by several
processes at a time, and can be deleted: one SQLite file, with the rollback journal (not WAL, whose shared memory
does not work on a cluster's network file systems) and without waiting for the disk. Whatever goes wrong with it is
reported once, and the run continues without it.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from qbench.errors import OutputError, StoreError
from qbench.records import CellRecord, ScoreRecord, SessionRecord
from qbench.store.migrations import FORMAT_VERSION

M = TypeVar("M", bound=BaseModel)

_TABLES = """
CREATE TABLE IF NOT EXISTS cells (key TEXT PRIMARY KEY, record TEXT NOT NULL, bitstream BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS scores (key TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sessions (id TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID;
"""


class Cache:
    """The cache in a folder. Every method works (finding or keeping nothing) when the cache does not."""

    FILE = f"cache-{FORMAT_VERSION}.sqlite"

    def __init__(self, folder: Path) -> None:
        self.path = folder / self.FILE
        self.trouble = ""
        self._connection: sqlite3.Connection | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(self.path, timeout=10, isolation_level=None)
            self._connection.execute("PRAGMA journal_mode=TRUNCATE")
            self._connection.execute("PRAGMA synchronous=OFF")
            self._connection.executescript(_TABLES)
        except (OSError, sqlite3.Error) as error:
            self._give_up(error)

    def cell(self, key: str) -> tuple[CellRecord, bytes] | None:
        """Return a coded cell and its bitstream, None if unknown or damaged."""
        row = self._one("SELECT record, bitstream FROM cells WHERE key = ?", key)
        record = _parse(CellRecord, row)
        if (
            row is None
            or record is None
            or not isinstance(row[1], bytes)
            or hashlib.sha256(row[1]).hexdigest() != record.bitstream_sha256
        ):
            return None
        return record, bytes(row[1])

    def score(self, key: str) -> ScoreRecord | None:
        """Return a score, None if unknown."""
        return _parse(ScoreRecord, self._one("SELECT record FROM scores WHERE key = ?", key))

    def session(self, session_id: str) -> SessionRecord | None:
        """Return the session that a cached record was made in."""
        return _parse(SessionRecord, self._one("SELECT record FROM sessions WHERE id = ?", session_id))

    def put(
        self,
        cells: Iterable[tuple[CellRecord, bytes]] = (),
        scores: Iterable[ScoreRecord] = (),
        sessions: Iterable[SessionRecord] = (),
    ) -> None:
        """Keep results, in one transaction."""
        if self._connection is None:
            return
        try:
            self._connection.execute("BEGIN")
            for table, rows in (
                ("cells", [(cell.key, cell.model_dump_json(), data) for cell, data in cells]),
                ("scores", [(score.key, score.model_dump_json()) for score in scores]),
                ("sessions", [(session.id, session.model_dump_json()) for session in sessions]),
            ):
                if rows:
                    marks = ", ".join("?" * len(rows[0]))
                    self._connection.executemany(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", rows)
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._give_up(error)

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def size(self) -> tuple[int, int, int]:
        """Return how many cells and scores are kept, and the bytes of the file."""
        if self._connection is None:
            return 0, 0, 0
        try:
            cells, scores = (
                self._connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("cells", "scores")
            )
            return cells, scores, self.path.stat().st_size
        except (OSError, sqlite3.Error) as error:
            self._give_up(error)
            return 0, 0, 0

    @classmethod
    def clear(cls, folder: Path) -> Path:
        """Remove the cache in a folder, whatever state it is in; return where it was.

        Raises:
            QbenchError: it can't be removed.
        """
        path = folder / cls.FILE
        if path.is_dir():
            raise StoreError(f"{path}: a folder, and no cache; remove or rename it")
        try:
            for each in (path, path.with_name(f"{path.name}-journal")):  # which would be taken for a new file's
                each.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(path, error) from error
        return path

    def _one(self, query: str, key: str) -> Sequence[bytes] | None:
        if self._connection is None:
            return None
        try:
            row: Sequence[bytes] | None = self._connection.execute(query, (key,)).fetchone()
        except sqlite3.Error as error:
            self._give_up(error)
            return None
        return row

    def _give_up(self, error: Exception) -> None:
        self.trouble = (
            f"{self.path}: the cache can't be used ({error}); continuing without it. qbench cache clear removes it"
        )
        with contextlib.suppress(sqlite3.Error):
            self.close()
        self._connection = None


def _parse(model: type[M], row: Sequence[bytes] | None) -> M | None:
    if row is None:
        return None
    try:
        return model.model_validate_json(row[0])
    except ValidationError:
        return None  # of another version; it will be made anew
