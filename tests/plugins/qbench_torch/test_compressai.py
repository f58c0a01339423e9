"""CompressAI's zoo; most of it needs an environment of its own, as CompressAI wants numpy below 2."""

from __future__ import annotations

import sys

import pytest
import torch
from conftest import sample_pixels

import qbench
from qbench.plugin import Context, Image, ModelError, PluginError
from qbench_torch.compressai import CompressAi, CompressAiParameters, convert, find

ABSENT = "compressai is not installed: pip install 'qbench[compressai]', in an environment of its own"


def test_that_it_is_not_installed_is_said_when_planning(photos, monkeypatch):
    monkeypatch.setitem(sys.modules, "compressai", None)
    monkeypatch.setitem(sys.modules, "compressai.zoo.image", None)
    suite = {"images": [{"folder": str(photos)}], "codecs": {"compressai": {}}, "metrics": ["bpp"]}
    with pytest.raises(PluginError, match=r"needs the package compressai, .* pip install 'qbench\[compressai\]'"):
        qbench.plan(suite)


@pytest.fixture
def zoo():
    return pytest.importorskip("compressai.zoo.image", reason=ABSENT)


def checkpoint(zoo, path, architecture="bmshj2018-factorized"):
    torch.manual_seed(0)
    model = zoo.model_architectures[architecture](8, 12)
    torch.save(model.state_dict(), path)
    return model


@pytest.mark.parametrize("architecture", ["bmshj2018-factorized", "mbt2018-mean"])
def test_codes_as_compressai_does(zoo, tmp_path, architecture):
    model = checkpoint(zoo, tmp_path / "small.pth", architecture)
    model.update(force=True)
    parameters = CompressAiParameters(architecture=architecture, checkpoint=str(tmp_path / "small.pth"))
    original = sample_pixels(128, 64)
    made = CompressAi(parameters, Context())
    bits = made.encode(Image(original))
    values = torch.from_numpy(original.copy()).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        theirs = model.eval().compress(values)
        back = model.decompress(theirs["strings"], theirs["shape"])["x_hat"]
    assert len(bits) == 12 + sum(len(kind[0]) for kind in theirs["strings"]) + 4 * (len(theirs["strings"]) - 1)
    expected = (255 * back[0].clamp(0, 1)).round().permute(1, 2, 0).numpy()
    assert (CompressAi(parameters, Context()).decode(bits) == expected).all()


def test_published_checkpoints_are_known_by_name(zoo):
    weights = find("compressai/mbt2018-mean-mse-3")
    assert weights.source.startswith("https://")
    assert weights.source.endswith(f"{weights.sha256}.pth.tar")
    assert not weights.problem()
    assert find("timm/something") is None
    with pytest.raises(ModelError, match="publishes no mbt2018-mean-mse-9"):
        find("compressai/mbt2018-mean-mse-9")


def test_checkpoints_are_converted_without_running_their_code(zoo, tmp_path):
    checkpoint(zoo, tmp_path / "small.pth")
    convert(tmp_path / "small.pth", tmp_path / "small.safetensors")
    parameters = CompressAiParameters(
        architecture="bmshj2018-factorized", checkpoint=str(tmp_path / "small.safetensors")
    )
    original = sample_pixels(64, 64)
    assert (
        CompressAi(parameters, Context()).decode(CompressAi(parameters, Context()).encode(Image(original))).shape
        == original.shape
    )
    torch.save(torch.nn.Linear(2, 2), tmp_path / "code.pth")
    with pytest.raises(ModelError, match="contains something other than tensors"):
        convert(tmp_path / "code.pth", tmp_path / "no.safetensors")
