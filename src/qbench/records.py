"""The records of a run: immutable rows, one JSON object each; docs/run-folder.md describes them for other programs.

Three outcomes that are not a value are kept apart, each with its reason: *failed* (something broke; the
traceback is kept), *not applicable* (the codec or metric is not defined for this input), and *skipped* (not
tried, because what it needs failed), which is derived when reading and never written.
"""

from __future__ import annotations

import math
import traceback
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, TypeAdapter, WithJsonSchema

JOURNAL = "journal.jsonl"
"""Name of the file that they are written to; a folder that has one is a run folder."""
IMPORTED = "imported"
"""Profile and session of a run of another tool's results, and key in the identity of its metrics."""


def _parse_number(value: object) -> object:
    return float(value) if value in ("Infinity", "-Infinity") else value


def plain_number(value: float) -> float | str:
    """Return a number as strict JSON can hold it, which has no infinity; the PSNR of identical images is one."""
    return value if math.isfinite(value) else ("Infinity" if value > 0 else "-Infinity")


Number = Annotated[
    float,
    Field(allow_inf_nan=True),
    BeforeValidator(_parse_number),
    PlainSerializer(plain_number, return_type=float | str, when_used="json"),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"enum": ["Infinity", "-Infinity"]}]}),
]


Count = Annotated[int, Field(ge=0, le=2**63 - 1)]


class _Row(BaseModel):
    # Fields that a later version added are ignored; docs/run-folder.md says when the format's version changes.
    # The docstrings of fields are their descriptions in the schema.
    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)


LONGEST_MESSAGE, LONGEST_TRACEBACK = 1_000, 100_000
"""Characters that are kept of a failure's; what is longer is cut."""


def _storable(text: str) -> str:
    """Return text as UTF-8 can hold it."""
    return text.encode("utf-8", "backslashreplace").decode()


def cut(text: str) -> str:
    """Return a message as it is kept: of characters that can be stored, and no longer than people read."""
    return _storable(text[:LONGEST_MESSAGE])


class Failure(_Row):
    """What broke, and in which component."""

    plugin: str
    """The component to blame, and its plugin: ``codec jpeg, plugin classical (qbench 0.1.0)``, ``image face``."""
    error: str
    """Type of the exception."""
    message: str
    traceback: str = ""
    printed: str = ""
    """The last lines that the component printed before."""

    @classmethod
    def of(cls, plugin: str, error: BaseException, printed: str = "") -> Failure:
        """Describe an exception that came out of a component, even one that can't be described by itself."""
        name = type(error).__name__
        try:
            message = cut(str(error))
            if len(message.split()) == 1:  # 3, 'quality': says nothing without what it is
                message = f"{name}: {message}"
        except BaseException as trouble:  # whatever the exception's own code raises
            message = f"{name}, whose text can't be had: {type(trouble).__name__}"
        try:
            lines = _storable("".join(traceback.format_exception(error)))
        except BaseException:
            lines = "".join(traceback.format_tb(error.__traceback__)) + f"{name}\n"
        if len(lines) > LONGEST_TRACEBACK:
            half = LONGEST_TRACEBACK // 2
            lines = f"{lines[:half]}\n… {len(lines) - 2 * half} characters left out …\n{lines[-half:]}"
        return cls(plugin=plugin, error=name, message=message or name, traceback=lines, printed=printed)


class CallTiming(_Row):
    """How long one call takes, in seconds, in memory, without file access.

    The median of ``repeats`` calls after ``warmup`` uncounted ones, synchronised with the device. ``batch`` images were
    coded in one call; ``seconds`` is one's share of the time.
    """

    seconds: float
    """Median of the counted calls, per image."""
    repeats: Count
    """Number of counted calls."""
    warmup: Count
    """Number of calls before them that do not count."""
    batch: Count = 1
    """Number of images coded in one call."""
    first: bool = False
    """Whether the counted call was the codec's first at this operating point, which may have set things up."""


