"""The conformance kit passes good plugins and finds each broken promise of bad ones."""

from __future__ import annotations

import numpy as np
import pytest
import toys

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

    with pytest.raises(AssertionError, match="decode returned shape"):
        check_codec(Mixed, fresh_process=False, mutations=0)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("not-bytes", "encode returned bytearray, not bytes"),
        ("wrong-shape", "decode returned shape"),
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
        ("range", "oddity 1.5 not in"),
        ("missing", "gave .'oddity'., declares"),
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
    ("how", "message"), [("float64", "float64, not float32"), ("too-few", "1 results for 2 images")]
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
