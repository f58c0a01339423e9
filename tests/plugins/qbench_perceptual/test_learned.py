"""LPIPS and DISTS with random networks, against the packages that have their own way to the same numbers."""

from __future__ import annotations

import lpips
import numpy as np
import piq.perceptual
import pytest
import torch
import torchvision
from image_pairs import PAIRS, tensors
from safetensors.torch import save_file

from qbench.plugin import Candidates, Context, Image, ModelError, NotApplicable, Reference
from qbench.testing import check_metric, check_metric_at_edges
from qbench_perceptual import learned
from qbench_perceptual.conversion import tensors_to_safetensors
from qbench_perceptual.learned import Dists, DistsParameters, Lpips, LpipsParameters

PAIR = ("rocket, darker", "odd crop, JPEG 50")
MAKERS = {
    "alex": torchvision.models.alexnet,
    "vgg": torchvision.models.vgg16,
    "squeeze": torchvision.models.squeezenet1_1,
}


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """Random networks, and the files that they would be fetched as."""
    folder = tmp_path_factory.mktemp("learned")
    made = {}
    for name, maker in MAKERS.items():
        torch.manual_seed(3)
        network = maker(weights=None).eval()
        torch.save({key: tensor for key, tensor in network.state_dict().items() if "features" in key}, folder / "a.pth")
        tensors_to_safetensors(folder / "a.pth", folder / f"{name}.safetensors")
        made[name] = (network, folder / f"{name}.safetensors")
    rng = torch.Generator().manual_seed(0)
    weights = {name: torch.rand(1, 1475, 1, 1, generator=rng) for name in ("alpha", "beta")}
    total = sum(tensor.sum() for tensor in weights.values())
    weights = {name: tensor / total for name, tensor in weights.items()}
    save_file(weights, folder / "dists.safetensors")
    made["dists"] = (weights, folder / "dists.safetensors")
    return made


def ours(monkeypatch, networks, metric_class, parameters, x, y):
    files = {learned.DISTS_WEIGHTS.name: networks["dists"][1]}
    files |= {weights.name: networks[name][1] for name, weights in learned.BACKBONES.items()}
    monkeypatch.setattr(learned, "find_weights", lambda weights: files[weights.name])
    metric = metric_class(parameters, Context(profile="hub"))
    reference = Reference("a", Image(x))
    metric.prepare(reference)
    return metric.score(Candidates(reference, [Image(y), Image(x)], [1, 1]), None)


@pytest.mark.parametrize("net", ["alex", "squeeze", pytest.param("vgg", marks=pytest.mark.slow)])
def test_lpips_is_its_authors(net, networks, monkeypatch):
    network = networks[net][0]
    for maker in ("alexnet", "vgg16", "squeezenet1_1"):
        monkeypatch.setattr(lpips.pretrained_networks.tv, maker, lambda **_: network)
    theirs = lpips.LPIPS(net=net, verbose=False)
    monkeypatch.undo()
    for pair in PAIR:
        x, y = PAIRS[pair]
        found = ours(monkeypatch, networks, Lpips, LpipsParameters(net=net), x, y)
        scaled = [tensor / 255 for tensor in tensors(y, x, dtype=torch.float32)]
        with torch.inference_mode():
            expected = float(theirs(*scaled, normalize=True))
        assert found[0]["lpips"] == pytest.approx(expected, rel=1e-4)
        assert found[1] == {"lpips": 0}
    assert Lpips.default_label(LpipsParameters(net=net), "hub") == f"lpips-{net}"


@pytest.mark.slow
def test_dists_is_piqs(networks, monkeypatch):
    network, weights = networks["vgg"][0], networks["dists"][0]
    with monkeypatch.context() as patch:
        patch.setattr(torch.hub, "load_state_dict_from_url", lambda *a, **k: weights)
        # It changes the network's pooling in place.
        patch.setattr(piq.perceptual, "vgg16", lambda **_: torchvision.models.vgg16(weights=None))
        theirs = piq.DISTS()
    own = {
        name.removeprefix("features."): tensor
        for name, tensor in network.state_dict().items()
        if name.startswith("features.")
    }
    theirs.model.load_state_dict(own, strict=False)
    x, y = (pixels[:250, :240] for pixels in PAIRS["astronaut, JPEG 30"])  # not larger than either would shrink
    found = ours(monkeypatch, networks, Dists, DistsParameters(), x, y)
    scaled = [tensor / 255 for tensor in tensors(y, x, dtype=torch.float32)]
    with torch.inference_mode():
        expected = float(theirs(*scaled))
    assert found[0]["dists"] == pytest.approx(expected, abs=1e-5)
    assert found[1] == {"dists": 0}
    larger = [pixels[:390, :390] for pixels in PAIRS["astronaut, JPEG 30"]]
    large = ours(monkeypatch, networks, Dists, DistsParameters(), *larger)
    whole = ours(monkeypatch, networks, Dists, DistsParameters(resize=False), *larger)
    assert large[0]["dists"] != whole[0]["dists"]


@pytest.mark.parametrize("metric_class", [Lpips, Dists])
def test_only_with_weights_that_are_fetched(metric_class, networks, monkeypatch):
    with pytest.raises(ModelError, match="no network trained on ImageNet is bundled; use profile hub"):
        metric_class(metric_class.Parameters(), Context())
    with pytest.raises(NotApplicable, match="shorter side is 31 pixels"):
        metric_class(metric_class.Parameters(), Context(profile="hub")).prepare(
            Reference("a", Image(np.zeros((31, 90, 3), np.uint8)))
        )
    monkeypatch.setattr(learned, "find_weights", lambda weights: networks["dists"][1])
    x, y = PAIRS["odd crop, JPEG 50"]
    with pytest.raises(ModelError, match="does not hold the network"):
        metric_class(metric_class.Parameters(), Context(profile="hub")).score(
            Candidates(Reference("a", Image(x)), [Image(y)], [1]), None
        )


@pytest.mark.slow
def test_keeps_the_contract(networks, monkeypatch):
    monkeypatch.setattr(learned, "find_weights", lambda weights: networks["alex"][1])
    monkeypatch.setattr(learned, "needs_hub", lambda name, profile: None)
    check_metric(Lpips)
    check_metric_at_edges(Lpips)
