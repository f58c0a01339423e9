"""A copy of a run, to go on with where the run itself is to stay as it is."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from qbench.errors import StoreError
from qbench.records import JOURNAL
from qbench.store.folder import RunFolder

RECORDS = ("suite.yaml", "provenance.json")
EVERYTHING = (*RECORDS, "bitstreams", "reconstructions", "artifacts", "features")


def copy_run(source: RunFolder, target: Path, names: Sequence[str] = EVERYTHING) -> RunFolder:
    """Copy all of a run but its reports; links are left out.

    Args:
        names: what is copied beside the journal: :data:`RECORDS` are enough to compare with.

    Raises:
        StoreError: there is something at the target already, or it can't be written.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise StoreError(f"{target}: exists already; name a folder that doesn't")
    try:
        for name in (*names, JOURNAL):  # the journal last: until then there is no run
            for path in [source.path / name, *(source.path / name).rglob("*")]:
                if path.is_file() and not path.is_symlink():
                    to = target / path.relative_to(source.path)
                    to.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(path, to)
    except OSError as error:
        raise StoreError(f"{target}: can't copy the run: {error.strerror or error}") from error
    return RunFolder(target)
