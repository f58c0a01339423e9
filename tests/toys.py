"""Small codecs and metrics with known behaviour, registered in tests only."""

from __future__ import annotations

import importlib
import os
import signal
import struct
import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import Field
from threadpoolctl import threadpool_info

from qbench.plugin import (
    SRGB8,
    Artifact,
    BitstreamError,
    Candidates,
    Codec,
    Column,
    Dataset,
    Direction,
    DistributionMetric,
    Explanation,
    Image,
    ImageSource,
    Metric,
    NotApplicable,
    Parameters,
    PixelFormat,
    hookimpl,
)
from qbench.registry.catalogue import PluginInfo
from qbench.registry.registry import Registry


class ShiftParameters(Parameters):
    bits: int = Field(0, ge=0, le=7, description="low bits dropped")
    seconds: float = Field(0.0, ge=0, description="time that encoding takes")
    log: str = Field("", description="file that gets a line per encoding")
    fail_on: int = Field(-1, ge=-2, description="width of the images to fail on")


class Shift(Codec):
    """Drops low bits and DEFLATEs. Sleeps, logs and fails as told."""

    name = "shift"
    summary = "drops low bits"
    Parameters: ClassVar = ShiftParameters

    def encode(self, image):
        settings = self.parameters
        if image.width == settings.fail_on:
            raise RuntimeError(f"told to fail on width {settings.fail_on}")
        time.sleep(settings.seconds)
        if settings.log:
            with Path(settings.log).open("a") as file:
                file.write(f"{image.width}x{image.height} {settings.bits}\n")
        body = (image.pixels >> settings.bits).astype(np.uint8).tobytes()
        return struct.pack(">IIB", image.height, image.width, settings.bits) + zlib.compress(body, 1)

    def decode(self, bitstream):
        if os.environ.get("TOYS_CRASH_WHEN_DECODING"):
            os.kill(os.getpid(), signal.SIGKILL)
        try:
            height, width, bits = struct.unpack_from(">IIB", bitstream)
            data = zlib.decompress(bitstream[9:])
            return Image((np.frombuffer(data, np.uint8).reshape(height, width, 3) << bits).astype(np.uint8))
        except (struct.error, zlib.error, ValueError) as error:
            raise BitstreamError(str(error)) from error


class Together(Shift):
    """Takes up to three images at once, and logs how many it was given; fails on a whole batch as on one image."""

    name = "together"
    batch_size = 3

    def encode_batch(self, images):
        if self.parameters.log:
            with Path(self.parameters.log).open("a") as file:
                file.write(f"{len(images)} together\n")
        log = self.parameters.log
        quiet = Shift(self.parameters.model_copy(update={"log": ""}), self.context)
        return [quiet.encode(image) for image in images][: -1 if log.endswith("short") else None]


class Fragile(Shift):
    """Fails while the environment says so, which is in no key."""

    name = "fragile"

    def encode(self, image):
        if os.environ.get("TOYS_FAIL") == "codec":
            raise RuntimeError("told to fail")
        return super().encode(image)


class ImportingParameters(ShiftParameters):
    module: str = Field("", description="module that is imported")


class Importing(Shift):
    """Runs code that its settings name."""

    name = "importing"
    Parameters: ClassVar = ImportingParameters

    @classmethod
    def code(cls, parameters):
        return (parameters.module,) if parameters.module else ()

    def setup(self):
        if self.parameters.module:
            importlib.import_module(self.parameters.module)


class MisbehaveParameters(Parameters):
    how: str = Field("raise", description="what to do wrong")


class Misbehave(Codec):
    """Breaks the contract in the way it is told."""

    name = "misbehave"
    summary = "breaks its contract"
    Parameters: ClassVar = MisbehaveParameters

    def __init__(self, parameters, context):
        super().__init__(parameters, context)
        if parameters.how == "init":
            raise RuntimeError("no instance for you")
        self._count = 0

    @property
    def lossless(self):
        return self.parameters.how == "not-lossless"

    def encode(self, image):
        how = self.parameters.how
        self._count += 1
        if how == "raise":
            raise ValueError("deliberate")
        if how == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        if how == "write":
            image.pixels[0, 0, 0] = 0
        if how == "not-bytes":
            return bytearray(b"abc")
        if how == "not-applicable":
            raise NotApplicable("too green")
        if how == "not-deterministic":
            return bytes([self._count])
        return b"x%d,%d" % (image.height, image.width)

    def decode(self, bitstream):
        how = self.parameters.how
        height, width = (int(side) for side in bitstream[1:].split(b",")) if bitstream[:1] == b"x" else (8, 8)
        if how == "wrong-shape":
            return Image(np.zeros((1, 2, 3), np.uint8))
        if how == "not-an-image":
            return np.zeros((height, width, 3), np.uint8)
        if how == "decode-raises":
            raise BitstreamError("can't read what I wrote")
        return Image(np.zeros((height, width, 3), np.uint8))


