"""Writing files whole or not at all. Stable."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

from qbench.errors import OutputError

__all__ = ["replacing", "writing"]


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; what is written there takes the file's place at the end.

    Whoever reads ``path`` meanwhile sees the old file or the new one, never a part. When the block raises, the old file
    stays. The file gets the permissions that the umask gives to any new file.

    Raises:
        OSError: it can't be written.
    """
    temporary = path.parent / f".{path.stem[:40]}-{uuid.uuid4().hex[:12]}.part{path.suffix}"
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))  # of which the system takes the umask
    try:
        yield temporary
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


@contextlib.contextmanager
def writing(path: Path) -> Iterator[Path]:
    """As :func:`replacing`, for a file that a person asked for; a device is written to as it is.

    Raises:
        OutputError: it can't be written; no part of it is left.
    """
    try:
        if path.exists() and not path.is_file():
            yield path
        else:
            with replacing(path) as temporary:
                yield temporary
    except OSError as error:
        raise OutputError(path, error) from error
