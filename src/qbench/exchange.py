"""The format contract: results from other tools' files, and into them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from qbench.metric import Column

if TYPE_CHECKING:
    from qbench.results import Run


@dataclass(frozen=True)
class ImportedCell:
    """What another tool measured on one image (or the mean over several) at one operating point.

    Attributes:
        image: its name among the images of the results.
        codec: what the codec is called.
        settings: by name; with the codec's name they tell operating points apart.
        values: column's name → value; None where the file has none.
        size: of the bitstream, in bytes; None if the file does not say.
        encode, decode: seconds; likewise.
    """

    image: str
    codec: str
    settings: Mapping[str, Any]
    values: Mapping[str, float | None]
    size: int | None = None
    encode: float | None = None
    decode: float | None = None


@dataclass(frozen=True)
class ImportedResults:
    """What another tool's file holds.

    Attributes:
        name, description: of the results.
        images: name → width and height; 0 and 0 where the file does not say, or for a mean over several.
        columns: of the values, named as they are to be called in tables; by the names that qbench's own have where
            they are the same metric, so that curves of both can be laid over each other.
        rates: which of the columns are rates. One of them in ``bit/pixel`` is what curves are drawn over, unless
            images' and bitstreams' sizes are known.
        notes: what one should know of them: fields that were left out, values that were taken for decibels.
    """

    name: str
    images: Mapping[str, tuple[int, int]]
    columns: Sequence[Column]
    cells: Sequence[ImportedCell]
    description: str = ""
    rates: Sequence[str] = ()
    notes: Sequence[str] = field(default=())


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

    @abstractmethod
    def read(self, document: Any, name: str) -> ImportedResults:
        """Read a parsed file.

        Args:
            document: as :func:`json.loads` returns it; NaN in it is None.
            name: of the file, without its ending.

        Raises:
            QbenchError: it is malformed; the text says what is wrong and where.
        """

    @abstractmethod
    def write(self, run: Run, folder: Path) -> list[Path]:
        """Write a run into files in a folder, which exists, and return them.

        Raises:
            QbenchError: the run has nothing that the format can hold.
        """
