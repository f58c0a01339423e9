from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np
import pytest
import toys
from conftest import sample_pixels

from qbench.contracts.context import Context
from qbench.errors import NotApplicable
from qbench.execute.coder import PointDecoder, PointEncoder, form_of
from qbench.execute.work import ContractError, TimingPlan
from qbench.images.image import Image, PixelFormat
from qbench.toolkit.common_work import common


class Coder(NamedTuple):
    encoder: PointEncoder
    decoder: PointDecoder


def coder(cls, repeats=3, budget=10.0, **parameters):
    settings = cls.Parameters.model_validate(parameters)
    timing = TimingPlan(repeats, budget, 2, "exclusive")
    return Coder(*(kind(lambda: cls(settings, Context()), timing) for kind in (PointEncoder, PointDecoder)))


def image(width, height):
    return Image(sample_pixels(width, height)).frozen()


def code(made, original):
    encoded = made.encoder.encode(original)
    return encoded, made.decoder.decode(encoded.bitstream, form_of(original))


def test_codes_and_times():
    original = image(20, 10)
    encoded, decoded = code(coder(toys.Shift, bits=2), original)
    assert decoded.image.equals(Image(original.pixels >> 2 << 2))
    assert encoded.timing.repeats == decoded.timing.repeats == 3


def test_only_the_first_call_of_an_operating_point_is_a_warm_up():
    made = coder(toys.Shift)
    assert [timed.timing.warmup for timed in code(made, image(8, 8))] == [1, 1]
    assert [timed.timing.warmup for timed in code(made, image(8, 8))] == [0, 0]


def test_slow_codecs_are_warmed_up_and_timed_once(tmp_path):
    log = tmp_path / "log"
    made = coder(toys.Shift, budget=0.05, seconds=0.1, log=str(log))
    encoded, decoded = code(made, image(8, 8))
    assert log.read_text().count("\n") == 2
    assert (encoded.timing.repeats, encoded.timing.warmup) == (1, 1)
    assert [timed.timing.warmup for timed in code(made, image(8, 8))] == [0, 0]
    assert log.read_text().count("\n") == 3
    assert encoded.timing.seconds >= 0.1
    assert decoded.timing.seconds < 0.05


def test_decodes_with_an_instance_that_did_not_encode():
    class Forgetful(toys.Shift):
        def encode(self, image):
            self.kept = image
            return b"nothing"

        def decode(self, bitstream):
            return self.kept

    with pytest.raises(AttributeError, match="kept"):
        code(coder(Forgetful), image(8, 8))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("not-bytes", "encode returned bytearray, not bytes"),
        ("wrong-shape", r"decode returned <Image 2×1, 8-bit sRGB> for an image of 8×8, 8-bit sRGB"),
        ("not-an-image", "decode returned ndarray, not a qbench.plugin.Image"),
        ("not-deterministic", "declared deterministic"),
    ],
)
def test_broken_promises_are_told_apart(how, message):
    with pytest.raises(ContractError, match=message):
        code(coder(toys.Misbehave, how=how), image(8, 8))


def test_the_original_can_not_be_written_to():
    with pytest.raises(ValueError, match="read-only"):
        coder(toys.Misbehave, how="write").encoder.encode(image(8, 8))


def test_a_format_that_the_codec_does_not_accept_is_not_applicable():
    deep = Image(np.zeros((8, 8, 3), np.uint16), PixelFormat(bit_depth=12))
    with pytest.raises(NotApplicable, match="shift does not accept 12-bit sRGB images"):
        coder(toys.Shift).encoder.encode(deep)


def test_a_codec_is_set_up_before_the_first_image_and_closed_at_the_end():
    calls = []

    class Tidy(toys.Shift):
        def setup(self):
            calls.append("setup")

        def close(self):
            calls.append("close")

        def encode(self, image):
            calls.append("encode")
            return super().encode(image)

    made = coder(Tidy, repeats=1, budget=0.0)
    code(made, image(8, 8))
    for each in made:
        each.close()
    assert calls == ["setup", "setup", "encode", "close", "close"]


def test_parts_must_add_up():
    class Honest(toys.Shift):
        def parts(self, bitstream):
            return {"header": 9, "body": len(bitstream) - 9}

    class Careless(toys.Shift):
        def parts(self, bitstream):
            return {"header": 9}

    bitstream = coder(Honest).encoder.encode(image(8, 8)).bitstream
    assert coder(Honest).decoder.parts(bitstream) == {"header": 9, "body": len(bitstream) - 9}
    with pytest.raises(ContractError, match=r"parts .* add up to 9 bytes, not"):
        coder(Careless).decoder.parts(bitstream)


def test_several_bitstreams_are_decoded_together():
    class Both(toys.Together):
        def decode_batch(self, bitstreams):
            calls.append(len(bitstreams))
            return super().decode_batch(bitstreams)

    calls = []
    made = coder(Both, repeats=1, budget=0.0, bits=1)
    originals = [image(8, 8), image(5, 9)]
    encoded = made.encoder.encode_batch(originals)
    decoded = made.decoder.decode_batch([each.bitstream for each in encoded], [form_of(each) for each in originals])
    assert calls == [2]
    assert [each.timing.batch for each in decoded] == [2, 2]
    for original, each in zip(originals, decoded, strict=True):
        assert each.image.equals(Image(original.pixels >> 1 << 1))


