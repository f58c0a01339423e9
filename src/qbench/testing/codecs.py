"""Checks of the codec contract."""

from __future__ import annotations

import contextlib
import json
import math
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from qbench.contracts.codec import Codec
from qbench.contracts.context import Context
from qbench.errors import BitstreamError, NotApplicable
from qbench.execute.coder import UNTIMED, PointDecoder, PointEncoder, form_of
from qbench.images.image import Image
from qbench.registry.catalogue import Offer, PluginInfo, rate_parameter
from qbench.registry.files import place_of
from qbench.registry.forms import form_problem
from qbench.testing.images import test_images
from qbench.testing.promises import promised

NOISE_SIDE = 64
NOISE_SHARE, NOISE_SLACK = 0.9, 32
"""Of the bytes that noise needs: less than this share of them, less so many, can't be by chance."""

_DECODE = """
import json, pickle, sys
module, name, parameters, path = json.loads(sys.argv[1])
sys.path[:] = path
from qbench.registry.files import import_place
cls = import_place(module)
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
    passed: Callable[[str], None] = lambda promise: None,
) -> None:
    """Check that a codec keeps its contract at one operating point.

    What a run checks of every call, and: the input is left alone; other instances give the same bytes (if it says that
    it is ``deterministic``), and decode to the same pixels in any order, and so does another process; ``lossless`` is
    true; images coded together decode like single ones; ``parts``, ``complexity`` and ``artifacts`` are as documented;
    noise is not decoded better than so few bytes can tell (whatever else the decoder may look at);
    damaged and truncated bitstreams give an image or BitstreamError, and leave the decoder as it was.

    Args:
        cls: the codec.
        parameters: its settings, defaults where absent.
        images: what to code instead of :func:`test_images`.
        mutations: how many damaged bitstreams to try per image.
        fresh_process: also decode in a new interpreter (the class must be importable by name).
        passed: called with each promise once it is seen to be kept.

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
        passed(f"codes {len(coded)} images, down to one pixel, and leaves them alone")
        for name, (image, bitstream, decoded) in reversed(coded.items()):
            with promised(name):
                if coder.encoder.deterministic:
                    again = other.encoder.encode(image.frozen()).bitstream
                    assert again == bitstream, "declared deterministic, but another instance gave other bytes"
                elsewhere = other.decoder.decode(bitstream, form_of(image)).image
                assert elsewhere.equals(decoded), "another instance, in another order, decoded other pixels"
        passed("other instances give the same, in any order")
        if (cls.encode_batch, cls.decode_batch) != (Codec.encode_batch, Codec.decode_batch):
            _check_batch(coder, coded)
            passed("images coded together are as coded alone")
        if fresh_process:
            _check_fresh_process(cls, settings.model_dump(mode="json"), coded)
            passed("another process decodes the same pixels")
        _check_noise(coder)
        passed("the decoder knows no more than the bitstream tells")
    decoder = cls(settings, Context())
    decoder.setup()
    try:
        _check_damage(decoder, coded, mutations)
        passed(f"{(mutations + 3) * len(coded)} damaged bitstreams do no harm")
    finally:
        decoder.close()


@contextlib.contextmanager
def _coder(cls: type[Codec], settings: Any) -> Iterator[_Coder]:
    with promised(cls.name):
        encoder = PointEncoder(lambda: cls(settings, Context()), UNTIMED)
        decoder = PointDecoder(lambda: cls(settings, Context()), UNTIMED)
    yield _Coder(encoder, decoder)
    for each in (encoder, decoder):
        try:
            each.close()
        except Exception as error:
            raise AssertionError(f"{cls.name}: close raised {type(error).__name__}: {error}") from error


class _Coder(NamedTuple):
    """Two instances at one operating point, one to encode and one to decode."""

    encoder: PointEncoder
    decoder: PointDecoder


def _coded(name: str, image: Image, coder: _Coder) -> tuple[bytes, Image]:
    given = Image(image.pixels.copy(), image.format).frozen()
    with promised(name):
        bitstream = coder.encoder.encode(given).bitstream
        assert bitstream, "encode returned no bytes"
        assert given.equals(image), "encode changed its input"
        decoded = coder.decoder.decode(bitstream, form_of(image)).image
        if coder.encoder.lossless:
            assert decoded.equals(image), "declared lossless, but pixels came back different"
        coder.decoder.parts(bitstream)
        coder.decoder.complexity(image.height, image.width)
    return bitstream, decoded


def _check_noise(coder: _Coder) -> None:
    """Check that noise is not decoded better than the bitstream can tell.

    No code gives independent, uniform 8-bit samples back with a mean squared error D out of fewer than
    8 - ½·log2(2πe·(D + 1/12)) bits a sample (Shannon's lower bound, of a Gaussian error of that variance). Who does has
    the image by another way: a variable of the process, a file, the environment, a server.
    """
    noise = np.random.default_rng().integers(0, 256, (NOISE_SIDE, NOISE_SIDE, 3), dtype=np.uint8)
    image = Image(noise).frozen()
    try:
        with promised("fresh noise"):
            bitstream = coder.encoder.encode(image).bitstream
            decoded = coder.decoder.decode(bitstream, form_of(image)).image
    except NotApplicable:
        return
    error = float(((decoded.pixels.astype(np.float64) - noise) ** 2).mean())
    least = noise.size * (8 - 0.5 * math.log2(2 * math.pi * math.e * (error + 1 / 12))) / 8
    if len(bitstream) < NOISE_SHARE * least - NOISE_SLACK:
        raise AssertionError(
            f"fresh noise came back with an MSE of {error:.3g} out of {len(bitstream)} bytes, but any code"
            f" needs {least:.0f} for that: the decoder has it by another way than the bitstream"
        )


def _check_batch(coder: _Coder, coded: Mapping[str, tuple[Image, bytes, Image]]) -> None:
    images = [image for image, _, _ in coded.values()]
    with promised("together"):
        bitstreams = [each.bitstream for each in coder.encoder.encode_batch(images)]
        together = coder.decoder.decode_batch(bitstreams, [form_of(image) for image in images])
    for name, image, bitstream, decoded in zip(coded, images, bitstreams, together, strict=True):
        with promised(name):
            alone = coder.decoder.decode(bitstream, form_of(image)).image
            assert decoded.image.equals(alone), "decode_batch gave other pixels than decode"


def _check_fresh_process(
    cls: type[Codec], parameters: dict[str, Any], coded: Mapping[str, tuple[Image, bytes, Image]]
) -> None:
    arguments = json.dumps([place_of(cls), cls.__qualname__, parameters, sys.path])
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
