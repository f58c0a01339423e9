"""What a suite says, once it has been read and validated."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from qbench.contracts.parameters import Parameters
from qbench.images.reading import Alpha

REPEATS_WHERE_EXCLUSIVE = 3
MEMORY = r"^\d{1,9}(\.\d{1,3})? ?(MB|GB)$"


class ImagesEntry(Parameters):
    """One source of images; exactly one of dataset, folder, glob and files."""

    dataset: str | None = Field(None, description="name of a dataset (`qbench datasets` lists them)")
    folder: str | None = Field(None, description="a folder; every image in it, without subfolders")
    glob: str | None = Field(None, description="a pattern such as photos/**/*.png")
    files: list[str] | None = Field(None, description="a list of files", min_length=1)
    limit: int | None = Field(None, ge=1, description="use only the first N, sorted by name")
    alpha: Alpha = Field("white", description="how to handle transparency: composite on white or black, or drop it")
    unreadable: Literal["refuse", "skip"] = Field("refuse", description="how to handle unreadable images")

    @model_validator(mode="after")
    def _one_source(self) -> ImagesEntry:
        given = [name for name in ("dataset", "folder", "glob", "files") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of dataset, folder, glob, files (given: {', '.join(given) or 'none'})")
        return self


class Keep(Parameters):
    """Which files stay in the run folder."""

    bitstreams: bool = Field(True, description="keep every cell's bitstream")
    reconstructions: bool = Field(True, description="keep every reconstruction as PNG")
    features: bool = Field(False, description="keep the features that distribution metrics were computed from")


class TimingOptions(Parameters):
    """How encoding and decoding are timed."""

    repeats: int = Field(
        1, ge=1, le=1000, description="number of timed calls; their median is recorded; 3 by default where exclusive"
    )
    budget: float = Field(0.5, ge=0, description="seconds; a cell is not repeated after its calls took this long")
    exclusive: bool = Field(False, description="run nothing else while a cell is timed: one thing at a time")

    @model_validator(mode="before")
    @classmethod
    def _repeated_where_exclusive(cls, given: object) -> object:
        """Times that are taken beside other work don't gain by being taken several times; those for publication do."""
        if isinstance(given, Mapping) and given.get("exclusive") is True and "repeats" not in given:
            return {**given, "repeats": REPEATS_WHERE_EXCLUSIVE}
        return given


class LimitOptions(Parameters):
    """What one call of a codec or metric may take; what takes more is ended and recorded as failed."""

    seconds: float | None = Field(None, gt=0, description="of one call; default 3600")
    memory: str | None = Field(
        None, description="held by its process and children, such as 8 GB; default: most of the machine"
    )

    @field_validator("memory", mode="before")
    @classmethod
    def _a_number_and_a_unit(cls, value: object) -> object:
        if value is not None and not (isinstance(value, str) and re.fullmatch(MEMORY, value) and float(value[:-2])):
            raise ValueError(f"{value!r} is no amount of memory; write a number and MB or GB, such as 8 GB")
        return value

    @property
    def given(self) -> dict[str, float]:
        """Those that are given: seconds, and bytes."""
        found = {} if self.seconds is None else {"seconds": self.seconds}
        if self.memory is not None:
            number, unit = self.memory[:-2], self.memory[-2:]
            found["memory"] = float(number) * {"MB": 1e6, "GB": 1e9}[unit]
        return found


class Settings(Parameters):
    """The plain settings of a suite, beside images, codecs and metrics."""

    name: str | None = Field(None, min_length=1, max_length=100, description="default: the file's name")
    description: str = Field("", description="what this suite is for; shown above its tables")
    profile: str = Field("bundled", description="which weights: bundled (works offline), hub (published models)")
    seed: int = Field(0, ge=0, le=2**63 - 1, description="for codecs that draw random numbers")
    keep: Keep = Field(default_factory=Keep, description="which files stay in the run folder")
    timing: TimingOptions = Field(default_factory=TimingOptions, description="how codecs are timed")
    limits: LimitOptions = Field(default_factory=LimitOptions, description="what one call may take")
    plugins: tuple[str, ...] = Field((), description="plugins that are one Python file each; relative to the suite")


@dataclass(frozen=True)
class TargetSpec:
    """What a codec's setting is to be chosen by, image by image.

    Attributes:
        metric, column: label of a metric of the suite, and one of its columns.
        name: of that column in tables.
        wanted: its value to come near to.
    """

    metric: str
    column: str
    name: str
    wanted: float


@dataclass(frozen=True)
class PointSpec:
    """One operating point of a codec entry.

    Attributes:
        label: the entry's label.
        codec: the codec's name.
        parameters: every parameter, defaults filled in, JSON values; without the one that a target chooses.
        swept: those that the suite gave as a list, as this point has them; a target is one of them.
        target: None if all settings are given.
        files: settings that name a file in the suite's folder → its whole path.
        limits: of one call, where they are other than the suite's.
    """

    label: str
    codec: str
    parameters: Mapping[str, Any]
    swept: Mapping[str, Any]
    target: TargetSpec | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """``jpeg:quality=40``, or the label alone where nothing is swept."""
        swept = ",".join(f"{name}={_short(value)}" for name, value in self.swept.items())
        return f"{self.label}:{swept}" if swept else self.label


@dataclass(frozen=True)
class MetricSpec:
    """One metric with its settings, under its label; ``files`` as an operating point's."""

    label: str
    metric: str
    parameters: Mapping[str, Any]
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Suite:
    """A validated suite.

    Attributes:
        text: the YAML as written.
        overrides: ``--set`` arguments applied to it, in order.
        folder: what relative paths in it are relative to.
        plugins: whole paths of the files that it was validated with besides what is installed.
    """

    name: str
    text: str
    overrides: tuple[str, ...]
    folder: Path
    settings: Settings
    images: tuple[ImagesEntry, ...]
    points: tuple[PointSpec, ...]
    metrics: tuple[MetricSpec, ...]
    plugins: tuple[str, ...]


def _short(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
