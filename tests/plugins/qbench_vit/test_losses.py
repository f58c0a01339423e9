"""The classifier's judgement as losses."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import sample_pixels
from PIL import Image as PillowImage
from scipy.spatial.distance import jensenshannon

from qbench.plugin import Context, Image, find_loss
from qbench_vit.models import BUNDLED, PUBLISHED
from qbench_vit.score import VitScore, VitScoreParameters

ORIGINAL = sample_pixels(64, 64)
WORSE = [np.asarray(PillowImage.fromarray(ORIGINAL).reduce(n).resize((64, 64))) for n in (2, 8)]


def shares(*images):
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255


@pytest.mark.parametrize("name", ["vit-labels", "vit-features"])
def test_nothing_for_the_target_more_for_worse_and_a_gradient(name):
    loss = find_loss(name)(Context())
    distance = loss.prepare(shares(ORIGINAL, ORIGINAL, ORIGINAL))
    images = shares(ORIGINAL, *WORSE).requires_grad_(True)
    found = distance(images)
    assert found.shape == (3,)
    assert float(found[0].detach()) == pytest.approx(0, abs=1e-6)
    assert 0 < found[1] < found[2]
    found[2].backward()
    assert images.grad[2].abs().max() > 0
    assert images.grad[1].abs().max() == 0  # a distance is of its own image alone
    alone = loss.prepare(shares(ORIGINAL))(shares(WORSE[1]))
    assert float(alone.detach()) == pytest.approx(float(found[2].detach()), rel=1e-4)


def test_following_the_gradient_brings_the_labels_nearer():
    distance = find_loss("vit-labels")(Context()).prepare(shares(ORIGINAL))
    image = shares(WORSE[1]).requires_grad_(True)
    before = float(distance(image).detach())
    optimiser = torch.optim.Adam([image], lr=0.01)
    for _ in range(10):
        optimiser.zero_grad()
        distance(image).sum().backward()
        optimiser.step()
    assert float(distance(image).detach()) < before / 2


def test_the_label_loss_is_the_divergence_of_the_metric():
    """Images of the classifier's own size, so that no resizing comes between."""
    metric = VitScore(VitScoreParameters(), Context())
    views = metric.classifier.look([Image(pixels) for pixels in (ORIGINAL, *WORSE)])
    p, *others = (np.exp(logits - np.logaddexp.reduce(logits)) for logits in views.logits)
    distance = find_loss("vit-labels")(Context()).prepare(shares(ORIGINAL, ORIGINAL))
    for found, q in zip(distance(shares(*WORSE)), others, strict=True):
        assert float(found) == pytest.approx(jensenshannon(p, q) ** 2, rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("name", ["vit-labels", "vit-features"])
def test_other_sizes_are_resized_and_the_profile_chooses_the_classifier(name):
    cls = find_loss(name)
    large = shares(sample_pixels(100, 80))
    assert float(cls(Context()).prepare(large)(large)) == pytest.approx(0, abs=1e-6)
    assert cls.weights("bundled") == (BUNDLED,)
    assert cls.weights("hub") == (PUBLISHED,)
