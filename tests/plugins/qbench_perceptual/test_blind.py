"""BRISQUE and NIQE: their features against other code, their recipes, and the bundled files."""

from __future__ import annotations

import importlib
import sys

import numpy as np
import pytest
import torch
from conftest import sample_pixels
from image_pairs import COFFEE, PAIRS, jpeg, noisy
from PIL import Image as PillowImage
from piq.functional import imresize
from scipy.stats import gennorm, spearmanr
from skimage.data import astronaut

from qbench.plugin import Candidates, Context, Image, ModelError, NotApplicable, QbenchError, Reference
from qbench.testing import check_metric
from qbench_perceptual import blind_recipes
from qbench_perceptual.blind_recipes import (
    BrisqueRecipe,
    BrisqueRecipeParameters,
    NiqeRecipe,
    consensus,
)
from qbench_perceptual.brisque import LIVE_RANGES, Brisque, BrisqueParameters, Regressor, live_to_safetensors
from qbench_perceptual.natural_scenes import (
    aggd_scale,
    asymmetric_fit,
    brisque_features,
    fits,
    luma,
    symmetric_fit,
)
from qbench_perceptual.niqe import Niqe, NiqeParameters, patch_features

piqs = importlib.import_module("piq.brisque")  # the package's own name for it is the function


