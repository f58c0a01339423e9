"""The recipe on a data set small enough to train in seconds."""

from __future__ import annotations

import io
import json
import tarfile

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from qbench.plugin import Context, QbenchError
from qbench_vit.augment import augment, crop_and_flip
from qbench_vit.network import Shape, build
from qbench_vit.recipe import VitParameters, VitRecipe
from qbench_vit.tiny_imagenet import load

SETTINGS = {"epochs": 3, "batch": 16, "width": 32, "heads": 2, "depth": 1, "warmup": 0.5, "average": 0.5}
STRIPES = {"n01": 0, "n02": 1}


def sample_pixels(label, seed):
    """Stripes across or down, in noise: two labels that any classifier should tell apart."""
    rng = np.random.default_rng(seed)
    waves = 128 + 90 * np.sin(np.arange(16) * 1.3 + rng.uniform(0, 6))
    stripes = np.broadcast_to(waves[:, None] if STRIPES[label] else waves[None, :], (16, 16))
    return np.clip(stripes[..., None] + rng.normal(0, 15, (16, 16, 3)), 0, 255).astype(np.uint8)


def encoded(label, seed):
    buffer = io.BytesIO()
    Image.fromarray(sample_pixels(label, seed)).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


@pytest.fixture
def data(tmp_path):
    """A training archive, a validation folder, and names: the two forms that are accepted."""
    folder = tmp_path / "data"
    folder.mkdir()
    with tarfile.open(folder / "tiny-imagenet-train.tar.xz", "w:xz") as archive:
        for label in STRIPES:
            for index in range(32):
                content = encoded(label, index + 1000 * STRIPES[label])
                member = tarfile.TarInfo(f"{label}/{index:03d}.jpg")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    for label in STRIPES:
        (folder / "tiny-imagenet-val" / label).mkdir(parents=True)
        for index in range(8):
            (folder / "tiny-imagenet-val" / label / f"{index}.jpg").write_bytes(encoded(label, 5000 + index))
    (folder / "tiny-imagenet-labels.tsv").write_text("wnid\tlabel\nn01\tstripes down\nn09\tunused\n")
    return folder


def train(data, work, *, stop_after=None, **settings):
    steps = []
    recipe = VitRecipe(VitParameters(**{**SETTINGS, **settings}), Context(seed=5))
    trained = recipe.train(data, work, steps.append, lambda: stop_after is not None and len(steps) >= stop_after)
    return trained, steps


def tensors(path):
    with safe_open(path, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118 - not a mapping


def test_trains_reports_and_writes_weights_with_what_a_card_needs(data, tmp_path):
    path, steps = train(data, tmp_path / "work")
    losses = [step.values["loss"] for step in steps if not step.milestone]
    milestones = [step for step in steps if step.milestone]
    assert len(losses) == 3 * 4
    assert [step.epoch for step in milestones] == [1, 2, 3]
    assert steps[-1].done == steps[-1].total == 12
    assert set(milestones[-1].values) == {"epoch", "top1", "top5"}
    state, metadata = tensors(path)
    assert {tensor.dtype for tensor in state.values() if tensor.is_floating_point()} == {torch.float16}
    network = build(Shape(**json.loads(metadata["shape"])))
    network.load_state_dict(state)  # every tensor has its place
    card = json.loads(path.with_suffix(".json").read_text())
    assert card["names"] == ["stripes down", "n02"]
    assert card["settings"]["epochs"] == 3
    assert len(card["log"]) == 3


def test_learns_what_can_be_learnt(data, tmp_path):
    path, steps = train(data, tmp_path / "work", epochs=25, mixing=0.0, magnitude=0, rate=3e-3, smoothing=0.0)
    assert steps[-1].values["top1"] >= 0.9
    state, metadata = tensors(path)
    network = build(Shape(**json.loads(metadata["shape"])))
    network.load_state_dict(state)
    network.eval()
    unseen = np.stack([sample_pixels(label, 9000 + index) for label in STRIPES for index in range(8)])
    with torch.inference_mode():
        logits = network(torch.from_numpy(unseen).permute(0, 3, 1, 2).float() / 127.5 - 1)
    right = logits.argmax(1) == torch.arange(2).repeat_interleave(8)
    assert right.float().mean() >= 0.9


@pytest.mark.parametrize("stop_after", [1, 4, 7])
def test_an_interrupted_training_ends_the_same(data, tmp_path, stop_after):
    whole, _ = train(data, tmp_path / "whole")
    none, _ = train(data, tmp_path / "parts", stop_after=stop_after)
    assert none is None
    path, steps = train(data, tmp_path / "parts")
    assert steps[-1].done == 12
    one, other = tensors(whole)[0], tensors(path)[0]
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=0, atol=1e-3)


