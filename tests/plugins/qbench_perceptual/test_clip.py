"""CLIP similarity, on a model small enough to be made here."""

from __future__ import annotations

import json

import numpy as np
import open_clip
import pytest
import torch
from conftest import sample_pixels
from open_clip.model import CLIP
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image as PillowImage
from safetensors.torch import save_file

import qbench
from qbench.plugin import Candidates, Context, Image, ModelError, Reference
from qbench.registry.registry import default_registry
from qbench.testing import check_metric, check_metric_at_edges
from qbench_perceptual.clip import HUB_MODEL, ClipParameters, ClipSimilarity, chosen_weights

MODEL = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 8, "vocab_size": 32, "width": 16, "heads": 2, "layers": 1},
}
PREPARED = {"mean": [0.5, 0.4, 0.3], "std": [0.3, 0.3, 0.3], "size": [32, 32], "interpolation": "bicubic"}
ORIGINAL = sample_pixels(96, 64)
WORSE = [np.asarray(PillowImage.fromarray(ORIGINAL).reduce(n).resize((96, 64))) for n in (2, 8)]


def network():
    torch.manual_seed(1)
    return CLIP(**MODEL).eval()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clip") / "tiny"
    folder.mkdir()
    described = {"model_cfg": MODEL, "preprocess_cfg": {**PREPARED, "resize_mode": "shortest"}}
    (folder / "open_clip_config.json").write_text(json.dumps(described))
    save_file(network().state_dict(), folder / "open_clip_model.safetensors")
    return folder


def metric(profile="bundled", **parameters):
    return ClipSimilarity(ClipParameters(**parameters), Context(profile=profile))


def test_is_the_cosine_of_plain_open_clip_code(checkpoint):
    plain = network()
    transform = image_transform_v2(PreprocessCfg(**PREPARED), is_train=False)
    with torch.inference_mode():
        own, *others = (
            plain.encode_image(transform(PillowImage.fromarray(pixels))[None])[0] for pixels in (ORIGINAL, *WORSE)
        )
    made = metric(model=str(checkpoint))
    reference = Reference("a", Image(ORIGINAL))
    results = made.score(Candidates(reference, [Image(each) for each in WORSE], [1, 1]), made.prepare(reference))
    for result, other in zip(results, others, strict=True):
        assert result["clip-similarity"] == pytest.approx(float(torch.cosine_similarity(own, other, dim=0)), abs=1e-6)
    assert results[1]["clip-similarity"] < results[0]["clip-similarity"] < 1


def test_keeps_the_contract_and_identity_is_exactly_one(checkpoint):
    check_metric(ClipSimilarity, parameters={"model": str(checkpoint)})
    check_metric_at_edges(ClipSimilarity, parameters={"model": str(checkpoint)})
    made = metric(model=str(checkpoint))
    reference = Reference("a", Image(ORIGINAL))
    (result,) = made.score(Candidates(reference, [Image(ORIGINAL.copy())], [1]), made.prepare(reference))
    assert result == {"clip-similarity": 1.0}


def test_the_column_names_the_model(checkpoint, photos):
    assert ClipSimilarity.default_label(ClipParameters(), "hub") == "clip-similarity-ViT-B-32-laion2b_s34b_b79k"
    suite = {
        "images": [{"folder": str(photos), "limit": 1}],
        "codecs": {"jpeg": None},
        "metrics": {
            "clip-similarity": {"model": str(checkpoint)},
            "own": {"metric": "clip-similarity", "model": str(checkpoint)},
        },
    }
    done = qbench.run(suite, output="run", cache=False)
    assert not done.failures
    _, named, own = done.columns
    assert named.startswith("clip-similarity-tiny-")
    assert own == "own"


def test_the_hub_has_one_and_the_bundled_profile_none():
    weights = chosen_weights(None, "hub")
    assert weights.source == "hf:laion/CLIP-ViT-B-32-laion2B-s34B-b79K/open_clip_model.safetensors"
    assert default_registry().model(f"open_clip/{HUB_MODEL}") == weights
    with pytest.raises(ModelError, match=r"no CLIP model is bundled .*; use profile hub, give model: ViT-B-32/laion2b"):
        metric()
    with pytest.raises(ModelError, match="qbench models pull open_clip/ViT-B-32/laion2b_s34b_b79k"):
        metric("hub").prepare(Reference("a", Image(ORIGINAL)))


def test_a_published_file_is_loaded_with_the_settings_of_its_tag(home, monkeypatch):
    """The hub profile's own path, on a small model that open_clip is told of."""
    tag = {"hf_hub": "toys/clip/", "mean": (0.5, 0.4, 0.3), "std": (0.3, 0.3, 0.3), "interpolation": "bicubic"}
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "toy", MODEL)
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "toy", {"tag": tag})
    folder = home / "models" / "open_clip" / "toy" / "tag"
    folder.mkdir(parents=True)
    save_file(network().state_dict(), folder / "x.safetensors")
    local = qbench.plugin.Weights.local(folder / "x.safetensors", "")
    (folder / "x.safetensors").rename(folder / f"{local.sha256[:16]}.safetensors")
    (folder / "pin.json").write_text(json.dumps({"sha256": local.sha256, "size": local.size}))
    embedding = metric("hub", model="toy/tag").prepare(Reference("a", Image(ORIGINAL))).view
    with torch.inference_mode():
        transform = image_transform_v2(PreprocessCfg(**PREPARED), is_train=False)
        expected = network().encode_image(transform(PillowImage.fromarray(ORIGINAL))[None])[0]
    assert np.allclose(embedding, expected / expected.norm(), atol=1e-6)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("ViT-B-32/laion2b", r"neither a folder, nor MODEL/TAG .*did you mean `ViT-B-32/laion2b_e16`"),
        ("empty", r"empty: a CLIP model's folder holds open_clip_config\.json and open_clip_model\.safetensors"),
        ("odd", "odd: a CLIP model's folder holds"),
    ],
)
def test_models_that_are_none(model, message, tmp_path):
    for name in ("empty", "odd"):
        (tmp_path / "work" / name).mkdir()
    (tmp_path / "work" / "odd" / "open_clip_config.json").write_text("[]")
    with pytest.raises(ModelError, match=message):
        metric(model=model)


def test_weights_that_do_not_fit(checkpoint, tmp_path):
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "open_clip_config.json").write_bytes((checkpoint / "open_clip_config.json").read_bytes())
    save_file({"positional_embedding": torch.zeros(3, 3)}, folder / "open_clip_model.safetensors")
    with pytest.raises(ModelError, match="open_clip can't load other-"):
        metric(model=str(folder)).prepare(Reference("a", Image(ORIGINAL)))
