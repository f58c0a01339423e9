"""Checks of the codec contract."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from qbench.contracts.codec import Codec
from qbench.contracts.context import Context
from qbench.errors import BitstreamError, NotApplicable
from qbench.images.image import Image
from qbench.testing.images import test_images

_DECODE = """
import json, pickle, sys
from importlib import import_module
module, name, parameters, path = json.loads(sys.argv[1])
sys.path[:] = path
cls = import_module(module)
for part in name.split("."):
    cls = getattr(cls, part)
from qbench.plugin import Context
codec = cls(cls.Parameters.model_validate(parameters, strict=False), Context())
codec.setup()
sys.stdout.buffer.write(pickle.dumps([codec.decode(bits).pixels for bits in pickle.load(sys.stdin.buffer)]))
"""


def check_codec(
    cls: type[Codec],
    *,
    parameters: Mapping[str, Any] | None = None,
    images: Mapping[str, Image] | None = None,
    mutations: int = 100,
    fresh_process: bool = True,
) -> None:
    """Check that a codec keeps its contract at one operating point.

    Sizes and types, also of several images coded at once; the input is left alone; another instance, and another
    process, decode to the same pixels; ``deterministic`` and ``lossless`` are true; damaged and truncated bitstreams
    give an image or BitstreamError.

    Args:
        cls: the codec.
        parameters: its settings, defaults where absent.
        images: what to code instead of :func:`test_images`.
        mutations: how many damaged bitstreams to try per image.
        fresh_process: also decode in a new interpreter (the class must be importable by name).

    Raises:
        AssertionError: which promise was broken, on which image.
    """
    settings = cls.Parameters.model_validate(dict(parameters or {}))

    def make() -> Codec:
        codec = cls(settings, Context())
        codec.setup()
        return codec

    encoder = make()
    coded: dict[str, tuple[bytes, Image]] = {}
    for name, image in (images or test_images()).items():
        if not encoder.accepts(image.format):
            continue
        given = Image(image.pixels.copy(), image.format).frozen()
        try:
            bitstream = encoder.encode(given)
        except NotApplicable:
            continue
        assert isinstance(bitstream, bytes), f"{name}: encode returned {type(bitstream).__name__}, not bytes"
        assert bitstream, f"{name}: encode returned no bytes"
        assert given.equals(image), f"{name}: encode changed its input"
        decoded = make().decode(bitstream)
        _check_image(name, decoded, image)
        parts = make().parts(bitstream)
        assert not parts or sum(parts.values()) == len(bitstream), (
            f"{name}: parts {parts} are not {len(bitstream)} bytes"
        )
        if encoder.lossless:
            assert decoded.equals(image), f"{name}: declared lossless, but pixels came back different"
        if encoder.deterministic:
            assert make().encode(given) == bitstream, (
                f"{name}: declared deterministic, but another instance gave other bytes"
            )
        coded[name] = bitstream, decoded
    assert coded, "no image could be coded: every one was not applicable"
    encoder.close()
    if (cls.encode_batch, cls.decode_batch) != (Codec.encode_batch, Codec.decode_batch):
        _check_batch(make, {name: image for name, image in (images or test_images()).items() if name in coded})
    if fresh_process:
        _check_fresh_process(cls, settings.model_dump(mode="json"), coded)
    rng = np.random.default_rng(1)
    for name, (bitstream, _) in coded.items():
        for damaged in _damage(bitstream, mutations, rng):
            try:
                result = make().decode(damaged)
            except BitstreamError:
                continue
            except Exception as error:
                raise AssertionError(
                    f"{name}: a damaged bitstream ({damaged[:16].hex()}…, {len(damaged)} bytes) raised "
                    f"{type(error).__name__}: {error}; decode must raise BitstreamError or return an image"
                ) from error
            assert isinstance(result, Image), f"{name}: a damaged bitstream decoded to {type(result).__name__}"


def _check_batch(make: Callable[[], Codec], images: Mapping[str, Image]) -> None:
    batch = make().encode_batch(list(images.values()))
    assert len(batch) == len(images), f"encode_batch returned {len(batch)} bitstreams for {len(images)} images"
    for name, bitstream in zip(images, batch, strict=True):
        assert isinstance(bitstream, bytes), f"{name}: encode_batch gave {type(bitstream).__name__}, not bytes"
    together = make().decode_batch(batch)
    assert len(together) == len(batch), f"decode_batch returned {len(together)} images for {len(batch)} bitstreams"
    for (name, image), bitstream, decoded in zip(images.items(), batch, together, strict=True):
        _check_image(name, decoded, image)
        assert decoded.equals(make().decode(bitstream)), f"{name}: decode_batch gave other pixels than decode"


def _check_image(name: str, decoded: Any, image: Image) -> None:
    assert isinstance(decoded, Image), f"{name}: decode returned {type(decoded).__name__}, not a qbench.plugin.Image"
    assert decoded.format == image.format, f"{name}: decode returned {decoded.format}, not {image.format}"
    assert decoded.shape == image.shape, f"{name}: decode returned shape {decoded.shape} for {image.shape}"


def _check_fresh_process(
    cls: type[Codec], parameters: dict[str, Any], coded: Mapping[str, tuple[bytes, Image]]
) -> None:
    arguments = json.dumps([cls.__module__, cls.__qualname__, parameters, sys.path])
    done = subprocess.run(
        [sys.executable, "-c", _DECODE, arguments],
        input=pickle.dumps([bitstream for bitstream, _ in coded.values()]),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, f"decoding in a fresh process failed:\n{done.stderr.decode()}"
    for (name, (_, here)), there in zip(coded.items(), pickle.loads(done.stdout), strict=True):
        assert np.array_equal(here.pixels, there), f"{name}: a fresh process decoded other pixels"


def _damage(bitstream: bytes, count: int, rng: np.random.Generator) -> list[bytes]:
    """Return truncated, bit-flipped and foreign versions of a bitstream."""
    damaged = [b"", b"\0", bytes(rng.integers(0, 256, 64, dtype=np.uint8))]
    for _ in range(count):
        data = bytearray(bitstream)
        kind = rng.integers(3)
        if kind == 0:
            data = data[: rng.integers(len(data))]
        else:
            for _ in range(int(rng.integers(1, 4))):
                data[rng.integers(len(data))] = rng.integers(256)
        if kind == 2:
            data += bytes(rng.integers(0, 256, int(rng.integers(1, 9)), dtype=np.uint8))
        damaged.append(bytes(data))
    return damaged