class Chatty(Shift):
    """Leaves something to look at; its name tries to leave the folder."""

    name = "chatty"

    def encode(self, image):
        self.seen = image.shape
        return super().encode(image)

    def artifacts(self):
        if self.parameters.fail_on == -2:
            return ["not an artifact"]
        return [Artifact("../../shape.txt", repr(self.seen).encode(), "the shape of the image")]


class Noisy(Codec):
    """Draws random numbers, the same for the same seed and image."""

    name = "noisy"
    summary = "adds noise by seed"

    def encode(self, image):
        noise = self.context.rng(image).integers(0, 4, image.shape)
        noisy = np.clip(image.pixels.astype(int) + noise, 0, 255).astype(np.uint8)
        return struct.pack(">II", *image.shape[:2]) + zlib.compress(noisy.tobytes(), 1)

    def decode(self, bitstream):
        shape = (*struct.unpack(">II", bitstream[:8]), 3)
        return Image(np.frombuffer(zlib.decompress(bitstream[8:]), np.uint8).reshape(shape))


class DifferenceParameters(Parameters):
    log: str = Field("", description="file that gets a line per preparation and per batch")
    seconds: float = Field(0.0, ge=0, description="time that scoring takes")


class Difference(Metric):
    """Mean absolute difference; logs what is prepared and scored."""

    name = "difference"
    summary = "mean absolute difference"
    columns: ClassVar = (Column("difference", Direction.LOWER, 0, 255),)
    Parameters: ClassVar = DifferenceParameters

    def _log(self, line):
        if self.parameters.log:
            with Path(self.parameters.log).open("a") as file:
                file.write(line + "\n")

    def prepare(self, reference):
        self._log(f"prepare {reference.name}")
        return reference.pixels.astype(int)

    def score(self, candidates: Candidates, prepared):
        self._log(f"score {candidates.reference.name} {len(candidates)}")
        time.sleep(self.parameters.seconds)
        return [{"difference": float(np.abs(prepared - pixels).mean())} for pixels in candidates.pixels]


class FragileDifference(Difference):
    """Fails while the environment says so, which is in no key."""

    name = "fragile-difference"
    columns: ClassVar = (Column("fragile-difference", Direction.LOWER, 0, 255),)

    def score(self, candidates: Candidates, prepared):
        if os.environ.get("TOYS_FAIL") == "metric":
            raise RuntimeError("told to fail")
        return [{"fragile-difference": value["difference"]} for value in super().score(candidates, prepared)]


DEEP = PixelFormat(bit_depth=12)
"""A format that the toys ``raw``, ``mapped`` and ``deep`` know beside 8-bit sRGB."""


class Raw(Codec):
    """Sends every sample as it is, of 8 or 12 bits."""

    name = "raw"
    summary = "no compression"
    lossless = True

    def accepts(self, pixel_format):
        return pixel_format in (SRGB8, DEEP)

    def encode(self, image):
        header = struct.pack(">IIB", image.height, image.width, image.format.bit_depth)
        return header + image.pixels.astype("<u2").tobytes()

    def decode(self, bitstream):
        height, width, depth = struct.unpack_from(">IIB", bitstream)
        samples = np.frombuffer(bitstream[9:], "<u2").reshape(height, width, 3)
        found = PixelFormat(bit_depth=depth)
        return Image(samples.astype(found.dtype), found)


class Mapped(Difference):
    """The difference of images of 8 or 12 bits, with a map of where it is."""

    name = "mapped"
    summary = "mean absolute difference, with a map"
    columns: ClassVar = (Column("mapped", Direction.LOWER, 0, 4095),)

    @classmethod
    def accepts(cls, pixel_format):
        return pixel_format in (SRGB8, DEEP)

    def score(self, candidates, prepared):
        return [{"mapped": row["difference"]} for row in super().score(candidates, prepared)]

    def explain(self, candidates, prepared):
        distances = np.abs(prepared - candidates.pixels[0]).max(axis=2).astype(np.uint8)
        gray_map = b"P5 %d %d 255\n" % distances.shape[::-1] + distances.tobytes()
        return Explanation({"largest": int(distances.max())}, (), (Artifact("map.pgm", gray_map, "where it is"),))


