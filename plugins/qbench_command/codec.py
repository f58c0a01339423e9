"""A codec of two command lines: one that encodes a file, and one that decodes it."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from qbench.plugin import BitstreamError, Codec, Context, Image, Parameters, PluginError, RateParameter
from qbench_command.command import Template, quoted
from qbench_command.pictures import read_picture, write_picture

Scalar = str | int | float | bool
STEPS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)
"""Milliseconds, coarse, so that every process says the same."""
TRIES = 3
"""Of the time that a process takes to start."""


class CommandParameters(Parameters):
    """Two command lines, and the settings that stand in them."""

    encode: str = Field(
        "", description="command that encodes: cjxl {input} {output} -d {distance}. No shell sees it. Required"
    )
    decode: str = Field("", description="command that decodes: djxl {input} {output}. Required")
    version: str = Field("", description="command that prints the version, which becomes part of the codec's identity")
    arguments: dict[str, Scalar] = Field({}, description="values of placeholders: {distance: [0.5, 1, 2]}")
    quality: float | None = Field(None, description="value of {quality}; targets choose it, where its ends are given")
    quality_worst: float | None = Field(None, description="value of {quality} with the fewest bytes, for targets")
    quality_best: float | None = Field(None, description="value of {quality} with the most bytes, for targets")
    quality_integer: bool = Field(True, description="whether only whole numbers are values of {quality}")
    input_format: Literal["png", "ppm", "y4m"] = Field("png", description="of the image that the encoder gets")
    output_format: Literal["png", "ppm", "y4m"] = Field("png", description="of the image that the decoder writes")
    extension: str = Field("bin", pattern=r"^[A-Za-z0-9]{1,10}$", description="of the bitstream's file")
    deterministic: bool = Field(True, description="whether it gives the same bytes at every call")


class CommandCodec(Codec):
    """Any pair of programs: a file with the image in, a file with the bitstream out, and back.

    ``{input}`` and ``{output}`` stand for files; ``{width}`` and ``{height}`` for the image's size, of the encoder;
    other placeholders for ``arguments``, and ``{quality}`` for that. Times include that of starting a process.
    """

    name = "command"
    summary = "your own encoder and decoder, run as programs"
    Parameters: ClassVar = CommandParameters

    def __init__(self, parameters: Any, context: Context) -> None:
        super().__init__(parameters, context)
        self._encoder = Template("encode", parameters.encode)
        self._decoder = Template("decode", parameters.decode)

    @property
    def deterministic(self) -> bool:
        """As the suite says."""
        deterministic: bool = self.parameters.deterministic
        return deterministic

    @classmethod
    def check(cls, parameters: CommandParameters) -> None:
        """Check that programs are there and placeholders known.

        Raises:
            PluginError: they are not.
        """
        with_quality = parameters.quality is not None or parameters.quality_worst is not None
        known = [*parameters.arguments, *(["quality"] if with_quality else [])]
        Template("encode", parameters.encode).check(known)
        Template("decode", parameters.decode).check(known)
        if parameters.version:
            Template("version", parameters.version).check(known, files=False)

    @classmethod
    def code(cls, parameters: CommandParameters) -> Sequence[str]:
        """The programs, and files that stand in the commands, such as scripts."""
        found: dict[str, None] = {}
        for what in ("encode", "decode"):
            template = Template(what, getattr(parameters, what))
            if not template.text:
                continue
            try:
                found[template.program] = None
            except PluginError:  # what another machine called it
                found[os.path.join(os.curdir, template.words[0])] = None  # noqa: PTH118 - pathlib would drop the dot
            found |= {str(Path(word).absolute()): None for word in template.words[1:] if Path(word).is_file()}
        return tuple(found)

    @classmethod
    def versions(cls, parameters: CommandParameters) -> dict[str, str]:
        """What the version's command prints."""
        return {"program": _version(parameters.version)} if parameters.version else {}

    @classmethod
    def rate_parameter(cls, parameters: CommandParameters) -> RateParameter | None:
        """``quality``, where its ends are given."""
        few, many = parameters.quality_worst, parameters.quality_best
        if few is None or many is None or few == many:
            return None
        return RateParameter(
            "quality", min(few, many), max(few, many), increasing=few < many, integer=parameters.quality_integer
        )

    def setup(self) -> None:
        """Say how long a process takes to start, as that is part of all times."""
        if self.parameters.version:
            seconds = min(_started(self.parameters.version) for _ in range(TRIES))
            name = Path(self._encoder.program).name
            about = next((step for step in STEPS if 1000 * seconds <= step), STEPS[-1])
            self.context.notice(f"{name}: starting a process takes up to {about} ms, which is part of its times")

    def encode(self, image: Image) -> bytes:
        """Write the image to a file, run the encoder, and read what it wrote."""
        with tempfile.TemporaryDirectory(prefix="qbench-") as place:
            folder = Path(place)
            given = folder / f"image.{self.parameters.input_format}"
            made = folder / f"coded.{self.parameters.extension}"
            write_picture(given, image, self.parameters.input_format)
            sizes = {"width": image.width, "height": image.height}
            printed = self._encoder.run({**self._values(given, made), **sizes}, folder)
            return _written(made, "encode", printed)

    def decode(self, bitstream: bytes) -> Image:
        """Write the bitstream to a file, run the decoder, and read the image that it wrote."""
        with tempfile.TemporaryDirectory(prefix="qbench-") as place:
            folder = Path(place)
            given = folder / f"coded.{self.parameters.extension}"
            made = folder / f"decoded.{self.parameters.output_format}"
            given.write_bytes(bitstream)
            try:
                printed = self._decoder.run(self._values(given, made), folder)
            except PluginError as error:
                raise BitstreamError(str(error)) from error
            _written(made, "decode", printed)
            return read_picture(made, self.parameters.output_format)

    def _values(self, given: Path, made: Path) -> dict[str, object]:
        quality = self.parameters.quality
        if quality is not None and float(quality).is_integer() and self.parameters.quality_integer:
            quality = int(quality)
        return {**self.parameters.arguments, "quality": quality, "input": given, "output": made}


def _written(path: Path, what: str, printed: str) -> bytes:
    """Return what a program wrote.

    Raises:
        PluginError: nothing.
    """
    if not path.is_file() or not path.stat().st_size:
        raise PluginError(f"{what}: the program ended well, but wrote nothing to {{output}}{quoted(printed)}")
    return path.read_bytes()


@lru_cache(maxsize=64)
def _version(text: str) -> str:
    """Return the first line that a version's command prints, whatever its exit code is."""
    try:
        done = _ended(text)
    except (OSError, subprocess.SubprocessError) as error:
        raise PluginError(f"version: {text!r} can't be run: {error}") from error
    lines = [line.strip() for line in (done.stdout + done.stderr).decode(errors="replace").splitlines()]
    found = next((line for line in lines if re.search(r"\d", line)), "")
    if not found:
        raise PluginError(f"version: {text!r} printed no version{quoted(' '.join(lines))}")
    return found[:200]


def _started(text: str) -> float:
    """Return how many seconds the version's command takes, which is next to nothing but starting a process."""
    began = time.perf_counter()
    _ended(text)
    return time.perf_counter() - began


def _ended(text: str) -> subprocess.CompletedProcess[bytes]:
    """Run the version's command to its end."""
    template = Template("version", text)
    command = [template.program, *template.words[1:]]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=30)
