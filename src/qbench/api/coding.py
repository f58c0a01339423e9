"""A codec at hand: encoding and decoding single images, with no suite."""

from __future__ import annotations

import contextlib
import json
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from qbench.api.measuring import Given, as_image
from qbench.contracts.codec import Codec
from qbench.contracts.context import Context
from qbench.contracts.metric import Column, Direction, Scope, column_id
from qbench.errors import BitstreamError, NotApplicable, PluginError, QbenchError, did_you_mean, shown
from qbench.execute.accelerators import exactly, resolve_device
from qbench.execute.coder import UNTIMED
from qbench.execute.desks import ScoringDesk
from qbench.execute.rate_search import find_setting
from qbench.images.formats import FORMATS
from qbench.images.image import Image, Pixels
from qbench.planning.making import plan_metric
from qbench.planning.types import Target
from qbench.registry.catalogue import rate_parameter
from qbench.registry.files import import_file, own_classes
from qbench.registry.registry import Registry, registry_with
from qbench.store.imports import parse_json, read_given
from qbench.suite.load import load_metrics, load_values
from qbench.toolkit.files import writing

BESIDE = ".codec.json"
"""Behind the name of a bitstream's file: what it was made by, where the bitstream itself doesn't tell."""


class Coder:
    """A codec with its settings: ``encode`` and ``decode``. Use it as a context manager, or close it.

    Attributes:
        name: the codec's.
        settings: all of them, as plain values.
        file_extension: of its bitstreams.
    """

    def __init__(self, name: str, settings: Mapping[str, Any], context: Context, registry: Registry) -> None:
        cls = registry.codecs[name]
        parameters = load_values(cls.Parameters, settings, f"codec {name}")
        self.name = name
        self.plugin = str(registry.codecs.offer(name).plugin)
        self.settings: dict[str, Any] = parameters.model_dump(mode="json")
        self.file_extension = cls.file_extension
        self._device = context.device if cls.runs_on == "accelerator" else "cpu"
        with exactly(self._device):
            self._codec: Codec = cls(parameters, context)
            self._codec.setup()

    def encode(self, image: Given) -> bytes:
        """Return the bitstream of an image.

        Args:
            image: a path, an array (uint8, H×W×3 or H×W), a Pillow image, or a :class:`qbench.Image`.

        Raises:
            ImageError: it can't be read, or is no such image.
            NotApplicable: the codec doesn't take images like this.
        """
        taken = as_image(image)
        if not self._codec.accepts(taken.format):
            raise NotApplicable(f"{self.name} does not accept {taken.format} images")
        with exactly(self._device):
            return bytes(self._codec.encode(Image(taken.pixels)))

    def decode(self, bitstream: bytes) -> Pixels:
        """Return the pixels of a bitstream, uint8, H×W×3.

        Raises:
            BitstreamError: it is damaged, or another codec's.
        """
        with exactly(self._device):
            return self._codec.decode(bytes(bitstream)).pixels

    def close(self) -> None:
        """Release what the codec took."""
        self._codec.close()

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def __repr__(self) -> str:
        """Name it with its settings."""
        return f"<Coder {self.name}: {', '.join(f'{name} {value}' for name, value in self.settings.items())}>"


def codec(
    name: str,
    /,
    *,
    device: str = "auto",
    profile: str = "bundled",
    seed: int = 0,
    registry: Registry | None = None,
    plugins: Sequence[str | Path] = (),
    **settings: Any,
) -> Coder:
    """Return a codec at hand: ``qbench.codec("autoencoder", quality=4).encode(array)``.

    Args:
        name: an installed codec's, or ``path/to/file.py:Name`` of a class in a file.
        device: as for :func:`qbench.run`.
        profile, seed: as a suite's.
        registry: instead of what is installed.
        plugins: files that are plugins, besides.
        settings: the codec's.

    Raises:
        QbenchError: no such codec, settings that it doesn't take, or weights that are not there.
    """
    found, known = named_codec(name, registry_with(plugins, registry))
    return Coder(found, settings, _context(found, known, device, seed, profile), known)