def test_a_call_that_takes_very_long_is_not_made_twice(monkeypatch):
    monkeypatch.setattr("qbench.execute.coder.LONGEST_WARM_UP", 0.0)
    timings = [timed.timing for timed in code(coder(toys.Shift, budget=1e-9), image(8, 8))]
    assert [(timing.repeats, timing.warmup) for timing in timings] == [(1, 0), (1, 0)]


def test_a_long_first_call_is_not_repeated_where_the_codec_is_prepared(monkeypatch):
    timing = TimingPlan(3, 1e-9, 1, "exclusive")

    def make():
        return toys.Shift(toys.ShiftParameters(), Context())

    for prepared in (False, True):
        timed = PointEncoder(make, timing, coded={(1, 9, 9, 3)} if prepared else None).encode(image(8, 8)).timing
        assert (timed.repeats, timed.warmup, timed.first) == (1, int(not prepared), prepared)


class Settling(toys.Shift):
    """Varies once, at its second call."""

    calls = 0

    def encode(self, image):
        self.calls += 1
        return super().encode(image) + bytes(self.calls == 2)


def test_an_accelerator_is_warmed_up_for_each_size(monkeypatch):
    monkeypatch.setattr("qbench.execute.coder.synchronise", lambda device: None)

    class There(toys.Shift):
        runs_on = "accelerator"

    coded = set()
    timing = TimingPlan(1, 10.0, 1, "exclusive")
    one, other = (
        PointEncoder(lambda: There(toys.ShiftParameters(), Context("cuda:0")), timing, coded=coded) for _ in range(2)
    )
    warmups = [each.encode(image(*size)).timing.warmup for each in (one, other) for size in ((8, 8), (8, 8), (9, 9))]
    assert warmups == [1, 0, 1, 1, 0, 1]
    assert coded == {(1, 8, 8, 3), (1, 9, 9, 3)}
    timed = PointEncoder(lambda: toys.Shift(toys.ShiftParameters(), Context()), timing)
    assert [timed.encode(image(*size)).timing.warmup for size in ((8, 8), (9, 9))] == [1, 0]


def test_an_encoder_that_varies_is_found_although_its_first_call_is_not_repeated_for_its_time():
    point = PointEncoder(
        lambda: Settling(toys.ShiftParameters(), Context()), TimingPlan(1, 1e-9, 1, "exclusive"), coded={(1, 9, 9, 3)}
    )
    with pytest.raises(ContractError, match="declared deterministic"):
        point.encode(image(8, 8))


def test_common_work_is_charged_to_each_operating_point_and_done_anew_by_repeats(monkeypatch):
    monkeypatch.setattr("qbench.execute.coder.LONGEST_CHECK", 0.01)
    calls = []

    class Searching(toys.Shift):
        def encode(self, image):
            return common(("search", image.digest), lambda: self._search(image))

        def _search(self, image):
            calls.append(1)
            time.sleep(0.02)
            return super().encode(image)

    timing = TimingPlan(1, 0.001, 1, "exclusive")
    same = image(9, 9)
    for prepared, expected in ((False, 2), (True, 2)):  # a warm-up and a call; then none
        point = PointEncoder(
            lambda: Searching(toys.ShiftParameters(), Context()), timing, coded={(1, 7, 7, 3)} if prepared else None
        )
        assert point.encode(same).timing.seconds >= 0.02
        assert len(calls) == expected


def test_a_codec_that_was_found_to_vary_is_believed_no_more():
    made = coder(Settling)
    for original in (image(8, 8), image(9, 9)):
        with pytest.raises(ContractError, match="declared deterministic"):
            made.encoder.encode(original)
    assert made.encoder._codec.calls == 2


class Reusing(toys.Shift):
    """Decodes into a buffer of its own, and gives it away, or a view of it that can't be written to."""

    buffer = np.zeros((8, 8, 3), np.uint8)
    view = False

    def decode(self, bitstream):
        np.copyto(self.buffer, super().decode(bitstream).pixels)
        given = self.buffer[:]
        given.setflags(write=not self.view)
        return Image(given)


@pytest.mark.parametrize("view", [False, True])
def test_what_a_codec_decodes_is_ours_before_its_next_call(view, monkeypatch):
    monkeypatch.setattr(Reusing, "view", view)
    made = coder(Reusing)
    first, second = image(8, 8), Image(255 - image(8, 8).pixels)
    one = code(made, first)[1].image
    other = code(made, second)[1].image
    assert one.equals(first)
    assert other.equals(second)
    assert made.decoder.decode_stored(made.encoder.encode(first).bitstream, first.shape, first.format).equals(first)


def test_a_decoder_whose_results_differ_is_found_although_it_reuses_its_memory():
    class Drifting(Reusing):
        def decode(self, bitstream):
            found = super().decode(bitstream)
            self.drift = getattr(self, "drift", -1) + 1
            self.buffer[0, 0, 0] = self.drift
            return found

    with pytest.raises(ContractError, match="decode gave other pixels than the first time"):
        code(coder(Drifting), image(8, 8))


def test_no_bytes_are_no_bitstream():
    class Empty(toys.Shift):
        def encode(self, image):
            return b""

    with pytest.raises(ContractError, match="encode returned no bytes"):
        coder(Empty).encoder.encode(image(8, 8))
