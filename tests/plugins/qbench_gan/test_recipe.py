"""The recipe on a data set small enough to train in seconds."""

from __future__ import annotations

import io
import json
import tarfile

import numpy as np
import pytest
from PIL import Image as PillowImage

from qbench.plugin import Context, Image, QbenchError
from qbench_gan.codec import GanInversion
from qbench_gan.generators import TrainedGenerator
from qbench_gan.recipe import GanParameters, GanRecipe
from qbench_gan.settings import InversionParameters
from qbench_gan.squares import CROPS, load

SETTINGS = {"epochs": 2, "batch": 8, "average": 0.5}


def sample_pixels(seed, width=64, height=64):
    """Two colours and a slope between them."""
    rng = np.random.default_rng(seed)
    slope = np.linspace(0, 1, width)[None, :, None] * np.ones((height, 1, 1))
    first, second = rng.uniform(0, 255, (2, 3))
    return np.rint(first + (second - first) * slope).astype(np.uint8)


def encoded(pixels):
    buffer = io.BytesIO()
    PillowImage.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def data(tmp_path):
    """An archive of small images, a folder with a large one and a tiny one, and an archive that is held out."""
    folder = tmp_path / "data"
    (folder / "more").mkdir(parents=True)
    for name, seeds in (("toy-train", range(24)), ("toy-val", range(100, 112))):
        with tarfile.open(folder / f"{name}.tar.xz", "w:xz") as archive:
            for seed in seeds:
                content = encoded(sample_pixels(seed))
                member = tarfile.TarInfo(f"n01/{seed}.png")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    PillowImage.fromarray(sample_pixels(50, 200, 150)).save(folder / "more" / "large.png")
    PillowImage.fromarray(sample_pixels(51, 20, 20)).save(folder / "more" / "tiny.png")
    return folder


def train(data, work, *, stop_after=None, **settings):
    steps = []
    recipe = GanRecipe(GanParameters(**{**SETTINGS, **settings}), Context(seed=5))
    return recipe.train(data, work, steps.append, lambda: stop_after is not None and len(steps) >= stop_after), steps


def test_images_are_taken_whole_or_cut_and_val_is_held_out(data, tmp_path):
    squares, held_out = load(data, tmp_path / "work", 64)
    assert squares.shape == (24 + CROPS, 64, 64, 3)
    assert held_out.shape == (12, 64, 64, 3)
    assert any(np.array_equal(square, sample_pixels(0)) for square in squares)
    with pytest.raises(QbenchError, match="no images to train on"):
        load(tmp_path / "work", tmp_path / "other", 64)
    (data / "toy-val.tar.xz").unlink()
    with pytest.raises(QbenchError, match="no images to hold out"):
        load(data, tmp_path / "third", 64)
    (data / "broken.png").write_text("no image")
    with pytest.raises(QbenchError, match=r"the training image broken\.png can't be read"):
        load(data, tmp_path / "fourth", 64)


@pytest.mark.slow
def test_trains_and_what_it_wrote_is_a_generator_for_the_codec(data, tmp_path):
    path, steps = train(data, tmp_path / "work", begin=0.5)
    assert steps[-1].done == steps[-1].total == 12
    assert "psnr" in steps[-1].values
    assert "critic" not in steps[0].values
    assert "critic" in steps[-2].values  # the discriminator joined in
    card = json.loads(path.with_suffix(".json").read_text())
    assert card["squares"] == [48, 12]
    assert len(card["log"]) == 2
    generator = TrainedGenerator(path)
    assert len(generator.log2_scales) == generator.latent_size == 512
    made = GanInversion(InversionParameters(generator=str(path), iterations=3, refine=1), Context())
    assert made.decode(made.encode(Image(sample_pixels(200)))).shape == (64, 64, 3)


@pytest.mark.slow
def test_learns(data, tmp_path):
    _, steps = train(data, tmp_path / "work", epochs=12, adversarial=0.0)
    found = [step.values["psnr"] for step in steps if step.milestone]
    assert found[-1] > found[0] + 1


@pytest.mark.slow
def test_an_interrupted_training_ends_the_same(data, tmp_path):
    whole, _ = train(data, tmp_path / "whole")
    none, _ = train(data, tmp_path / "parts", stop_after=5)
    assert none is None
    path, steps = train(data, tmp_path / "parts")
    assert steps[-1].done == 12
    one, other = (json.loads(found.with_suffix(".json").read_text())["log"][-1]["psnr"] for found in (whole, path))
    assert one == pytest.approx(other, abs=0.05)


def test_another_trainings_folder_is_refused(data, tmp_path):
    train(data, tmp_path / "work", stop_after=1)
    with pytest.raises(QbenchError, match="belongs to a training run with different settings or data"):
        train(data, tmp_path / "work", batch=4)
    with pytest.raises(QbenchError, match="fewer training images than a batch of 64"):
        train(data, tmp_path / "other", batch=64)
