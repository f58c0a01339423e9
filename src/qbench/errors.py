"""The errors qbench raises on purpose.

Everything that is the *user's* to mend derives from :class:`QbenchError`: the command line prints its text
without a traceback and exits with code 2. What goes wrong inside a plugin is not raised through the run; it
becomes a :class:`qbench.records.Failure` in a record, with its traceback.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches


class QbenchError(Exception):
    """Something the user can mend. ``str(error)`` says what, where, and what is accepted."""


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


class StoreError(QbenchError):
    """A run folder that can't be read or written."""


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


def shown(text: object) -> str:
    """Return a name as it is shown to people: on one line, control characters and broken UTF-8 escaped."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode("ascii")
        for char in str(text)
    )
