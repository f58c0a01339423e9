"""The recipe: it trains, goes on where it stopped, and what it writes is a model for the codec."""

from __future__ import annotations

import hashlib
import io
import json

import numpy as np
import piq
import pytest
import torch
from PIL import Image as PillowImage
from safetensors.torch import load_file
from skimage.data import astronaut

from qbench.plugin import Context, Image, ModelError, QbenchError
from qbench_autoencoder import recipe
from qbench_autoencoder.codec import Autoencoder, AutoencoderCodecParameters
from qbench_autoencoder.recipe import AutoencoderParameters, AutoencoderRecipe


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Six images, of which two are held out; and epochs of four steps."""
    monkeypatch.setattr(recipe, "STEPS", 4)
    rng = np.random.default_rng(0)
    for part, count in (("train", 4), ("val", 2)):
        folder = tmp_path / "data" / part
        folder.mkdir(parents=True)
        for index in range(count):
            coarse = rng.integers(0, 256, (7, 6, 3)).astype(np.uint8)
            PillowImage.fromarray(coarse).resize((280, 260), PillowImage.Resampling.BICUBIC).save(
                folder / f"{index}.png"
            )
    return tmp_path / "data"


def train(data, work, *, epochs=2, stop_after=None, seed=0):
    steps = []
    made = AutoencoderRecipe(AutoencoderParameters(epochs=epochs, batch=4), Context(seed=seed)).train(
        data, work, steps.append, lambda: stop_after is not None and len(steps) >= stop_after
    )
    return made, steps


@pytest.mark.slow
def test_trains_and_what_it_wrote_is_a_model_for_the_codec(data, tmp_path):
    made, steps = train(data, tmp_path / "work")
    measured = [step.values for step in steps if step.milestone]
    assert [values["epoch"] for values in measured] == [1, 2]
    assert {"psnr1", "bpp1", "psnr5", "bpp5", "psnr8", "bpp8"} <= set(measured[0])
    original = np.asarray(PillowImage.open(data / "val" / "0.png"))
    codec = Autoencoder(AutoencoderCodecParameters(model=str(made), quality=8), Context())
    assert codec.decode(codec.encode(Image(original))).shape == original.shape


@pytest.mark.slow
def test_an_interrupted_training_ends_the_same(data, tmp_path):
    _, whole = train(data, tmp_path / "whole")
    stopped, first = train(data, tmp_path / "work", stop_after=3)
    assert stopped is None
    _, rest = train(data, tmp_path / "work")
    losses = [step.values["loss"] for step in whole if not step.milestone]
    assert [step.values["loss"] for step in (*first, *rest) if not step.milestone] == pytest.approx(losses, rel=1e-3)


def test_data_that_will_not_do(data, tmp_path):
    with pytest.raises(QbenchError, match="no images to hold out with sides of at least 256 pixels"):
        train(data / "train", tmp_path / "work")
    for path in (data / "train").iterdir():
        path.unlink()
    with pytest.raises(QbenchError, match="no images to train on"):
        train(data, tmp_path / "work")


def test_the_error_of_structure_is_about_one_less_ms_ssim():
    """Against piq, channel by channel: windows are square here, and luminance is left out: it is somewhat smaller."""
    pixels = astronaut()[:256, :256].copy()
    original = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    for quality in (5, 20, 60):
        buffer = io.BytesIO()
        PillowImage.fromarray(pixels).save(buffer, "JPEG", quality=quality)
        made = torch.from_numpy(np.array(PillowImage.open(buffer))).permute(2, 0, 1)[None].float() / 255
        channels = [tensor.transpose(0, 1) for tensor in (made, original)]
        expected = 1 - piq.multi_scale_ssim(*channels).item()
        assert 0.65 * expected < recipe.structure_error(made, original).item() < expected
    assert abs(recipe.structure_error(original, original).item()) < 1e-6


@pytest.mark.slow
def test_begins_with_what_an_earlier_training_wrote(data, tmp_path):
    earlier, _ = train(data, tmp_path / "earlier")
    settings = {"epochs": 1, "batch": 4, "structure": 0.9, "rate": 1e-9, "average": 0.0}
    later = AutoencoderRecipe(AutoencoderParameters(**settings, begin=str(earlier)), Context(seed=0)).train(
        data, tmp_path / "later", lambda step: None, lambda: False
    )
    before, after = (load_file(path) for path in (earlier, later))
    for name, tensor in before.items():
        torch.testing.assert_close(after[name], tensor, rtol=2e-3, atol=1e-5)
    card = json.loads(later.with_suffix(".json").read_text())
    assert card["begun_with"]["sha256"] == hashlib.sha256(earlier.read_bytes()).hexdigest()
    assert [entry["epoch"] for entry in card["begun_with"]["log"]] == [1, 2]
    assert str(tmp_path) not in json.dumps(card)


@pytest.mark.slow
def test_levels_of_other_weights_begin_with_gains_in_between(data, tmp_path):
    earlier, _ = train(data, tmp_path / "earlier")
    before = load_file(earlier)["scales.gains"].float()
    settings = {"epochs": 1, "batch": 4, "rate": 1e-9, "average": 0.0, "begin": str(earlier)}
    # A step lower each: the first is continued, the others are the earlier ones' neighbours.
    ends = AutoencoderParameters()
    step = (ends.highest / ends.lowest) ** (1 / 7)
    parameters = AutoencoderParameters(**settings, lowest=ends.lowest / step, highest=ends.highest / step)
    later = AutoencoderRecipe(parameters, Context(seed=0)).train(
        data, tmp_path / "later", lambda step: None, lambda: False
    )
    after = load_file(later)["scales.gains"].float()
    torch.testing.assert_close(after[1:], before[:-1], rtol=5e-3, atol=1e-3)
    torch.testing.assert_close(after[0], 2 * before[0] - before[1], rtol=5e-3, atol=1e-2)


def test_begins_with_no_other_file(data, tmp_path):
    (tmp_path / "no.safetensors").write_bytes(b"nothing")
    with pytest.raises(ModelError, match="not a file that `qbench train autoencoder` wrote"):
        AutoencoderRecipe(AutoencoderParameters(begin=str(tmp_path / "no.safetensors")), Context()).train(
            data, tmp_path / "work", lambda step: None, lambda: False
        )
