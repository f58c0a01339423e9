"""JPEG with a corrector: trains, decodes anywhere, and is a plain JPEG to everybody else."""

from __future__ import annotations

import io
import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
from conftest import sample_pixels
from PIL import Image as PillowImage
from safetensors.torch import save_file

from qbench.plugin import BitstreamError, Context, Image, ModelError, NotApplicable, QbenchError
from qbench.testing import check_codec
from qbench_restore import codec as codec_module
from qbench_restore import recipe
from qbench_restore.codec import JpegRestore, JpegRestoreParameters
from qbench_restore.network import Shape, build, strength
from qbench_restore.recipe import RestoreParameters, RestoreRecipe

SMALL = Shape(width=16, blocks=2)


def save(path, shape=SMALL, amount=0.02):
    torch.manual_seed(0)
    network = build(shape)
    with torch.no_grad():
        for parameter in network.layers[-2].parameters():
            parameter += amount * torch.randn_like(parameter)
    save_file(network.state_dict(), path, {"shape": json.dumps(asdict(shape))})
    return path


@pytest.fixture
def small(tmp_path):
    return save(tmp_path / "small.safetensors")


def codec(path, **parameters):
    return JpegRestore(JpegRestoreParameters(model=str(path), **parameters), Context())


@pytest.mark.parametrize(
    "parameters",
    [{}, pytest.param({"quality": 5, "subsampling": "4:4:4", "optimize": True}, marks=pytest.mark.slow)],
)
def test_keeps_the_contract_of_codecs(small, parameters):
    check_codec(JpegRestore, parameters={"model": str(small), **parameters}, mutations=30)


def test_the_bitstream_is_a_plain_jpeg(small):
    original = sample_pixels(60, 50)
    buffer = io.BytesIO()
    PillowImage.fromarray(original).save(buffer, "JPEG", quality=30)
    assert codec(small, quality=30).encode(Image(original)) == buffer.getvalue()


def test_a_network_that_adds_nothing_changes_nothing(tmp_path):
    nothing = save(tmp_path / "nothing.safetensors", amount=0.0)
    original = sample_pixels(61, 47)
    bitstream = codec(nothing, quality=20).encode(Image(original))
    assert np.array_equal(codec(nothing).decode(bitstream), np.asarray(PillowImage.open(io.BytesIO(bitstream))))


def test_tiles_make_no_difference(small, monkeypatch):
    bitstream = codec(small, quality=20).encode(Image(sample_pixels(300, 210)))
    whole = codec(small).decode(bitstream)
    monkeypatch.setattr(codec_module, "TILE", 64)
    assert np.array_equal(codec(small).decode(bitstream), whole)


def test_strength_falls_with_quality():
    found = []
    for quality in (1, 10, 50, 90, 100):
        buffer = io.BytesIO()
        PillowImage.fromarray(sample_pixels(16, 16)).save(buffer, "JPEG", quality=quality)
        found.append(strength(list(PillowImage.open(buffer).quantization.values())))
    assert found == sorted(found, reverse=True)
    assert found[-1] == 0
    assert found[0] < 1.01


def test_bad_input(small, tmp_path):
    with pytest.raises(BitstreamError, match="not a JPEG bitstream"):
        codec(small).decode(b"nothing")
    with pytest.raises(NotApplicable, match="JPEG codes sides up to 65535"):
        codec(small).encode(Image(np.zeros((1, 65_536, 3), np.uint8)))
    (tmp_path / "no.safetensors").write_bytes(b"nothing")
    with pytest.raises(ModelError, match="not a file that `qbench train jpeg-restore` wrote"):
        codec(tmp_path / "no.safetensors").decode(codec(small).encode(Image(sample_pixels(8, 8))))


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Six images, of which two are held out; and epochs of six steps."""
    monkeypatch.setattr(recipe, "STEPS", 6)
    for part, count in (("train", 4), ("val", 2)):
        folder = tmp_path / "data" / part
        folder.mkdir(parents=True)
        for index in range(count):
            PillowImage.fromarray(sample_pixels(140, 150, index)).save(folder / f"{index}.png")
    return tmp_path / "data"


def train(data, work, *, epochs=2, stop_after=None, **settings):
    steps = []
    made = RestoreRecipe(RestoreParameters(epochs=epochs, batch=4, **settings), Context()).train(
        data, work, steps.append, lambda: stop_after is not None and len(steps) >= stop_after
    )
    return made, steps


def test_trains_and_what_it_wrote_restores(data, tmp_path):
    made, steps = train(data, tmp_path / "work", average=0.0)
    losses = [step.values["loss"] for step in steps if not step.milestone]
    assert losses[0] == pytest.approx(1, abs=0.05)  # at first it leaves images as they are
    assert losses[-1] < losses[0]
    assert {"gain10", "gain30", "gain70"} <= set(steps[-1].values)
    original = np.asarray(PillowImage.open(data / "val" / "0.png"))
    assert codec(made).decode(codec(made, quality=10).encode(Image(original))).shape == original.shape


@pytest.mark.slow
def test_an_interrupted_training_ends_the_same(data, tmp_path):
    _, whole = train(data, tmp_path / "whole")
    stopped, first = train(data, tmp_path / "work", stop_after=5)
    assert stopped is None
    _, rest = train(data, tmp_path / "work")
    losses = [step.values["loss"] for step in whole if not step.milestone]
    assert [step.values["loss"] for step in (*first, *rest) if not step.milestone] == pytest.approx(losses, rel=1e-3)


def test_data_that_will_not_do(data, tmp_path):
    with pytest.raises(QbenchError, match="lowest quality is above the highest"):
        train(data, tmp_path / "work", lowest=50, highest=40)
    with pytest.raises(QbenchError, match="no images to hold out with sides of at least 128 pixels"):
        train(data / "train", tmp_path / "work")
