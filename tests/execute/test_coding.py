from __future__ import annotations

import numpy as np
import pytest
import toys
from conftest import picture

from qbench import Context
from qbench.execute.coding import ContractError, PointCoder, TimingPlan
from qbench.image import pixels_digest


def coder(cls, repeats=3, budget=10.0, **parameters):
    settings = cls.Parameters.model_validate(parameters)
    return PointCoder(lambda: cls(settings, Context()), TimingPlan(repeats, budget, 2, "exclusive"))


def read_only(pixels):
    pixels.setflags(write=False)
    return pixels


def test_codes_and_describes():
    pixels = read_only(picture(20, 10))
    coded = coder(toys.Shift, bits=2).code(pixels)
    assert np.array_equal(coded.reconstruction, pixels >> 2 << 2)
    assert coded.reconstruction_sha256 == pixels_digest(pixels >> 2 << 2)
    assert coded.timing.repeats == 3
    assert coded.timing.threads == 2


def test_only_the_first_call_of_an_operating_point_is_a_warm_up():
    made = coder(toys.Shift)
    assert made.code(read_only(picture(8, 8))).timing.warmup == 1
    assert made.code(read_only(picture(8, 8))).timing.warmup == 0


def test_slow_codecs_are_neither_warmed_up_nor_repeated(tmp_path):
    log = tmp_path / "log"
    coded = coder(toys.Shift, budget=0.05, seconds=0.1, log=str(log)).code(read_only(picture(8, 8)))
    assert log.read_text().count("\n") == 1
    assert (coded.timing.repeats, coded.timing.warmup) == (1, 0)
    assert coded.timing.encode >= 0.1
    assert coded.timing.decode < 0.05


def test_decodes_with_an_instance_that_did_not_encode():
    class Forgetful(toys.Shift):
        def encode(self, image):
            self.kept = image
            return b"nothing"

        def decode(self, bitstream):
            return self.kept

    with pytest.raises(AttributeError, match="kept"):
        coder(Forgetful).code(read_only(picture(8, 8)))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("not-bytes", "encode returned bytearray, not bytes"),
        ("wrong-shape", r"decode returned shape \(1, 2, 3\) for an image of shape \(8, 8, 3\)"),
        ("wrong-dtype", "decode returned float32 array, not a uint8 array"),
        ("not-deterministic", "says it is deterministic"),
        ("not-lossless", "says it is lossless here, but 64 pixels came back different"),
    ],
)
def test_broken_promises_are_told_apart(how, message):
    with pytest.raises(ContractError, match=message):
        coder(toys.Misbehave, how=how).code(read_only(picture(8, 8)))


def test_the_original_can_not_be_written_to():
    with pytest.raises(ValueError, match="read-only"):
        coder(toys.Misbehave, how="write").code(read_only(picture(8, 8)))
