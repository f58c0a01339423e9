"""Where what is printed at a station goes: a file, with what was being done before each piece."""

from __future__ import annotations

import faulthandler
import io
import os
import sys
import tempfile
from pathlib import Path

RULE = "── "
KEPT_LINES = 30
KEPT_BYTES = 4000
MOST_BYTES = 256 * 1024
"""Of one call; of what is longer, beginning and end are kept."""


class StationLog:
    """Takes what this process prints, and what its children do, whether through Python or not."""

    def __init__(self, path: Path) -> None:
        self._descriptor = -1
        self._begun = 0
        self._heading = b""
        self.open(path)

    def open(self, path: Path) -> None:
        """Go on in another file."""
        _flush()
        if path == Path(os.devnull):  # until there is a run folder
            with tempfile.TemporaryFile("ab+") as file:
                descriptor = os.dup(file.fileno())
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = descriptor
        self._redirect()
        faulthandler.enable(descriptor)

    def begin(self, about: str) -> None:
        """Note what is done next."""
        self._redirect()  # a plugin may have closed or replaced the streams
        self._begun = os.lseek(self._descriptor, 0, os.SEEK_END)
        self._heading = f"{RULE}{about}\n".encode()
        os.write(self._descriptor, self._heading)

    def end(self) -> None:
        """Remove the note if nothing was printed, and the middle of what is too long."""
        _flush()
        size = os.lseek(self._descriptor, 0, os.SEEK_END)
        start = self._begun + len(self._heading)
        if size <= start:
            os.ftruncate(self._descriptor, self._begun)
        elif size - start > MOST_BYTES:
            tail = os.pread(self._descriptor, MOST_BYTES // 2, size - MOST_BYTES // 2)
            os.ftruncate(self._descriptor, start + MOST_BYTES // 2)
            os.write(self._descriptor, f"\n… {size - start - MOST_BYTES} bytes left out …\n".encode() + tail)
        elif os.pread(self._descriptor, 1, size - 1) != b"\n":
            os.write(self._descriptor, b"\n")

    def printed(self) -> str:
        """Return the last lines printed since the call began."""
        _flush()
        start = self._begun + len(self._heading)
        size = os.lseek(self._descriptor, 0, os.SEEK_END)
        first = max(start, size - KEPT_BYTES)
        return last_lines(os.pread(self._descriptor, max(0, size - first), first))

    def _redirect(self) -> None:
        for descriptor in (1, 2):
            os.dup2(self._descriptor, descriptor)
        if _closed(sys.stdout):
            sys.stdout = _stream(1)
        if _closed(sys.stderr):
            sys.stderr = _stream(2)
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(line_buffering=True)  # what a process printed before it died is there


def last_lines(data: bytes) -> str:
    """Return the last lines of a log's end, as text."""
    lines = data.decode("utf-8", "replace").rstrip().splitlines()
    return "\n".join(line[:500] for line in lines[-KEPT_LINES:])


def tail_of(path: Path) -> str:
    """Return the last lines below the last heading of a log: what a station printed before it died."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 4 * KEPT_BYTES))
            data = file.read()
    except OSError:
        return ""
    _, found, piece = data.rpartition(RULE.encode())
    return last_lines(piece.partition(b"\n")[2] if found else data)


def _stream(descriptor: int):  # type: ignore[no-untyped-def]  # a text stream
    return os.fdopen(descriptor, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)


def _closed(stream: object) -> bool:
    return stream is None or bool(getattr(stream, "closed", True))


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (ValueError, OSError, AttributeError):
            continue
