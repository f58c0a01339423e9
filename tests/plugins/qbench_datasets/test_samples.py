from __future__ import annotations

import pickle

import numpy as np
import skimage.data

from qbench.home import dataset_home
from qbench.registry.registry import default_registry


def samples():
    return {source.name: source for source in default_registry().datasets["samples"]().images(dataset_home("samples"))}


def test_four_square_images():
    pictures = {name: source.read() for name, source in samples().items()}
    assert list(pictures) == ["face", "animal", "logo", "tower"]
    assert {picture.pixels.shape for picture in pictures.values()} == {(512, 512, 3)}
    assert len({picture.digest for picture in pictures.values()}) == 4


def test_the_face_is_the_astronaut_as_it_is():
    assert np.array_equal(samples()["face"].read().pixels, skimage.data.astronaut())


def test_the_logo_lies_on_white_with_its_own_pixels():
    pixels = samples()["logo"].read().pixels
    assert (pixels[:6] == 255).all()
    assert (pixels[-6:] == 255).all()
    assert np.array_equal(pixels[6:-6, 6:-6], skimage.data.logo()[..., :3])


def test_the_tower_stands_before_a_darker_sky():
    assert samples()["tower"].read().notes == ("ICC profile “Adobe RGB (1998)” converted to sRGB",)


def test_sources_can_go_to_workers():
    for source in samples().values():
        assert pickle.loads(pickle.dumps(source)).read().digest == source.read().digest