@pytest.mark.parametrize("pair", PAIRS)
def test_brisques_features_are_piqs(pair):
    pixels = PAIRS[pair][1]
    image = torch.from_numpy(luma(pixels))[None, None]
    expected = []
    for _ in range(2):
        expected.append(piqs._natural_scene_statistics(image, 7, 7 / 6)[0].numpy())
        image = imresize(image, sizes=(image.shape[2] // 2, image.shape[3] // 2))
    # Flat parts are seen by piq as rounding errors, whose signs differ.
    tolerance = 1e-9 if pair in ("chelsea, noise 20", "inverted") else 0.03
    assert brisque_features(pixels) == pytest.approx(np.concatenate(expected), abs=tolerance)


def test_fits_find_the_shapes_that_samples_were_drawn_with():
    rng = np.random.default_rng(0)
    for shape in (0.7, 1.0, 2.0, 4.0):
        drawn = gennorm.rvs(shape, size=200_000, random_state=rng)
        found, variance = symmetric_fit(fits(drawn[None])[0])
        assert found == pytest.approx(shape, rel=0.03)
        assert variance == pytest.approx(gennorm.var(shape), rel=0.03)
        # Stretched on one side, and as many of them: deviations are in the ratio of the stretching.
        stretched = np.where(drawn > 0, 3 * drawn, drawn)
        found, _, left, right = asymmetric_fit(fits(stretched[None])[0])
        assert right / left == pytest.approx(3, rel=0.03)
        assert aggd_scale(shape) * left == pytest.approx(1, rel=0.05)  # gennorm's scale


def test_the_published_regressor_is_read_as_piq_reads_it(tmp_path):
    rng = np.random.default_rng(0)
    coefficients, vectors = rng.normal(0, 100, (50, 1)), rng.uniform(-1, 1, (50, 36))
    torch.save((torch.from_numpy(coefficients), torch.from_numpy(vectors)), tmp_path / "published.pt")
    live_to_safetensors(tmp_path / "published.pt", tmp_path / "kept.safetensors")
    features = brisque_features(COFFEE)
    scaled = piqs._scale_features(torch.from_numpy(features)[None])
    kernel = piqs._rbf_kernel(scaled, torch.from_numpy(vectors.T))
    expected = float((kernel @ torch.from_numpy(coefficients))[0, 0]) + 153.591
    assert Regressor(tmp_path / "kept.safetensors")(features) == pytest.approx(expected, rel=1e-9)
    assert len(LIVE_RANGES) == 36
    assert Brisque.default_label(BrisqueParameters(), "hub") == "brisque"


def test_consensus():
    """Where the metrics agree, the share of images that are better."""
    scores = np.array([[0.1, 1.0], [0.9, 9.0], [0.5, 5.0], [0.7, 7.0], [0.2, 2.0]])
    assert consensus(scores).tolist() == [100, 0, 50, 25, 75]
    rng = np.random.default_rng(0)
    truth = rng.normal(size=300)
    several = np.stack([truth + rng.normal(0, 0.5, 300) for _ in range(4)], axis=1)
    together = abs(spearmanr(consensus(several), truth).statistic)
    assert together > max(abs(spearmanr(each, truth).statistic) for each in several.T)


def score(metric, original, *made):
    reference = Reference("a", Image(original))
    return metric.score(
        Candidates(reference, [Image(each) for each in made], [1] * len(made)), metric.prepare(reference)
    )


@pytest.mark.parametrize(("cls", "parameters"), [(Brisque, BrisqueParameters()), (Niqe, NiqeParameters())])
def test_the_bundled_ones_on_photographs_they_never_saw(cls, parameters):
    metric = cls(parameters, Context())
    for original in (astronaut(), COFFEE):
        worse = score(metric, original, original, jpeg(original, 20), jpeg(original, 5), noisy(original, 40))
        values = [each[cls.name] for each in worse]
        assert values[0] == worse[0]["original"] == worse[3]["original"]
        assert values[0] < values[1] < values[2]
        assert values[0] < values[3]
    assert cls.default_label(parameters, "bundled") == {"brisque": "brisque-bliss", "niqe": "niqe-bsds500"}[cls.name]
    check_metric(cls, images={"photograph": Image(astronaut()[:200, :300]), "odd": Image(COFFEE[:201, :395])})


@pytest.mark.parametrize(("cls", "small"), [(Brisque, (31, 60)), (Niqe, (191, 300))])
def test_images_without_statistics(cls, small):
    metric = cls(cls.Parameters(), Context())
    with pytest.raises(NotApplicable, match=r"shorter side is 31 pixels|fewer than 4 patches"):
        metric.prepare(Reference("a", Image(sample_pixels(small[1], small[0]))))
    flat = np.full((256, 256, 3), 80, np.uint8)
    with pytest.raises(NotApplicable, match="of one colour"):
        metric.prepare(Reference("a", Image(flat)))
    (outcome,) = score(metric, astronaut()[:256, :256], flat)
    assert isinstance(outcome, NotApplicable)


def test_files_that_hold_something_else(tmp_path):
    (tmp_path / "other.safetensors").write_bytes(b"nothing")
    for cls in (Brisque, Niqe):
        metric = cls(cls.Parameters(model=str(tmp_path / "other.safetensors")), Context())
        with pytest.raises(ModelError, match=f"that `qbench train {cls.name}` wrote"):
            metric.prepare(Reference("a", Image(astronaut())))


@pytest.fixture
def data(tmp_path):
    """Photographs' parts: four to train on, two held out."""
    sources = [astronaut()[:256, :256], COFFEE[:256, :256], COFFEE[100:356, 300:556], astronaut()[200:456, 200:456]]
    for part, chosen in (("train", sources), ("val", [astronaut()[250:506, :256], COFFEE[140:396, :256]])):
        (tmp_path / "data" / part).mkdir(parents=True)
        for index, pixels in enumerate(chosen):
            PillowImage.fromarray(pixels).save(tmp_path / "data" / part / f"{index}.png")
    return tmp_path / "data"


@pytest.mark.slow
def test_the_recipe_of_brisque(data, tmp_path, monkeypatch):
    monkeypatch.setattr(blind_recipes, "LEVELS", 3)
    recipe = BrisqueRecipe(BrisqueRecipeParameters(photographs=4), Context())
    assert recipe.train(data, tmp_path / "work", lambda step: None, iter([False, True]).__next__) is None
    steps = []
    made = recipe.train(data, tmp_path / "work", steps.append, lambda: False)
    assert steps[-1].values["rank correlation, all"] > 0.5
    found = score(Brisque(BrisqueParameters(model=str(made)), Context()), COFFEE, COFFEE, jpeg(COFFEE, 11))
    assert found[0]["brisque"] < found[1]["brisque"]
    monkeypatch.setitem(sys.modules, "sklearn.svm", None)
    with pytest.raises(QbenchError, match=r"scikit-learn is not installed: pip install 'qbench\[train\]'"):
        recipe.train(data, tmp_path / "work", lambda step: None, lambda: False)


def test_the_recipe_of_niqe(data, tmp_path):
    made = NiqeRecipe(NiqeRecipe.Parameters(), Context()).train(
        data, tmp_path / "work", lambda step: None, lambda: False
    )
    metric = Niqe(NiqeParameters(model=str(made)), Context())
    assert np.isfinite(score(metric, astronaut(), jpeg(astronaut(), 10))[0]["niqe"])
    assert Niqe.default_label(NiqeParameters(model=str(made)), "bundled") == "niqe-niqe-bsds500"
    features, sharpness = patch_features(astronaut())
    assert features.shape == (25, 36)
    assert sharpness.shape == (25,)
