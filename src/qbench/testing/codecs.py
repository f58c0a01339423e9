"""Checks of the codec contract."""

from __future__ import annotations

import contextlib
import json
import pickle
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from qbench.contracts.codec import Codec
from qbench.contracts.context import Context
from qbench.errors import BitstreamError, NotApplicable
from qbench.execute.coder import UNTIMED, PointCoder
from qbench.images.image import Image
from qbench.registry.catalogue import Offer, PluginInfo, rate_parameter
from qbench.registry.forms import form_problem
from qbench.testing.images import test_images
from qbench.testing.promises import promised

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

    What a run checks of every call, and: the input is left alone; other instances give the same bytes (if it says that
    it is ``deterministic``), and decode to the same pixels in any order, and so does another process; ``lossless`` is
    true; images coded together decode like single ones; ``parts``, ``complexity`` and ``artifacts`` are as documented;
    damaged and truncated bitstreams give an image or BitstreamError, and leave the decoder as it was.

    Args:
        cls: the codec.
        parameters: its settings, defaults where absent.
        images: what to code instead of :func:`test_images`.
        mutations: how many damaged bitstreams to try per image.
        fresh_process: also decode in a new interpreter (the class must be importable by name).

    Raises:
        AssertionError: which promise was broken, on which image.
    """
    problem = form_problem(Codec, cls)
    assert not problem, problem
    settings = cls.Parameters.model_validate(dict(parameters or {}))
    with promised("rate_parameter"):
        rate_parameter(Offer(cls, PluginInfo("tested")), settings.model_dump(mode="json"))

    with _coder(cls, settings) as coder, _coder(cls, settings) as other:
        coded: dict[str, tuple[Image, bytes, Image]] = {}
        for name, image in (images or test_images()).items():
            with contextlib.suppress(NotApplicable):
                coded[name] = (image, *_coded(name, image, coder))
        assert coded, "no image could be coded: every one was not applicable"
        for name, (image, bitstream, decoded) in reversed(coded.items()):
            with promised(name):
                if coder.deterministic:
                    again = other.encode(image.frozen()).bitstream
                    assert again == bitstream, "declared deterministic, but another instance gave other bytes"
                elsewhere = other.decode(bitstream, image).image
                assert elsewhere.equals(decoded), "another instance, in another order, decoded other pixels"
        if (cls.encode_batch, cls.decode_batch) != (Codec.encode_batch, Codec.decode_batch):
            _check_batch(coder, coded)
        if fresh_process:
            _check_fresh_process(cls, settings.model_dump(mode="json"), coded)
    decoder = cls(settings, Context())
    decoder.setup()
    try:
        _check_damage(decoder, coded, mutations)
    finally:
        decoder.close()


@contextlib.contextmanager
def _coder(cls: type[Codec], settings: Any) -> Iterator[PointCoder]:
    with promised(cls.name):
        coder = PointCoder(lambda: cls(settings, Context()), UNTIMED)
    yield coder
    failed = coder.close()
    if failed is not None:
        raise AssertionError(f"{cls.name}: close raised {type(failed).__name__}: {failed}") from failed


def _coded(name: str, image: Image, coder: PointCoder) -> tuple[bytes, Image]:
    given = Image(image.pixels.copy(), image.format).frozen()
    with promised(name):
        bitstream = coder.encode(given).bitstream
        assert bitstream, "encode returned no bytes"
        assert given.equals(image), "encode changed its input"
        decoded = coder.decode(bitstream, image).image
        if coder.lossless:
            assert decoded.equals(image), "declared lossless, but pixels came back different"
        coder.parts(bitstream)
        coder.complexity(image)
    return bitstream, decoded


def _check_batch(coder: PointCoder, coded: Mapping[str, tuple[Image, bytes, Image]]) -> None:
    images = [image for image, _, _ in coded.values()]
    with promised("together"):
        bitstreams = [each.bitstream for each in coder.encode_batch(images)]
        together = coder.decode_batch(bitstreams, images)
    for name, image, bitstream, decoded in zip(coded, images, bitstreams, together, strict=True):
        with promised(name):
            alone = coder.decode(bitstream, image).image
            assert decoded.image.equals(alone), "decode_batch gave other pixels than decode"


def _check_fresh_process(
    cls: type[Codec], parameters: dict[str, Any], coded: Mapping[str, tuple[Image, bytes, Image]]
) -> None:
    arguments = json.dumps([cls.__module__, cls.__qualname__, parameters, sys.path])
    done = subprocess.run(
        [sys.executable, "-c", _DECODE, arguments],
        input=pickle.dumps([bitstream for _, bitstream, _ in coded.values()]),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, f"decoding in a fresh process failed:\n{done.stderr.decode()}"
    for (name, (_, _, here)), there in zip(coded.items(), pickle.loads(done.stdout), strict=True):
        assert np.array_equal(here.pixels, there), f"{name}: a fresh process decoded other pixels"


def _check_damage(decoder: Codec, coded: Mapping[str, tuple[Image, bytes, Image]], mutations: int) -> None:
    rng = np.random.default_rng(1)
    for name, (_, bitstream, decoded) in coded.items():
        for damaged in _damage(bitstream, mutations, rng):
            try:
                result = decoder.decode(damaged)
            except BitstreamError:
                continue
            except Exception as error:
                raise AssertionError(
                    f"{name}: a damaged bitstream ({damaged[:16].hex()}…, {len(damaged)} bytes) raised "
                    f"{type(error).__name__}: {error}; decode must raise BitstreamError or return an image"
                ) from error
            assert isinstance(result, Image), f"{name}: a damaged bitstream decoded to {type(result).__name__}"
        after = decoder.decode(bitstream)
        assert decoded.equals(after), f"{name}: after damaged bitstreams, the decoder gave other pixels for a good one"


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
