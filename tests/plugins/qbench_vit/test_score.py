"""The ViT-Score: against plain timm code, on models small enough to be made here."""

from __future__ import annotations

import json
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import timm
import torch
from conftest import sample_pixels
from PIL import Image as PillowImage
from safetensors.torch import load_file, save_file
from timm.data import ImageNetInfo, create_transform, resolve_model_data_config
from timm.models import save_for_hf

import qbench
from qbench.models.download import pull
from qbench.models.resolve import verify
from qbench.plugin import Candidates, Context, Image, ModelError, Reference, find_weights
from qbench.registry.registry import default_registry
from qbench.testing import check_metric
from qbench_vit import agreement
from qbench_vit.models import BUNDLED, PUBLISHED
from qbench_vit.score import VitScore, VitScoreParameters

SMALL = {"img_size": 32, "patch_size": 8, "embed_dim": 48, "depth": 2, "num_heads": 3}


def network(labels=1000, **changes):
    """A network that answers strongly: its head is scaled up, as random weights alone say nearly the same of all."""
    torch.manual_seed(3)
    made = timm.create_model("vit_tiny_patch16_224", num_classes=labels, **{**SMALL, **changes})
    with torch.no_grad():
        made.head.weight.mul_(200)
    return made.eval()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A classifier of 1,000 labels as timm saves it."""
    folder = tmp_path_factory.mktemp("models") / "small"
    save_for_hf(network(), folder, model_args=SMALL, safe_serialization=True)
    return folder


def metric(profile="bundled", notice=None, **parameters):
    context = Context(profile=profile) if notice is None else Context(profile=profile, notice=notice)
    return VitScore(VitScoreParameters.model_validate(parameters), context)


def score(made, original, *others):
    reference = Reference("a", Image(original))
    return list(
        made.score(Candidates(reference, [Image(each) for each in others], [1] * len(others)), made.prepare(reference))
    )


ORIGINAL = sample_pixels(96, 64)
WORSE = [np.asarray(PillowImage.fromarray(ORIGINAL).reduce(n).resize((96, 64))) for n in (2, 4, 8, 16)]


@pytest.mark.parametrize("preprocessing", ["model", "thesis"])
def test_the_whole_path_is_that_of_plain_timm_code(checkpoint, preprocessing):
    plain = network()
    config = resolve_model_data_config(timm.create_model(f"local-dir:{checkpoint}", pretrained=False))

    def prepared(pixels):
        if preprocessing == "model":
            return create_transform(**config)(PillowImage.fromarray(pixels))[None]
        small = np.asarray(PillowImage.fromarray(pixels).resize((32, 32), PillowImage.Resampling.BILINEAR))
        return torch.from_numpy((small / 255 - 0.5) / 0.5).permute(2, 0, 1)[None].float()

    with torch.inference_mode():
        distributions = [plain(prepared(pixels)).softmax(dim=1)[0] for pixels in (ORIGINAL, *WORSE)]
        features = [
            plain.forward_head(plain.forward_features(prepared(p)), pre_logits=True)[0] for p in (ORIGINAL, *WORSE)
        ]
    kept = set(distributions[0].topk(100).indices.tolist())
    results = score(metric(model=str(checkpoint), preprocessing=preprocessing), ORIGINAL, *WORSE)
    for result, distribution, feature in zip(results, distributions[1:], features[1:], strict=True):
        assert result["vit-score"] == len(kept & set(distribution.topk(100).indices.tolist())) / 100
        assert result["top1"] == float(distribution.argmax() == distributions[0].argmax())
        cosine = torch.cosine_similarity(features[0], feature, dim=0)
        assert result["cosine"] == pytest.approx(float(cosine), abs=1e-5)
    assert len({result["vit-score"] for result in results}) > 1  # the test can tell images apart


def test_identical_images_are_exactly_alike_and_are_not_looked_at_again(monkeypatch):
    made = metric()
    reference = Reference("a", Image(ORIGINAL))
    prepared = made.prepare(reference)
    monkeypatch.setattr(made.classifier, "look", None)
    (result,) = made.score(Candidates(reference, [Image(ORIGINAL.copy())], [1]), prepared)
    assert result == {"vit-score": 1.0, "weighted": 1.0, "top1": 1.0, "jsd": 0.0, "cosine": 1.0}


def test_the_bundled_classifier_keeps_the_contract_and_likes_worse_images_less():
    check_metric(VitScore)
    results = score(metric(), ORIGINAL, *WORSE)
    for name, sign in (("weighted", -1), ("jsd", 1), ("cosine", -1)):
        values = [sign * result[name] for result in results]
        assert values[0] < values[2], name


def test_the_bundled_weights_are_as_registered():
    assert BUNDLED.problem() == ""
    assert verify(BUNDLED) == find_weights(BUNDLED)
    assert BUNDLED.size < 12_000_000
    assert len(metric().classifier.labels) == BUNDLED.metadata["labels"] == 200
    registered = default_registry().models
    assert registered[BUNDLED.name] is BUNDLED
    assert registered[PUBLISHED.name] is PUBLISHED


def test_k_is_a_tenth_of_the_labels_unless_given(checkpoint):
    reference = Reference("a", Image(ORIGINAL))
    assert metric().prepare(reference).view.k == 20
    assert metric(model=str(checkpoint)).prepare(reference).view.k == 100
    assert metric(k=7).prepare(reference).view.top.shape == (7,)
    assert score(metric(k=200), ORIGINAL, WORSE[-1])[0]["vit-score"] == 1.0
    with pytest.raises(ModelError, match="k is 201, but vit-tiny-imagenet has 200 labels; accepted: 1 to 200"):
        metric(k=201)


def test_bfloat16_is_near_float32(checkpoint):
    exact = score(metric(model=str(checkpoint)), ORIGINAL, *WORSE)
    near = score(metric(model=str(checkpoint), precision="bfloat16"), ORIGINAL, *WORSE)
    assert exact != near
    for a, b in zip(exact, near, strict=True):
        assert b["vit-score"] == pytest.approx(a["vit-score"], abs=0.1)
        assert b["cosine"] == pytest.approx(a["cosine"], abs=0.02)


def test_a_score_does_not_depend_on_the_batch():
    made = metric()
    together = score(made, ORIGINAL, *WORSE)
    assert together == [score(made, ORIGINAL, worse)[0] for worse in WORSE]


def test_explains_with_both_probabilities(checkpoint):
    made = metric(model=str(checkpoint), k=10)
    reference = Reference("a", Image(ORIGINAL))
    prepared = made.prepare(reference)
    candidate = Candidates(reference, [Image(WORSE[1])], [1])
    explanation = made.explain(candidate, prepared)
    (result,) = made.score(candidate, prepared)
    shared, missing, new = explanation.tables
    assert [table.title for table in explanation.tables] == ["shared labels", "missing labels", "new labels"]
    assert len(shared.rows) == round(10 * result["vit-score"])
    assert len(missing.rows) == len(new.rows) == 10 - len(shared.rows)
    names = [ImageNetInfo().index_to_description(index) for index in prepared.view.top]
    assert [row[0] for row in shared.rows] == [name for name in names if name in {row[0] for row in shared.rows}]
    p = agreement.probabilities(prepared.view.logits)
    label, original, reconstruction, difference = shared.rows[0]
    assert original == p[prepared.view.top[names.index(label)]]
    assert difference == reconstruction - original
    assert explanation.facts["K"] == "10 of 1000 labels"
    assert explanation.facts["share of top-K labels in common"] == result["vit-score"]


def test_a_published_model_is_pulled_and_loaded_by_timms_name(tmp_path, monkeypatch):
    """The hub profile's own path, on timm's test model served as the hub serves it."""
    saved = timm.create_model("test_vit").eval()
    folder = tmp_path / "hub" / "timm" / "test_vit.r160_in1k" / "resolve" / "main"
    folder.mkdir(parents=True)
    save_file(saved.state_dict(), folder / "model.safetensors")
    digest = qbench.plugin.Weights.local(folder / "model.safetensors", "").sha256

    class Hub(SimpleHTTPRequestHandler):
        def end_headers(self):
            self.send_header("X-Linked-Etag", f'"{digest}"')
            self.send_header("X-Linked-Size", str((folder / "model.safetensors").stat().st_size))
            super().end_headers()

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Hub, directory=tmp_path / "hub"))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    try:
        made = metric(profile="hub", model="test_vit.r160_in1k")
        with pytest.raises(ModelError, match=r"qbench models pull timm/test_vit\.r160_in1k"):
            made.prepare(Reference("a", Image(ORIGINAL)))
        pull(default_registry().model("timm/test_vit.r160_in1k"))
    finally:
        server.shutdown()
        server.server_close()
    view = made.prepare(Reference("a", Image(ORIGINAL))).view
    transform = create_transform(**resolve_model_data_config(saved))
    with torch.inference_mode():
        expected = saved(transform(PillowImage.fromarray(ORIGINAL))[None])[0]
    assert np.allclose(view.logits, expected.numpy(), atol=1e-5)
    assert made.classifier.labels[0] == "tench, Tinca tinca"


def test_a_damaged_published_file_does_not_fit(tmp_path, home):
    weights = default_registry().model("timm/test_vit.r160_in1k")
    folder = home / "models" / weights.name
    folder.mkdir(parents=True)
    save_file({"head.bias": torch.zeros(3)}, folder / "x.safetensors")
    local = qbench.plugin.Weights.local(folder / "x.safetensors", "")
    (folder / "x.safetensors").rename(folder / f"{local.sha256[:16]}.safetensors")
    (folder / "pin.json").write_text(json.dumps({"sha256": local.sha256, "size": local.size}))
    with pytest.raises(ModelError, match="does not fit timm's test_vit"):
        metric(model="test_vit").prepare(Reference("a", Image(ORIGINAL)))


def test_the_profile_decides_the_model_unless_one_is_named(checkpoint):
    def chosen(profile, **parameters):
        return VitScore.weights(VitScoreParameters(**parameters), profile)[0]

    assert chosen("bundled") is BUNDLED
    assert chosen("hub") is PUBLISHED
    assert chosen("hub", model="vit-tiny-imagenet") is BUNDLED
    assert chosen("bundled", model="vit_base_patch16_384.orig_in21k_ft_in1k") is PUBLISHED
    assert chosen("bundled", model=PUBLISHED.name) is PUBLISHED
    assert chosen("bundled", model="resnet50").source == "hf:timm/resnet50.a1_in1k/model.safetensors"
    assert chosen("bundled", model="vit_base_patch16_384").metadata["labels"] == 1000
    own = chosen("bundled", model=str(checkpoint))
    assert own.profile == "local"
    assert own.name.startswith("small-")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("resnet5o", r"timm has no published model `resnet5o`; did you mean `resnet50`"),
        ("vit_small_patch14_dinov2.lvd142m", "has no labels: it gives features only; choose a classifier"),
        ("./nowhere/model", r"no model's folder or file \./nowhere/model"),
        ("nowhere.safetensors", r"nowhere\.safetensors: not a file that `qbench train vit` wrote .*No such file"),
        ("empty", r"a model's folder holds config\.json and model\.safetensors"),
        ("odd", r"odd/config\.json: not a model's description as timm saves it"),
        ("text.safetensors", r"text\.safetensors: not a file that `qbench train vit` wrote"),
        ("other.safetensors", r"other\.safetensors: does not say what network it is for"),
    ],
)
def test_models_that_are_none(model, message, tmp_path):
    (tmp_path / "work" / "empty").mkdir()
    odd = tmp_path / "work" / "odd"
    odd.mkdir()
    (odd / "config.json").write_text("{}")
    (odd / "model.safetensors").write_bytes(b"x")
    (tmp_path / "work" / "text.safetensors").write_text("hello, hello, hello")
    save_file({"a": torch.zeros(1)}, tmp_path / "work" / "other.safetensors")
    with pytest.raises(ModelError, match=message):
        metric(model=model)


def test_weights_with_nan_are_named(checkpoint, tmp_path):
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "config.json").write_bytes((checkpoint / "config.json").read_bytes())
    state = load_file(checkpoint / "model.safetensors")
    state["head.bias"][5] = float("nan")
    save_file(state, folder / "model.safetensors")
    with pytest.raises(ModelError, match=r"broken-.* gave NaN or infinity in float32"):
        metric(model=str(folder)).prepare(Reference("a", Image(ORIGINAL)))


def test_weights_that_do_not_fit_their_description(checkpoint, tmp_path):
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "config.json").write_bytes((checkpoint / "config.json").read_bytes())
    save_file(network(labels=10).state_dict(), folder / "model.safetensors")
    with pytest.raises(ModelError, match="does not fit its network"):
        metric(model=str(folder)).prepare(Reference("a", Image(ORIGINAL)))


def test_names_of_labels_come_from_the_model_from_imagenet_or_are_numbers(tmp_path):
    folder = tmp_path / "three"
    save_for_hf(network(labels=3), folder, model_args=SMALL, safe_serialization=True)
    assert metric(model=str(folder)).classifier.labels == ("label 0", "label 1", "label 2")
    config = json.loads((folder / "config.json").read_text())
    config["label_names"] = ["cat", "dog", "owl"]
    (folder / "config.json").write_text(json.dumps(config))
    assert metric(model=str(folder)).classifier.labels == ("cat", "dog", "owl")


@pytest.mark.slow
def test_in_a_run_tables_name_the_model_and_scores_are_explained(photos, tmp_path):
    suite = {
        "name": "vit",
        "images": [{"folder": str(photos), "limit": 1}],
        "codecs": {"jpeg": {"quality": [5, 90]}},
        "metrics": ["vit-score"],
    }
    done = qbench.run(suite, output="run", cache=False)
    assert not done.failures
    assert list(done.columns) == [
        "bpp",
        "vit-score",
        *(f"vit-score.{name}" for name in ("weighted", "top1", "jsd", "cosine")),
    ]
    (planned,) = done.plan.metrics
    assert planned.models == {BUNDLED.name: BUNDLED.summary}
    assert planned.identity["weights"] == {BUNDLED.name: BUNDLED.sha256}
    assert json.loads((done.path / "provenance.json").read_text())["weights"] == {BUNDLED.name: BUNDLED.sha256}
    chosen, explanation = qbench.explain("run", "p0", "jpeg:quality=5")
    assert chosen.label == "vit-score"
    row = next(row for row in done.rows if row.point == "jpeg:quality=5")
    assert explanation.facts["share of top-K labels in common"] == row.entries["vit-score"].value


@pytest.mark.gpu
def test_the_same_on_a_gpu(checkpoint):
    on_gpu = VitScore(VitScoreParameters(model=str(checkpoint)), Context("cuda:0"))
    here = score(metric(model=str(checkpoint)), ORIGINAL, *WORSE)
    for a, b in zip(here, score(on_gpu, ORIGINAL, *WORSE), strict=True):
        assert b["vit-score"] == pytest.approx(a["vit-score"], abs=0.02)
        assert b["cosine"] == pytest.approx(a["cosine"], abs=1e-3)