def named_codec(name: str, registry: Registry) -> tuple[str, Registry]:
    """Return the name of a codec that is given by it, or as ``file.py:Name`` or ``file.py``; and a registry with it.

    Raises:
        QbenchError: there is none.
    """
    place, colon, attribute = name.rpartition(":")
    file = place if colon else name
    if not file.endswith(".py"):
        if name not in registry.codecs:
            registry.codecs.offer(name)  # which says what there is
        return name, registry
    known = registry_with([file], registry)
    classes = {cls.__name__: cls for cls in own_classes(import_file(file), [Codec])}
    if not classes:
        raise QbenchError(f"{shown(file)}: defines no codec")
    if colon and attribute not in classes:
        near = did_you_mean(attribute, classes)
        raise QbenchError(f"{shown(file)}: no codec `{attribute}`{near} (has: {', '.join(classes)})")
    if not colon and len(classes) > 1:
        raise QbenchError(f"{shown(file)}: several codecs; name one: {', '.join(f'{file}:{each}' for each in classes)}")
    chosen: Any = classes[attribute] if colon else next(iter(classes.values()))
    return str(chosen.name), known


def _context(name: str, registry: Registry, device: str, seed: int, profile: str) -> Context:
    """Return what a codec is to be made with; one that doesn't run on an accelerator never asks for one."""
    return Context(resolve_device(device) if registry.codecs[name].runs_on == "accelerator" else "cpu", seed, profile)


@dataclass(frozen=True)
class Coded:
    """An encoded image.

    Attributes:
        codec, settings: what made it; a setting that was searched for included.
        pixels: how many the image has.
        reached: what the search reached, in words; empty without one.
        seconds: that encoding took, its search and all.
        file_extension: that its file customarily has.
        notes: what was converted when the image was read.
    """

    bitstream: bytes
    codec: str
    plugin: str
    settings: Mapping[str, Any]
    pixels: int
    reached: str
    seconds: float
    file_extension: str
    notes: tuple[str, ...]

    @property
    def rate(self) -> float:
        """Bits per pixel."""
        return 8 * len(self.bitstream) / self.pixels


@contextlib.contextmanager
def _named(codec: str) -> Iterator[None]:
    """Have what a codec raises name it."""
    try:
        yield
    except NotApplicable as error:
        raise QbenchError(f"{codec}: {error}") from error
    except BitstreamError as error:
        raise QbenchError(f"{codec} can't decode it: {error}") from error
    except QbenchError:
        raise
    except Exception as error:
        told = "".join(traceback.format_exception(error)).rstrip()
        raise PluginError(f"codec {codec} failed: {error}\n{told}") from error


def encode_image(
    image: Given,
    name: str,
    settings: Mapping[str, Any],
    *,
    target: tuple[str, float] | None = None,
    device: str = "auto",
    profile: str = "bundled",
    seed: int = 0,
    plugins: Sequence[str | Path] = (),
) -> Coded:
    """Encode an image with a codec.

    Args:
        target: a metric's column and its value, that the codec's setting is chosen for: ``("bpp", 0.5)``.

    Raises:
        QbenchError: as :func:`codec`; a target that the codec can't reach, or that no metric has.
    """
    found, registry = named_codec(name, registry_with(plugins))
    taken = as_image(image)
    context = _context(found, registry, device, seed, profile)
    began = time.perf_counter()
    given, reached = dict(settings), ""
    if target is not None:
        with _named(found):
            given, reached = _searched(taken, found, given, target, context, registry)
    with _named(found), Coder(found, given, context, registry) as coder:
        bitstream = coder.encode(taken)
        seconds = time.perf_counter() - began
        pixels = taken.pixels.shape[0] * taken.pixels.shape[1]
        return Coded(
            bitstream, found, coder.plugin, coder.settings, pixels, reached, seconds, coder.file_extension, taken.notes
        )


