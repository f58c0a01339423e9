"""The format contract: results from other tools' files, and into them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from qbench.contracts.metric import Column


@dataclass(frozen=True)
class ExchangedCell:
    """What was measured on one image (or the mean over several) at one operating point.

    Attributes:
        image: its name among the images of the results.
        codec: what the codec is called.
        settings: by name; with the codec's name they tell operating points apart.
        values: column's name → value; None where there is none.
        size: of the bitstream, in bytes; None where it is not known.
        encode, decode: seconds; likewise.
        rate: bits per pixel; likewise. When reading, sizes or a column of ``rates`` say it, and this is left out.
    """

    image: str
    codec: str
    settings: Mapping[str, Any]
    values: Mapping[str, float | None]
    size: int | None = None
    encode: float | None = None
    decode: float | None = None
    rate: float | None = None


@dataclass(frozen=True)
class ExchangedResults:
    """What another tool's file holds, or is to hold.

    Attributes:
        name, description: of the results.
        images: name → width and height; 0 and 0 where the file does not say, or for a mean over several.
        columns: of the values, named as they are called in tables: by the names that qbench's own metrics have where
            they are the same, so that curves of both can be drawn over each other.
        cells: every cell that was coded; one that failed is left out.
        rates: which of the columns are rates. One of them in ``bit/pixel`` is what curves are drawn over, unless
            images' and bitstreams' sizes are known.
        notes: what one should know of them: fields that were omitted, values that were taken for decibels.
        frames: image → number of frames, of animations; their rate is per pixel of a frame.
        averaging: in words, how values that are means over several images were formed; empty of single images.
        measured_at: when, ISO 8601; empty where it is not known.
        libraries: codec → what it was coded with; likewise.
    """

    name: str
    images: Mapping[str, tuple[int, int]]
    columns: Sequence[Column]
    cells: Sequence[ExchangedCell]
    description: str = ""
    rates: Sequence[str] = ()
    notes: Sequence[str] = ()
    frames: Mapping[str, int] = field(default_factory=dict)
    averaging: str = ""
    measured_at: str = ""
    libraries: Mapping[str, str] | None = None

    def by_codec(self) -> dict[str, list[ExchangedCell]]:
        """Return the cells of every codec."""
        found: dict[str, list[ExchangedCell]] = {}
        for cell in self.cells:
            found.setdefault(cell.codec, []).append(cell)
        return found


class Format(ABC):
    """A file format of another tool, in JSON.

    Class attributes:
        name: as in ``qbench export --format NAME``.
        summary: one line for ``qbench plugins``.
        reference: where the format is described.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    reference: ClassVar[str] = ""

    @abstractmethod
    def recognises(self, document: Any) -> bool:
        """Say whether a parsed file looks like one of this format; must not raise, whatever it holds."""

    def lists(self, document: Any) -> Sequence[str]:
        """Return the files that an index refers to, relative to it; empty for any other file; must not raise."""
        return ()

    @abstractmethod
    def read(self, document: Any, name: str) -> ExchangedResults:
        """Read a parsed file.

        Args:
            document: as :func:`json.loads` returns it; NaN in it is None.
            name: of the file, without its suffix.

        Raises:
            QbenchError: it is malformed; the text says what is wrong and where.
        """

    @abstractmethod
    def write(self, results: ExchangedResults, folder: Path) -> list[Path]:
        """Write results into files in a folder, which exists, and return them.

        Raises:
            QbenchError: there is nothing that the format can hold.
        """