def test_the_number_of_epochs_may_change_on_the_way_and_that_is_recorded(data, tmp_path):
    train(data, tmp_path / "work", stop_after=5)
    path, steps = train(data, tmp_path / "work", epochs=2)
    assert (steps[-1].done, steps[-1].total) == (8, 8)
    card = json.loads(path.with_suffix(".json").read_text())
    assert card["schedule"] == [{"step": 0, "epochs": 3}, {"step": 5, "epochs": 2}]
    assert len(card["log"]) == 2


def test_another_trainings_folder_is_refused(data, tmp_path):
    train(data, tmp_path / "work", stop_after=1)
    with pytest.raises(QbenchError, match="belongs to a training run with different settings or data"):
        train(data, tmp_path / "work", batch=8)


def test_data_of_the_wrong_form_is_refused(data, tmp_path):
    with pytest.raises(QbenchError, match="no folder tiny-imagenet-train and no archive"):
        load(tmp_path, tmp_path / "a")
    Image.new("RGB", (20, 20)).save(data / "tiny-imagenet-val" / "n01" / "odd.jpg")
    with pytest.raises(QbenchError, match="the val images are of different sizes"):
        load(data, tmp_path / "b")
    (data / "tiny-imagenet-val" / "n01" / "odd.jpg").unlink()
    (data / "tiny-imagenet-val" / "n77").mkdir()
    (data / "tiny-imagenet-val" / "n77" / "0.jpg").write_bytes(encoded("n01", 1))
    with pytest.raises(QbenchError, match="labels absent from the training part: n77"):
        load(data, tmp_path / "c")
    (data / "tiny-imagenet-val" / "n77" / "0.jpg").unlink()
    with pytest.raises(QbenchError, match="fewer training images than a batch of 100"):
        train(data, tmp_path / "d", batch=100)


def test_a_loss_that_is_no_number_is_said(data, tmp_path):
    with pytest.raises(QbenchError, match=r"the loss is (nan|inf) at step \d+; try a lower learning rate"):
        train(data, tmp_path / "work", rate=1e30, epochs=50)


def test_augmentation_keeps_sizes_ranges_and_weights_of_labels():
    torch.manual_seed(0)
    pixels = torch.randint(0, 256, (16, 3, 16, 16), dtype=torch.uint8)
    labels = torch.arange(16) % 4
    for mixing in (0.0, 1.0):
        images, targets = augment(pixels, labels, 4, magnitude=5, mixing=mixing)
        assert images.shape == (16, 3, 16, 16)
        assert images.abs().max() <= 1.0 + 1e-5
        torch.testing.assert_close(targets.sum(1), torch.ones(16))
        assert bool((targets.max(1).values == 1).all()) is (mixing == 0.0)


def test_crops_show_parts_of_the_image_and_half_are_flipped():
    torch.manual_seed(0)
    ramp = torch.linspace(-1, 1, 64).expand(400, 3, 64, 64)  # dark at the left, light at the right
    crops = crop_and_flip(ramp)
    rising = (crops[:, 0, 32, -1] > crops[:, 0, 32, 0]).float().mean()
    assert 0.4 < rising < 0.6
    assert crops.abs().max() <= 1.0 + 1e-5
    spans = (crops[:, 0, 32, -1] - crops[:, 0, 32, 0]).abs() / 2
    assert 0.5 < spans.min() < spans.max() <= 1.0  # sides of sqrt(0.4 × 3/4) of the image at least


def test_from_the_command_line(data, tmp_path, qbench_command):
    flags = [item for name, value in SETTINGS.items() for item in ("--set", f"{name}={value}")]
    done = qbench_command("train", "vit", "--data", data, "--work", tmp_path / "work", *flags)
    assert done.returncode == 0, done.stderr
    assert "epoch 3, step 12 of 12" in done.stderr
    assert "top1" in done.stderr
    assert f"weights: {tmp_path / 'work' / 'vit.safetensors'}" in done.stdout
    bad = qbench_command("train", "vit", "--data", data, "--work", tmp_path / "work", "--set", "epoch=3")
    assert bad.returncode == 2
    assert "--set epoch=3: epoch: unknown key `epoch`; did you mean `epochs`?" in bad.stderr
    assert qbench_command("train", "vti", "--data", data, "--work", tmp_path).returncode == 2