def _searched(
    image: Image, name: str, settings: dict[str, Any], target: tuple[str, float], context: Context, registry: Registry
) -> tuple[dict[str, Any], str]:
    """Return settings with the one that comes nearest to a target, and what that reaches."""
    column, wanted = target
    offer = registry.codecs.offer(name)
    plain = load_values(offer.cls.Parameters, settings, f"codec {name}").model_dump(mode="json")
    rate = rate_parameter(offer, plain)
    if rate is None:
        raise QbenchError(f"{name} doesn't support targets with these settings")
    if rate.name in settings:
        raise QbenchError(f"{rate.name} is chosen by the target; leave one of the two out")
    metric, declared = metric_of(column, registry)
    planned = plan_metric(load_metrics([metric], registry, "--target")[0], registry, context.profile)
    by_size = planned.scope == Scope.RATE
    increasing = (declared.direction is Direction.HIGHER) != by_size
    ends = (rate.low, rate.high) if rate.increasing else (rate.high, rate.low)
    wish = Target(metric, declared.name, column, wanted, increasing, rate.name, ends, rate.integer)
    desk = ScoringDesk(registry, context, UNTIMED)

    def measure(value: float) -> float:
        with Coder(name, {**settings, rate.name: value}, context, registry) as coder:
            bitstream = coder.encode(image)
            shown_image = image if by_size else Image(coder.decode(bitstream))
        desk.take("image", image, [shown_image], [len(bitstream)])
        outcome: Any = desk.score(planned, (0,))[0]
        if isinstance(outcome, Exception):
            raise outcome
        return float(outcome[declared.name])

    setting = find_setting(wish, measure)
    value = int(setting.value) if rate.integer else setting.value
    return {**settings, rate.name: value}, f"{column} {setting.reached:.4g} of {wanted:g} after {setting.tries} tries"


def metric_of(column: str, registry: Registry) -> tuple[str, Column]:
    """Return the metric that gives a column of each image, and that column.

    Raises:
        QbenchError: none does.
    """
    columns = {
        column_id(metric, metric, each.name): (metric, each)
        for metric in registry.metrics
        for each in registry.metrics[metric].columns
        if registry.metrics[metric].scope is not Scope.DISTRIBUTION
    }
    if column not in columns:
        near = did_you_mean(column, columns)
        raise QbenchError(f"no metric gives `{column}`{near}; accepted is COLUMN=NUMBER, such as bpp=0.5 or psnr=35")
    return columns[column]


def write_bitstream(coded: Coded, path: Path) -> list[Path]:
    """Write a bitstream; and beside it what made it, unless it is an image file of its own. Return the files.

    Raises:
        QbenchError: they can't be written.
    """
    with writing(path) as temporary:
        temporary.write_bytes(coded.bitstream)
    if any(form.begins(coded.bitstream) for form in FORMATS):
        return [path]
    beside = path.with_name(path.name + BESIDE)
    content = {"codec": coded.codec, "plugin": coded.plugin, "settings": dict(coded.settings)}
    with writing(beside) as temporary:
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return [path, beside]


def decode_file(
    path: str | Path,
    name: str | None = None,
    settings: Mapping[str, Any] | None = None,
    *,
    device: str = "auto",
    profile: str = "bundled",
    seed: int = 0,
    plugins: Sequence[str | Path] = (),
) -> Pixels:
    """Decode a bitstream's file, with the codec and settings that are named, or those in the file beside it.

    Raises:
        QbenchError: it can't be read, nothing says which codec made it, or that can't decode it.
    """
    place = Path(path)
    data = read_given(place)
    beside = place.with_name(place.name + BESIDE)
    told: Any = parse_json(beside, read_given(beside)) if beside.is_file() else {}
    if not isinstance(told, dict) or not isinstance(told.get("settings", {}), dict):
        raise QbenchError(f"{shown(beside)}: damaged: accepted is a mapping with codec and settings")
    chosen = name or told.get("codec")
    if not isinstance(chosen, str):
        raise QbenchError(f"{shown(place)}: nothing beside it says which codec made it; name it with --codec")
    found, registry = named_codec(chosen, registry_with(plugins))
    given = {**(told.get("settings", {}) if found == told.get("codec") else {}), **(settings or {})}
    context = _context(found, registry, device, seed, profile)
    with _named(found), Coder(found, given, context, registry) as coder:
        return coder.decode(data)
