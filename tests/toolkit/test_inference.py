"""Batches of images through a network."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from qbench.contracts.context import Context
from qbench.contracts.metric import Candidates, Reference
from qbench.errors import ModelError
from qbench.images.image import Image
from qbench.toolkit.inference import BatchedNetwork, Original, look_together

INPUTS = torch.arange(12.0).reshape(6, 2)


class Network:
    """Doubles and sums, and has room for so many rows."""

    def __init__(self, room=100):
        self.room = room
        self.batches = []

    def __call__(self, inputs):
        self.batches.append(len(inputs))
        if len(inputs) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return 2 * inputs, inputs.sum(dim=1, keepdim=True)


def accelerator(told):
    """A context of an accelerator, as far as the choice of batches goes; torch's CPU does the work."""
    return Context("meta-accelerator", notice=told.append)


@pytest.fixture
def on_accelerator(monkeypatch):
    monkeypatch.setattr(torch.Tensor, "to", lambda self, *arguments, **options: self)
    monkeypatch.setattr(torch, "autocast", lambda *arguments, enabled: torch.no_grad())


def test_one_by_one_on_a_cpu_and_every_output_in_order():
    network = Network()
    doubled, sums = BatchedNetwork("toy", network, Context())(INPUTS)
    assert network.batches == [1] * 6
    assert doubled.dtype == np.float64
    assert np.array_equal(doubled, 2 * INPUTS.numpy())
    assert np.array_equal(sums[:, 0], INPUTS.numpy().sum(axis=1))


def test_several_at_a_time_on_a_cpu_where_asked_for_and_the_rest_one_by_one():
    network = Network()
    doubled, _ = BatchedNetwork("toy", network, Context(), cpu_batch=4)(INPUTS)
    assert network.batches == [4, 1, 1]
    assert np.array_equal(doubled, 2 * INPUTS.numpy())


def test_a_batch_without_room_is_halved_and_that_is_said_once(on_accelerator):
    network, told = Network(room=2), []
    batched = BatchedNetwork("toy", network, accelerator(told), batch=16)
    doubled, _ = batched(INPUTS)
    assert np.array_equal(doubled, 2 * INPUTS.numpy())
    assert network.batches == [6, 3, 1, 1, 1, 1, 1, 1]
    assert told == [
        "toy: meta-accelerator is out of memory; continuing with 3 at a time",
        "toy: meta-accelerator is out of memory; continuing with 1 at a time",
    ]
    batched(INPUTS)  # it remembers
    assert network.batches[8:] == [1] * 6
    assert len(told) == 2


def test_one_image_without_room_is_an_error(on_accelerator):
    with pytest.raises(ModelError, match="toy: one image does not fit into the memory of meta-accelerator; choose"):
        BatchedNetwork("toy", Network(room=0), accelerator([]))(INPUTS[:1])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_and_infinity_are_refused(value):
    batched = BatchedNetwork("toy", lambda inputs: (inputs * value,), Context())
    with pytest.raises(ModelError, match="toy gave NaN or infinity in float32: its weights are damaged"):
        batched(INPUTS)


def test_bfloat16_is_used_when_asked_for():
    layer = torch.nn.Linear(2, 3)
    seen = []

    def forward(inputs):
        result = layer(inputs)
        seen.append(result.dtype)
        return (result,)

    BatchedNetwork("toy", forward, Context(), "bfloat16")(INPUTS)
    BatchedNetwork("toy", forward, Context())(INPUTS[:1])
    assert seen == [torch.bfloat16, torch.bfloat16, torch.float32]  # six images, four at a time


def test_images_of_several_originals_are_looked_at_once():
    looks = []

    def look(images):
        looks.append(len(images))
        return [[int(image.pixels[0, 0, 0])] for image in images]

    def image(value):
        return Image(np.full((4, 5, 3), value, np.uint8))

    def batch(own, *made):
        images = [image(value) for value in made]
        return Candidates(Reference("a", image(own)), images, [1] * len(images))

    first, second = Original(image(10)), Original(image(20), [20])
    works = [(batch(10, 1, 10), first), (batch(20, 2, 20, 3), second), (batch(10, 4), first)]
    found = look_together(works, look)
    assert found == [([10], [[1], [10]]), ([20], [[2], [20], [3]]), ([10], [[4]])]
    assert looks == [5]  # the first original once, and neither the second nor what equals an original
    assert found[0][1][1] is found[0][0] is first.view
    assert look_together([(batch(20, 20), second)], look) == [([20], [[20]])]
    assert looks == [5]