@dataclass(frozen=True)
class DeepRamp(ImageSource):
    """A ramp of 12-bit samples."""

    name: str = "ramp"

    def read(self):
        ramp = np.linspace(0, 4095, 32 * 48 * 3).round().astype(np.uint16)
        return Image(ramp.reshape(32, 48, 3), DEEP)

    @property
    def location(self):
        return "deep:ramp"


class Deep(Dataset):
    """One 12-bit image."""

    name = "deep"
    summary = "a 12-bit ramp"
    count = 1
    licence = "CC0-1.0"
    source = "made by the tests"

    def images(self, home):
        return [DeepRamp()]


class MeanShiftParameters(Parameters):
    how: str = Field("", description="what to do wrong")
    log: str = Field("", description="file that gets a line per image and per finish")


class MeanShift(DistributionMetric):
    """Distance between the mean colours of all originals and of all reconstructions."""

    name = "mean-shift"
    summary = "distance of mean colours"
    columns: ClassVar = (Column("mean-shift", Direction.LOWER, 0), Column("samples", Direction.HIGHER, 0, digits=0))
    Parameters: ClassVar = MeanShiftParameters

    def _log(self, line):
        if self.parameters.log:
            with Path(self.parameters.log).open("a") as file:
                file.write(line + "\n")

    def features(self, images):
        how = self.parameters.how
        for pixels in images.pixels:
            self._log("image")
            if how == "dark" and pixels.max() < 225:
                raise ValueError("too dark")
        if how == "not-applicable":
            raise NotApplicable("no features today")
        made = [pixels.reshape(-1, 3)[::7].astype(np.float32) for pixels in images.pixels]
        if how == "float64":
            return [features.astype(np.float64) for features in made]
        if how == "nan":
            return [features * np.float32("nan") for features in made]
        return made[: len(made) - (how == "too-few")]

    def finish(self, originals, reconstructions):
        self._log("finish")
        if self.parameters.how == "finish-raises":
            raise ValueError("deliberate")
        if self.parameters.how == "one-image":
            raise NotApplicable("too few images")
        one, other = np.concatenate(originals), np.concatenate(reconstructions)
        return {"mean-shift": float(np.linalg.norm(one.mean(0) - other.mean(0))), "samples": len(other)}


class OddityParameters(Parameters):
    how: str = Field("raise", description="what to do wrong")


class Oddity(Metric):
    """Breaks the contract in the way it is told."""

    name = "oddity"
    summary = "breaks its contract"
    columns: ClassVar = (Column("oddity", Direction.HIGHER, 0, 1), Column("second", Direction.HIGHER))
    Parameters: ClassVar = OddityParameters

    def prepare(self, reference):
        if self.parameters.how == "prepare":
            raise RuntimeError("can't prepare")
        if self.parameters.how == "not-applicable":
            raise NotApplicable("moon in the wrong phase")

    def score(self, candidates, prepared):
        how = self.parameters.how
        good = {"oddity": 0.5, "second": 1.0}
        if how == "raise":
            raise ValueError("deliberate")
        if how == "crash" or (how == "crash-black" and any(pixels.max() == 0 for pixels in candidates.pixels)):
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "black":  # only reconstructions that are black go wrong
            if any(pixels.max() == 0 for pixels in candidates.pixels):
                raise ValueError("it is black")
            return [good for _ in candidates.pixels]
        if how == "some":
            return [NotApplicable("black") if pixels.max() == 0 else good for pixels in candidates.pixels]
        bad = {
            "nan": {"oddity": float("nan"), "second": 1.0},
            "range": {"oddity": 1.5, "second": 1.0},
            "missing": {"oddity": 0.5},
            "text": {"oddity": "high", "second": 1.0},
            "infinite": {"oddity": 0.5, "second": float("inf")},
            "threads": {"oddity": 0.5, "second": max(each["num_threads"] for each in threadpool_info())},
        }.get(how, good)
        return [bad for _ in range(len(candidates) - (how == "too-few"))]


@hookimpl
def qbench_register_codecs(register):
    for codec in (Shift, Together, Fragile, Importing, Misbehave, Noisy, Chatty, Raw):
        register(codec)


@hookimpl
def qbench_register_metrics(register):
    for metric in (Difference, FragileDifference, Oddity, MeanShift, Mapped):
        register(metric)


@hookimpl
def qbench_register_datasets(register):
    register(Deep)


def registry() -> Registry:
    """Return a registry of everything installed and the toys."""
    import sys

    made = Registry()
    made.load_entry_points()
    if "shift" not in made.codecs:  # in a process where the toys are installed, they already done
        made.register(sys.modules[__name__], PluginInfo("toys", "toys", "1.0"))
    return made


__all__ = ["Difference", "MeanShift", "Misbehave", "Noisy", "Oddity", "Shift", "registry"]