class Timing(_Row):
    """How long a cell took, and under which conditions."""

    encode: CallTiming
    decode: CallTiming
    threads: Count
    """Number of threads that the codec uses, or that its libraries may use; 0 if unknown."""
    concurrent_load: str
    """What else this run did at the same time: nothing (``exclusive``) or otherwise."""
    most_repeats: Count = 3
    """Number of calls that were to be counted, unless they took longer than ``budget``."""
    budget: float = 0.5
    """Seconds of a cell's calls after which none follows."""


class CodingCost(_Row):
    """What a codec says that coding the image costs wherever it runs; see :class:`qbench.plugin.Complexity`."""

    parameters: Count | None = None
    encode_macs: Count | None = None
    decode_macs: Count | None = None
    encode_memory: Count | None = None
    decode_memory: Count | None = None


class SessionRecord(_Row):
    """One execution of the run: when, where, with what. Cells and scores refer to it by ``id``."""

    kind: Literal["session"] = "session"
    id: str
    at: str
    """Time in UTC, ISO 8601; so in the other records."""
    provenance: dict[str, Any]
    """Software, machine and settings, as in provenance.json."""


class PlanRecord(_Row):
    """What the run consists of; the last one in a journal holds (``qbench score`` adds metrics)."""

    kind: Literal["plan"] = "plan"
    at: str
    base: str
    """Key of the plan that the run was made for."""
    plan: dict[str, Any]


class FoundSetting(_Row):
    """The setting that came nearest to a target."""

    parameter: str
    value: Number
    wanted: Number
    reached: Number
    tries: Count
    """Number of values that were tried."""


class ArtifactNote(_Row):
    """A file that a codec left to look at, in the run folder under ``artifacts``."""

    name: str
    summary: str = ""


class CellRecord(_Row):
    """One image coded at one operating point, or the reason why not."""

    kind: Literal["cell"] = "cell"
    key: str
    """Of all that decides the bitstream: codec, settings, libraries, pixels, seed."""
    image: str
    """Its name in the plan."""
    point: str
    """The operating point's id in the plan."""
    outcome: Literal["coded", "failed", "not-applicable"]
    bitstream_size: Count | None = None
    """Bytes."""
    bitstream_sha256: str | None = None
    reconstruction_sha256: str | None = None
    """Of the image (pixels, size, pixel format), not of the PNG that holds it."""
    parts: dict[str, Count] = Field(default_factory=dict)
    """Bytes of the bitstream's parts, which add up to its size; empty where the codec does not tell."""
    timing: Timing | None = None
    complexity: CodingCost | None = None
    artifacts: tuple[ArtifactNote, ...] = ()
    found: FoundSetting | None = None
    reason: str = ""
    """Why there is none, in short."""
    failure: Failure | None = None
    session: str
    """Id of the session that measured it."""
    at: str
    cached: bool = False
    """Whether the cache across runs had it."""


class ScoreRecord(_Row):
    """One metric on one cell: a value for each of its columns, or the reason why not.

    A distribution metric has a record per cell, without values, once the cell's features are in the run folder; and
    one per operating point, with ``image`` empty, that holds its values.
    """

    kind: Literal["score"] = "score"
    key: str
    """Of the metric and its settings on this very bitstream and reconstruction."""
    image: str
    point: str
    metric: str
    """The metric's label in the suite."""
    outcome: Literal["scored", "failed", "not-applicable"]
    values: dict[str, Number] = Field(default_factory=dict)
    """Column → value; the plan has the columns' units."""
    absent: dict[str, str] = Field(default_factory=dict)
    """Column that does not apply here → why, of a metric that does."""
    reason: str = ""
    """Why there is none, in short."""
    failure: Failure | None = None
    session: str
    """Id of the session that measured it."""
    at: str
    cached: bool = False
    """Whether the cache across runs had it."""


Record = Annotated[SessionRecord | PlanRecord | CellRecord | ScoreRecord, Field(discriminator="kind")]
AnyRecord: TypeAdapter[SessionRecord | PlanRecord | CellRecord | ScoreRecord] = TypeAdapter(Record)
"""Parses any record: ``AnyRecord.validate_json(line)``."""
