"""Distances between sets of images: with the bundled network, and with Inception's code on random weights."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from conftest import sample_pixels
from image_pairs import jpeg
from PIL import Image as PillowImage
from skimage.data import astronaut, coffee
from torch_fidelity import feature_extractor_inceptionv3

import qbench
from qbench.plugin import Candidates, Context, Image, ModelError, NotApplicable, Reference
from qbench.testing import check_distribution_metric, check_metric
from qbench_perceptual import gaussians, inception
from qbench_perceptual.conversion import tensors_to_safetensors
from qbench_perceptual.frechet import DistanceParameters, FdClip, FdDino, Fid, FrechetParameters, Kid
from qbench_perceptual.inception import InceptionScore, inception_score
from qbench_perceptual.patches import PatchParameters, patches
from qbench_perceptual.pixel_frechet import PixelFrechet

PHOTOGRAPHS = [astronaut()[:192, :192], astronaut()[256:448, :192], coffee()[:192, :192], coffee()[100:292, 300:492]]


def finished(metric, quality):
    def features(pixels):
        return metric.features(Candidates(Reference("a", Image(pixels)), [Image(pixels)], [1]))[0]

    originals = [features(pixels) for pixels in PHOTOGRAPHS]
    return metric.finish(originals, [features(jpeg(pixels.copy(), quality)) for pixels in PHOTOGRAPHS])


def test_patches():
    image = Image(sample_pixels(200, 140))
    cut = patches(image, PatchParameters(patch=64))
    assert len(cut) == 3 * 2 + 2 * 1
    assert cut[4].equals(image.crop(64, 64, 64, 64))
    assert cut[6].equals(image.crop(32, 32, 64, 64))
    assert len(patches(image, PatchParameters(patch=64, shifted=False))) == 6
    assert patches(image, PatchParameters()) == [image]
    with pytest.raises(NotApplicable, match="shorter side is 140 pixels; a patch has 256"):
        patches(image, PatchParameters(patch=256))


@pytest.mark.parametrize("cls", [Fid, Kid])
def test_the_bundled_network_and_what_it_is_called(cls):
    parameters = cls.Parameters(patch=64)
    assert cls.default_label(parameters, "bundled") == f"{cls.short}-vit-tiny-imagenet-patch64"
    metric = cls(parameters.model_copy(update={"shrink": True}) if cls is Fid else parameters, Context())
    found = [finished(metric, quality) for quality in (100, 3)]
    values = [each[cls.name] for each in found]
    assert values == sorted(values)
    assert all(each["low"] <= each[cls.name] <= each["high"] for each in found)
    assert found[0]["samples"] == 4 * (9 + 4)


def test_its_own_name_is_for_inception_alone():
    assert Fid.default_label(FrechetParameters(), "hub") == "fid"
    assert Fid.default_label(FrechetParameters(patch=256), "hub") == "fid-patch256"
    assert Fid.default_label(FrechetParameters(model="inception"), "bundled") == "fid"
    assert Fid.default_label(FrechetParameters(patch=64, shrink=True), "hub") == "fid-patch64-shrunk"
    assert Kid.default_label(DistanceParameters(), "hub") == "kid"
    assert FdDino.default_label(FrechetParameters(), "hub") == "fd-timm-vit_large_patch14_dinov2-lvd142m"
    assert FdClip.default_label(FrechetParameters(), "hub") == "fd-open_clip-ViT-B-32-laion2b_s34b_b79k"
    with pytest.raises(ModelError, match="fd-dino: no network of its kind is bundled"):
        FdDino.default_label(FrechetParameters(), "bundled")
    with pytest.raises(ModelError, match="no installed plugin has an image embedding `nothing`"):
        Fid.weights(FrechetParameters(model="nothing"), "hub")
    with pytest.raises(ModelError, match="timm has no published model"):
        Fid.weights(FrechetParameters(model="timm/vit_bass"), "hub")


def test_too_few_samples():
    with pytest.raises(NotApplicable, match=r"52 samples of 192 features: their covariance is singular"):
        finished(Fid(FrechetParameters(patch=64), Context()), 20)
    one = np.zeros((1, 8), np.float32)
    with pytest.raises(NotApplicable, match="1 sample; a distribution needs at least 2"):
        Kid(DistanceParameters(), Context()).finish([one], [one])
    # One image: its patches tell nothing of others, so that there is no interval.
    several = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    found = Fid(FrechetParameters(), Context()).finish([several], [several + 1])
    assert found["fid"] == pytest.approx(8, rel=1e-5)
    assert found["low"].reason == "1 image; an interval needs 3"


@pytest.mark.parametrize(("cls", "parameters"), [(Fid, {"shrink": True}), (Kid, {})])
def test_keeps_the_contract_of_distribution_metrics(cls, parameters):
    images = [Image(pixels[:128, :128]) for pixels in PHOTOGRAPHS]
    check_distribution_metric(cls, parameters={"patch": 64, **parameters}, images=images)


def test_in_a_run(tmp_path):
    (tmp_path / "photos").mkdir()
    for index, pixels in enumerate(PHOTOGRAPHS):
        PillowImage.fromarray(pixels).save(tmp_path / "photos" / f"{index}.png")
    suite = {
        "name": "distances",
        "images": [{"folder": str(tmp_path / "photos")}],
        "codecs": {"jpeg": {"quality": [5, 95]}},
        "metrics": [{"fid": {"patch": 64, "shrink": True}}, {"whole": {"metric": "fid"}}],
    }
    entries = qbench.run(suite, output=tmp_path / "run").point_entries
    worse, better = (
        entries[f"jpeg:quality={quality}"]["fd-vit-tiny-imagenet-patch64-shrunk"].value for quality in (5, 95)
    )
    assert 0 < better < worse
    ends = [entries["jpeg:quality=5"][f"fd-vit-tiny-imagenet-patch64-shrunk.{end}"].value for end in ("low", "high")]
    assert ends[0] < worse < ends[1]
    assert "4 samples of 192 features" in entries["jpeg:quality=5"]["whole"].reason


# -- Inception ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def inception_file(tmp_path_factory):
    """Random weights in the form in which Inception's are published, and as they are kept."""
    folder = tmp_path_factory.mktemp("inception")
    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(feature_extractor_inceptionv3, "load_state_dict_from_url", lambda *a, **k: {})
        patch.setattr(torch.nn.Module, "load_state_dict", lambda *a, **k: None)
        network = feature_extractor_inceptionv3.FeatureExtractorInceptionV3("random", ["2048", "logits_unbiased"])
    torch.save(network.state_dict(), folder / "published.pth")
    tensors_to_safetensors(folder / "published.pth", folder / "kept.safetensors")
    return network, folder / "kept.safetensors"


