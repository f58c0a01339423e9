"""The conformance kit passes good plugins and finds each broken promise of bad ones."""

from __future__ import annotations

import re

import numpy as np
import pytest
import toys

from qbench.plugin import Artifact, Complexity, Explanation, Image, RateParameter
from qbench.testing import check_codec, check_distribution_metric, check_metric
from qbench.testing import test_images as images_of_the_kit


def test_good_plugins_pass():
    check_codec(toys.Shift, parameters={"bits": 2}, fresh_process=False)
    check_metric(toys.Difference)
    check_metric(toys.Oddity, parameters={"how": "infinite"})


def test_a_batch_that_is_not_what_was_asked_for_is_found():
    check_codec(toys.Together, fresh_process=False, mutations=3)

    class Short(toys.Together):
        def encode_batch(self, images):
            return super().encode_batch(images)[:1]

    with pytest.raises(AssertionError, match="encode_batch returned 1 bitstreams for"):
        check_codec(Short, fresh_process=False, mutations=0)

    class Mixed(toys.Together):
        def encode_batch(self, images):
            return super().encode_batch(images)[::-1]

    with pytest.raises(AssertionError, match="decode returned "):
        check_codec(Mixed, fresh_process=False, mutations=0)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("not-bytes", "encode returned bytearray, not bytes"),
        ("wrong-shape", "decode returned .* for "),
        ("not-an-image", "decode returned ndarray, not a qbench.plugin.Image"),
        ("not-lossless", "declared lossless, but pixels came back different"),
        ("not-applicable", "no image could be coded"),
    ],
)
def test_a_codecs_broken_promises_are_found(how, message):
    with pytest.raises(AssertionError, match=message):
        check_codec(toys.Misbehave, parameters={"how": how}, fresh_process=False)


def test_a_decoder_that_crashes_on_damage_is_found():
    class Trusting(toys.Shift):
        def decode(self, bitstream):
            height, width = int.from_bytes(bitstream[:4], "big"), int.from_bytes(bitstream[4:8], "big")
            return super().decode(bitstream) if height * width < 10**6 else bitstream["size"]

    with pytest.raises(AssertionError, match=r"a damaged bitstream .* raised TypeError.* must raise BitstreamError"):
        check_codec(Trusting, fresh_process=False)


def test_a_codec_that_needs_its_own_memory_is_found():
    class Remembering(toys.Shift):
        memory: dict = {}  # noqa: RUF012

        def encode(self, image):
            self.memory[len(self.memory)] = image
            return b"%d" % (len(self.memory) - 1)

        def decode(self, bitstream):
            return self.memory[int(bitstream)]

        @property
        def deterministic(self):
            return False

    with pytest.raises(AssertionError, match="fresh process"):
        check_codec(Remembering, mutations=0)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("nan", "column oddity is NaN"),
        ("range", "oddity is 1.5, outside its declared range"),
        ("missing", "score gave .'oddity'.; its declared columns are"),
        ("too-few", "results for"),
        ("not-applicable", "not applicable to any image"),
    ],
)
def test_a_metrics_broken_promises_are_found(how, message):
    with pytest.raises(AssertionError, match=message):
        check_metric(toys.Oddity, parameters={"how": how})


def test_a_metric_that_depends_on_its_batch_is_found():
    class Relative(toys.Difference):
        def score(self, candidates, prepared):
            return [{"difference": index} for index in range(len(candidates))]

    with pytest.raises(AssertionError, match="in a batch"):
        check_metric(Relative)


def test_a_metric_in_the_wrong_direction_is_found():
    class Backwards(toys.Difference):
        def score(self, candidates, prepared):
            return [{"difference": 255 - scores["difference"]} for scores in super().score(candidates, prepared)]

    with pytest.raises(AssertionError, match="prefers a distorted image"):
        check_metric(Backwards)


def test_a_good_distribution_metric_passes():
    check_distribution_metric(toys.MeanShift)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("float64", "features returned float64 of 2 dimensions"),
        ("too-few", "1 results for 2 images"),
    ],
)
def test_a_distribution_metrics_broken_promises_are_found(how, message):
    with pytest.raises(AssertionError, match=message):
        check_distribution_metric(toys.MeanShift, parameters={"how": how})


def test_a_distribution_metric_in_the_wrong_direction_is_found():
    class Backwards(toys.MeanShift):
        def finish(self, originals, reconstructions):
            scores = super().finish(originals, reconstructions)
            return {**scores, "mean-shift": 1000 - scores["mean-shift"]}

    with pytest.raises(AssertionError, match="prefers distorted images"):
        check_distribution_metric(Backwards)


def test_the_images_are_the_same_every_time():
    for name, image in images_of_the_kit().items():
        assert np.array_equal(image, images_of_the_kit()[name])


def test_what_a_codec_says_of_a_bitstream_and_its_cost_is_checked():
    for attributes, message in (
        ({"parts": lambda self, bits: {"all": len(bits) + 4, "side": -4}}, "parts says 'side': -4"),
        ({"parts": lambda self, bits: {"all": 1}}, "add up to 1 bytes, not"),
        ({"complexity": lambda self, height, width: Complexity(decode_macs=-1)}, "decode_macs is -1"),
        ({"complexity": lambda self, height, width: 12}, "complexity returned int"),
        ({"artifacts": lambda self: [b"png"]}, "artifacts returned bytes"),
        ({"artifacts": lambda self: [Artifact("a", b"", ""), Artifact("a", b"", "")]}, "two artifacts named a"),
        ({"batch_size": 0}, "batch_size is 0; accepted: integers from 1"),
        ({"close": lambda self: 1 / 0}, "close raised ZeroDivisionError"),
        ({"rate_parameter": classmethod(lambda cls, parameters: RateParameter("bit", 1, 7))}, "is no parameter"),
    ):
        with pytest.raises(AssertionError, match=re.escape(message)):
            check_codec(type("Made", (toys.Shift,), attributes), fresh_process=False, mutations=0)


def test_a_decoder_that_remembers_is_found():
    class Tired(toys.Shift):
        count = 0

        def decode(self, bitstream):
            self.count += 1
            found = super().decode(bitstream)
            return Image(255 - found.pixels) if self.count > 1 else found

    with pytest.raises(AssertionError, match="decode gave other pixels than the first time"):
        check_codec(Tired, fresh_process=False, mutations=0)


def test_a_codec_is_set_up_a_few_times_only_and_closed_as_often():
    counts = {"setup": 0, "close": 0}

    class Counting(toys.Shift):
        def setup(self):
            counts["setup"] += 1

        def close(self):
            counts["close"] += 1

    check_codec(Counting, fresh_process=False, mutations=5)
    assert counts == {"setup": 5, "close": 5}


def test_what_a_metric_explains_and_pools_is_checked():
    for attributes, message in (
        ({"explain": lambda self, candidates, prepared: None}, "explain returned NoneType"),
        ({"explain": lambda self, candidates, prepared: Explanation({"a": None})}, "explain gave None"),
        ({"pooling": "x", "pool": classmethod(lambda cls, column, values, pixels: 1 / 0)}, "pool failed"),
        ({"pooling": "x", "pool": classmethod(lambda cls, column, values, pixels: sum(values))}, "pool of 2 ×"),
        ({"score": lambda self, candidates, prepared: [None] * len(candidates)}, "score gave NoneType"),
    ):
        with pytest.raises(AssertionError, match=re.escape(message)):
            check_metric(type("Made", (toys.Difference,), attributes))
