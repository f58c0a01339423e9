"""The errors qbench raises on purpose.

Everything that is the *user's* to mend derives from :class:`QbenchError`: the command line prints its text
without a traceback and exits with code 2. What goes wrong inside a plugin is not raised through the run; it
becomes a :class:`qbench.records.Failure` in a record, with its traceback.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from unicodedata import category


class QbenchError(Exception):
    """An error that the user can fix. ``str(error)`` says what, where, and what is accepted.

    Attributes:
        exit_code: of the command line.
    """

    exit_code = 2


class OutputError(QbenchError):
    """Something that can't be written."""

    def __init__(self, path: object, error: OSError) -> None:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
        self.exit_code = 1 if full else 2  # not the user's mistake
        super().__init__(f"{shown(path)}: can't write: {error.strerror or error}")


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a suite. ``where`` is ``file:line:column``, or ``--set …`` for an override."""

    where: str
    path: str
    message: str

    def __str__(self) -> str:
        """``where: path: message``, leaving out what is empty."""
        return ": ".join(part for part in (self.where, self.path, self.message) if part)


class SuiteError(QbenchError):
    """A suite that can't be run. ``problems`` lists everything found, not only the first."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class ImageError(QbenchError):
    """An image or a folder of images that can't be read."""


class DatasetError(QbenchError):
    """A named dataset that is not downloaded, could not be fetched, or is not what it should be."""


class DownloadError(QbenchError):
    """A file that can't be downloaded: forbidden, no network, no room, or gone."""


class ModelError(QbenchError):
    """Weights that are not downloaded, can't be fetched, or are not what they should be."""


class PluginError(QbenchError):
    """A plugin that is missing, broken, or clashes with another."""


class DeviceError(QbenchError):
    """A device that was asked for and is not available."""


class ClusterError(QbenchError):
    """Workers on other machines that can't be reached, or are not as a run needs them."""


class StoreError(QbenchError):
    """A run folder that can't be read or written."""


class LostError(StoreError):
    """What was made of a cell is gone, or is not what was recorded."""


class RunLockedError(StoreError):
    """Another process is executing this run."""


class BitstreamError(QbenchError):
    """Raised by ``Codec.decode`` for bytes it can't decode: truncated, damaged, or another codec's."""


class NotApplicable(Exception):  # noqa: N818 - an outcome, not an error
    """A codec or metric can't be applied to this input, by its definition.

    Raise it from :meth:`Codec.encode`, :meth:`Metric.prepare` or :meth:`Metric.score`, or return it in place of
    one candidate's scores. ``reason`` is shown to the reader: "shorter side is 96 pixels; MS-SSIM needs 161".
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``'; did you mean `quality`?'`` for a near miss, else an empty string."""
    near = get_close_matches(str(name), list(known), n=1, cutoff=0.6)
    return f"; did you mean `{near[0]}`?" if near else ""


BIDIRECTIONAL = "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Characters that turn the order of what follows."""


def shown(text: object) -> str:
    """Return a name as it is shown to people: on one line, what a terminal would obey or can't show escaped."""
    return "".join(_escaped(char) if _obeyed(char) else char for char in str(text))


def _obeyed(char: str) -> bool:
    return not char.isprintable() and (category(char) in ("Cc", "Cs", "Zl", "Zp") or char in BIDIRECTIONAL)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")