@pytest.mark.slow
def test_inception_is_torch_fidelitys(inception_file, monkeypatch):
    plain, file = inception_file
    monkeypatch.setattr(inception, "find_weights", lambda weights: file)
    images = [astronaut()[:99, :120], coffee()[:50, :40]]
    expected = [plain(torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None]) for pixels in images]
    embed = inception.embedding().load(Context(profile="hub"))
    found = embed([Image(pixels) for pixels in images])
    assert found == pytest.approx(np.concatenate([each[0] for each in expected]), rel=1e-4, abs=1e-5)
    metric = InceptionScore(PatchParameters(patch=128), Context(profile="hub"))
    found = finished(metric, 10)
    assert found["samples"] == 4 * 2
    assert found["low"] <= found["inception-score"] <= found["high"]
    with pytest.raises(ModelError, match="no Inception is bundled; use profile hub"):
        InceptionScore.weights(PatchParameters(), "bundled")
    monkeypatch.setattr(inception, "find_weights", lambda weights: _other(file))
    with pytest.raises(ModelError, match="does not fit Inception-v3"):
        inception.embedding().load(Context(profile="hub"))


def _other(file):
    from safetensors.torch import save_file

    made = file.with_name("other.safetensors")
    save_file({"weight": torch.zeros(3)}, made)
    return made


def test_the_inception_score_is_torch_fidelitys():
    from torch_fidelity.metric_isc import isc_features_to_metric

    logits = np.random.default_rng(0).normal(0, 3, (500, 30))
    theirs = isc_features_to_metric(torch.from_numpy(logits), splits=1, shuffle=False)
    assert inception_score(logits) == pytest.approx(theirs["inception_score_mean"], rel=1e-9)
    same = np.tile(logits[:1], (10, 1))
    assert inception_score(same) == pytest.approx(1)


# -- the thesis's -------------------------------------------------------------------------------------------------


def test_the_thesiss_distance_is_scipys():
    import scipy.linalg

    x, y = astronaut(), jpeg(astronaut(), 20)
    rows = [np.dstack([pixels, np.full((512, 512), 255)]).reshape(2048, 512).astype(float) for pixels in (x, y)]
    means = [each.mean(axis=0) for each in rows]
    covariances = [np.cov(each, rowvar=False) for each in rows]
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    expected = np.sum((means[0] - means[1]) ** 2) + np.trace(covariances[0] + covariances[1] - 2 * root)
    metric = PixelFrechet(PixelFrechet.Parameters(), Context())
    reference = Reference("a", Image(x))
    found = metric.score(Candidates(reference, [Image(y), Image(x)], [1, 1]), metric.prepare(reference))
    assert found[0]["pixel-frechet"] == pytest.approx(expected, rel=1e-3)
    assert found[1]["pixel-frechet"] == 0


def test_images_that_cannot_be_cut():
    metric = PixelFrechet(PixelFrechet.Parameters(), Context())
    for size in ((100, 99), (128, 1)):
        with pytest.raises(NotApplicable, match=r"can't be cut into at least 2 rows of 512 values"):
            metric.prepare(Reference("a", Image(sample_pixels(*size))))
    check_metric(PixelFrechet, images={"small": Image(sample_pixels(128, 20)), "large": Image(sample_pixels(512, 256))})


def test_nothing_is_unpickled(tmp_path):
    class Evil:
        def __reduce__(self):
            return (print, ("run",))

    buffer = io.BytesIO()
    torch.save({"weight": Evil()}, buffer)
    (tmp_path / "evil.pth").write_bytes(buffer.getvalue())
    with pytest.raises(Exception, match=r"[Ww]eights"):
        tensors_to_safetensors(tmp_path / "evil.pth", tmp_path / "made.safetensors")


def test_the_originals_root_is_taken_once_and_forgotten_where_there_is_no_room(monkeypatch):
    calls, eigh = [], torch.linalg.eigh
    monkeypatch.setattr(torch.linalg, "eigh", lambda matrix: calls.append(1) or eigh(matrix))
    monkeypatch.setattr(gaussians, "_roots", {})
    rng = np.random.default_rng(5)
    original, *made = (rng.normal(size=(40, 6)) for _ in range(4))
    found = [gaussians.frechet_distance(original, each) for each in made]
    assert len(calls) == 1
    monkeypatch.setattr(gaussians, "MOST_BYTES", 0)
    assert [gaussians.frechet_distance(original, each) for each in made] == found
    assert gaussians.frechet_distance(made[0], original) == pytest.approx(found[0])
    assert len(gaussians._roots) == 1
    assert len(calls) == 2
