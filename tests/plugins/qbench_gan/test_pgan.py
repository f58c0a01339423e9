"""The thesis's generator: against a plain reading of its description, on random tensors of its form."""

from __future__ import annotations

import collections
import itertools
import sys
import types

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional

from qbench.plugin import ModelError
from qbench_gan.pgan import PUBLISHED, CelebaHq512, architecture, build, convert

LATENT, WIDTHS = 8, [8, 8, 4]


def tensors(seed=0):
    """Random tensors with the published names, for images of 16×16."""
    draw = torch.Generator().manual_seed(seed)
    shapes = {"formatLayer": (16 * WIDTHS[0], LATENT), "groupScale0.0": (WIDTHS[0], WIDTHS[0], 3, 3)}
    for scale, (before, after) in enumerate(itertools.pairwise(WIDTHS)):
        shapes[f"scaleLayers.{scale}.0"] = (after, before, 3, 3)
        shapes[f"scaleLayers.{scale}.1"] = (after, after, 3, 3)
    for scale, width in enumerate(WIDTHS):
        shapes[f"toRGBLayers.{scale}"] = (3, width, 1, 1)
    made = collections.OrderedDict()
    for name, shape in shapes.items():
        made[f"{name}.module.weight"] = torch.randn(shape, generator=draw)
        made[f"{name}.module.bias"] = torch.randn(shape[:1], generator=draw)
    return made


def plainly(weights, latent):
    """The forward pass written out, step by step."""

    def normal(values):
        return values / torch.sqrt((values**2).mean(dim=1, keepdim=True) + 1e-8)

    def layer(name, values, function, **options):
        weight, bias = weights[f"{name}.module.weight"], weights[f"{name}.module.bias"]
        return function(values, weight, bias, **options) * np.sqrt(2 / weight[0].numel())

    values = functional.leaky_relu(layer("formatLayer", normal(latent), functional.linear), 0.2)
    values = normal(values.reshape(-1, WIDTHS[0], 4, 4))
    values = normal(functional.leaky_relu(layer("groupScale0.0", values, functional.conv2d, padding=1), 0.2))
    for scale in range(len(WIDTHS) - 1):
        values = values.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        for index in range(2):
            values = layer(f"scaleLayers.{scale}.{index}", values, functional.conv2d, padding=1)
            values = normal(functional.leaky_relu(values, 0.2))
    return layer(f"toRGBLayers.{len(WIDTHS) - 1}", values, functional.conv2d)


def test_is_what_its_description_says():
    weights = tensors()
    latents = torch.randn(3, LATENT, generator=torch.Generator().manual_seed(1)).double()
    made = build(weights).double()(latents)
    assert made.shape == (3, 3, 16, 16)
    exactly = plainly({name: tensor.double() for name, tensor in weights.items()}, latents)
    torch.testing.assert_close(made, exactly, rtol=1e-9, atol=1e-9)


def test_the_architecture_is_read_off_the_tensors():
    assert architecture(tensors()) == (LATENT, WIDTHS)
    without = tensors()
    del without["toRGBLayers.0.module.weight"], without["toRGBLayers.0.module.bias"]
    build(without)  # the colours of smaller scales are of no use any more
    del without["groupScale0.0.module.bias"]
    with pytest.raises(ModelError, match=r"lacks groupScale0\.0\.module\.bias"):
        build(without)
    with pytest.raises(ModelError, match="not the tensors of a progressive GAN's generator"):
        architecture({"a": torch.zeros(1)})


@pytest.fixture
def checkpoint(tmp_path):
    """A checkpoint pickled as the published one is: with an object of a class that lives in their code."""
    module = types.ModuleType("models.utils.config")

    class BaseConfig:
        pass

    BaseConfig.__module__, BaseConfig.__qualname__ = "models.utils.config", "BaseConfig"
    module.BaseConfig = BaseConfig
    names = ["models", "models.utils", "models.utils.config"]
    sys.modules.update({name: module if name == names[-1] else types.ModuleType(name) for name in names})
    config = BaseConfig()
    config.depth = 3
    path = tmp_path / "published.pth"
    try:
        torch.save({"config": config, "netG": tensors(1), "netD": {}, "avgG": tensors(0)}, path)
    finally:
        for name in names:
            del sys.modules[name]
    return path


def test_converts_a_published_checkpoint_without_running_its_code(checkpoint, tmp_path):
    convert(checkpoint, tmp_path / "w.safetensors")
    found = load_file(tmp_path / "w.safetensors")
    assert {name: tensor.shape for name, tensor in found.items()} == {n: t.shape for n, t in tensors().items()}
    assert torch.equal(found["formatLayer.module.weight"], tensors(0)["formatLayer.module.weight"])  # the smoothed one


def test_refuses_other_checkpoints(tmp_path):
    class Evil:
        def __reduce__(self):
            return (print, ("executed",))

    torch.save({"avgG": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(Exception, match="Weights only load failed"):
        convert(tmp_path / "evil.pth", tmp_path / "w.safetensors")
    torch.save({"netG": tensors()}, tmp_path / "other.pth")
    with pytest.raises(ModelError, match="no smoothed generator"):
        convert(tmp_path / "other.pth", tmp_path / "w.safetensors")
    assert not (tmp_path / "w.safetensors").exists()


def test_published_generators_are_registered_with_what_is_known_of_their_files():
    for generator in PUBLISHED:
        assert generator.file.problem() == ""
        assert len(generator.file.sha256) == 8
    assert CelebaHq512.file.source.endswith("/celebaHQ16_december_s7_i96000-9c72988c.pth")
    with pytest.raises(ModelError, match="qbench models pull pgan-celebahq-512"):
        CelebaHq512().network("cpu")
