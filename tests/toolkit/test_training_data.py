"""Images to train on: folders and archives, held-out parts, crops."""

from __future__ import annotations

import tarfile

import numpy as np
import pytest
from conftest import sample_pixels
from PIL import Image

from qbench.errors import QbenchError
from qbench.toolkit.training_data import random_crop, split_images, training_images


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    for name, size in (("train/a.png", 40), ("train/deep/b.JPG", 50), ("my-val/c.png", 60), ("train/small.png", 8)):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(sample_pixels(size, size)).save(path)
    with tarfile.open(folder / "more.tar.gz", "w:gz") as archive:
        archive.add(folder / "train" / "a.png", "train/d.png")
        archive.add(folder / "train" / "a.png", "val/e.png")
    (folder / "notes.txt").write_text("no image")
    return folder


def test_folders_and_archives_are_read_in_order(data):
    found = {made.name: made.held_out for made in training_images(data)}
    assert found == {
        "more/train/d.png": False,
        "more/val/e.png": True,
        "my-val/c.png": True,
        "train/a.png": False,
        "train/deep/b.JPG": False,
        "train/small.png": False,
    }
    (data / "train" / "bad.png").write_text("no image")
    with pytest.raises(QbenchError, match=r"the training image train/bad\.png can't be read"):
        list(training_images(data))


def test_parts(data):
    train, held_out = split_images(data, 16)
    assert sorted(len(pixels) for pixels in train) == [40, 40, 50]
    assert sorted(len(pixels) for pixels in held_out) == [40, 60]
    with pytest.raises(QbenchError, match="no images to train on with sides of at least 60 pixels"):
        split_images(data, 60)


def test_crops_are_squares_out_of_the_images_and_repeat_with_the_seed():
    images = [sample_pixels(40, 50), sample_pixels(33, 70, 1)]
    crops = [random_crop(images, 32, np.random.default_rng(seed)) for seed in range(60)]
    assert {crop.shape for crop in crops} == {(32, 32, 3)}
    assert np.array_equal(crops[7], random_crop(images, 32, np.random.default_rng(7)))
    windows = {
        turned[top : top + 32, left : left + 32].tobytes()
        for source in images
        for mirrored in (source, source[:, ::-1])
        for turned in (np.rot90(mirrored, quarter) for quarter in range(4))
        for top in range(len(turned) - 31)
        for left in range(len(turned[0]) - 31)
    }
    assert 15 < sum(crop.tobytes() in windows for crop in crops) < 60  # the others are of something larger, shrunk
