"""Anybody's module with compress and decompress."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from conftest import sample_pixels
from pydantic import ValidationError
from safetensors.torch import save_file
from small_module import Halver

import qbench
from qbench.plugin import BitstreamError, Context, Image, ModelError, PluginError
from qbench.results.run import Status
from qbench.testing import check_codec
from qbench_torch import bitstream
from qbench_torch.codec import TorchCodec, TorchCodecParameters


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "halver.safetensors"
    save_file({"gain": torch.tensor(1.0)}, path)
    return path


def codec(checkpoint, factory="small_module:Halver", **parameters):
    settings = TorchCodecParameters(factory=factory, checkpoint=str(checkpoint), **parameters)
    return TorchCodec(settings, Context())


def test_keeps_the_contract_of_codecs(checkpoint):
    parameters = {"factory": "small_module:Halver", "checkpoint": str(checkpoint), "multiple": 8}
    check_codec(TorchCodec, parameters=parameters, mutations=60)


def test_arguments_and_weights_reach_the_module(checkpoint):
    original = sample_pixels(40, 40)
    one = codec(checkpoint, arguments={"factor": 1}, multiple=8)
    assert np.array_equal(one.decode(one.encode(Image(original))), original)
    coarse = codec(checkpoint, arguments={"factor": 4}, multiple=8)
    assert len(coarse.encode(Image(original))) < len(one.encode(Image(original))) / 8


@pytest.mark.parametrize("form", ["plain", "nested"])
def test_pickled_tensors_are_read_and_nothing_else_is(tmp_path, form):
    state = {"gain": torch.tensor(1.0)}
    torch.save(state if form == "plain" else {"state_dict": state, "epoch": 3}, tmp_path / "halver.pt")
    made = codec(tmp_path / "halver.pt", arguments={"factor": 1}, multiple=8)
    original = sample_pixels(16, 16)
    assert np.array_equal(made.decode(made.encode(Image(original))), original)
    torch.save(Halver(), tmp_path / "code.pt")
    with pytest.raises(ModelError, match="contains something other than tensors"):
        codec(tmp_path / "code.pt").encode(Image(original))


def test_what_does_not_fit_is_said(checkpoint, tmp_path):
    save_file({"other": torch.tensor(1.0)}, tmp_path / "other.safetensors")
    image = sample_pixels(8, 8)
    for made, error, message in (
        (codec(tmp_path / "other.safetensors"), ModelError, "its tensors don't fit the module"),
        (codec(checkpoint, "small_module:Halve"), PluginError, "small_module has no `Halve`; did you mean `Halver`"),
        (codec(checkpoint, "nowhere.at_all:Halver"), PluginError, "can't be imported: No module named 'nowhere'"),
        (codec(checkpoint, "small_module:no_module"), PluginError, "made a object, not a torch.nn.Module"),
    ):
        with pytest.raises(error, match=message):
            made.encode(Image(image))
    with pytest.raises(PluginError, match="name what builds the module"):
        TorchCodec(TorchCodecParameters(), Context())
    with pytest.raises(ValidationError, match="factory"):
        TorchCodecParameters(factory="import os")


def test_foreign_and_damaged_bitstreams(checkpoint, tmp_path):
    made = codec(checkpoint, multiple=8)
    whole = made.encode(Image(sample_pixels(20, 30)))
    save_file({"gain": torch.tensor(0.5)}, tmp_path / "half.safetensors")
    with pytest.raises(BitstreamError, match="encoded with another model"):
        codec(tmp_path / "half.safetensors", multiple=8).decode(whole)
    for damaged, message in (
        (b"", "0 bytes are too few"),
        (b"\x00" + whole[1:], "not a bitstream of a torch codec"),
        (whole[:5] + whole[5:7] + b"\xff\xff" + whole[9:], "can't be those of 20×30|can't be those of"),
        (whole[:14], "ends within its header"),
        (whole[:20], "shorter than its strings"),
        (b"\xb1" + b"\xff" * 20, "65536×65536 pixels in the header are more than any"),
    ):
        with pytest.raises(BitstreamError, match=message):
            made.decode(damaged)
    other = bitstream.read(whole)
    wrong = bitstream.Compressed(64, 64, other.mark, other.shape, other.strings).write()
    with pytest.raises(BitstreamError, match=r"the module made \(1, 3, 32, 24\) of it, not \(1, 3, 64, 64\)"):
        made.decode(wrong)


def test_in_a_run(checkpoint, photos):
    suite = {
        "images": [{"folder": str(photos)}],
        "codecs": {
            "mine": {
                "codec": "torch-codec",
                "factory": "small_module:Halver",
                "checkpoint": str(checkpoint),
                "arguments": {"factor": 2},
                "multiple": [8, 16],
            }
        },
        "metrics": ["psnr", "bpp"],
    }
    done = qbench.run(suite, output="run", cache=False)
    assert done.complete
    assert not done.failures


MODULE = """
import zlib
import torch

class Coder(torch.nn.Module):
    def compress(self, x):
        values = (255 * x[0] / {step}).round().to(torch.uint8)
        return {{"strings": [[zlib.compress(values.numpy().tobytes())]], "shape": tuple(x.shape[2:])}}

    def decompress(self, strings, shape):
        values = torch.frombuffer(bytearray(zlib.decompress(strings[0][0])), dtype=torch.uint8)
        return {{"x_hat": values.reshape(1, 3, *shape).float() * {step} / 255}}
"""


@pytest.mark.slow
def test_a_module_that_was_edited_is_another_codec(photos, tmp_path, environment):
    suite = {
        "images": {"folder": str(photos)},
        "codecs": {"torch-codec": {"factory": "my_module:Coder", "multiple": 8}},
        "metrics": ["mse"],
    }
    Path("s.yaml").write_text(yaml.safe_dump(suite))
    environment["PYTHONPATH"] += f":{tmp_path}"
    found = []
    for step, output in ((8, "one"), (1, "two"), (1, "three")):
        (tmp_path / "my_module.py").write_text(MODULE.format(step=step))
        command = [sys.executable, "-m", "qbench", "run", "s.yaml", "-q", "--no-report", "-o", output]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        found.append(qbench.load_run(output).rows[0])
    assert found[0].entries["mse"].value > 1
    assert found[1].entries["mse"].value == 0
    assert [row.cell.cached for row in found] == [False, False, True]
    again = [sys.executable, "-m", "qbench", "run", "s.yaml", "-q", "--no-report", "-o", "one"]
    refused = subprocess.run(again, env=environment, capture_output=True, text=True, check=False)
    assert "contains a run with a different plan" in refused.stderr


def test_a_checkpoint_that_is_overwritten_after_planning_codes_nothing(photos, tmp_path):
    path = tmp_path / "halver.safetensors"
    save_file({"gain": torch.tensor(1.0)}, path)
    codecs = {"torch-codec": {"factory": "small_module:Halver", "checkpoint": str(path), "multiple": 8}}
    plan = qbench.plan({"images": {"folder": str(photos)}, "codecs": codecs, "metrics": ["bpp"]})
    save_file({"gain": torch.tensor(0.5)}, path)
    done = qbench.run(plan, output="run")
    assert {row.status for row in done.rows} == {Status.FAILED}
    assert "weights `halver.safetensors` have changed since the run was planned" in done.failures[0].message


def test_a_checkpoint_that_is_overwritten_while_it_is_read_codes_nothing(photos, tmp_path, monkeypatch):
    path = tmp_path / "halver.safetensors"
    save_file({"gain": torch.tensor(1.0)}, path)
    codecs = {"torch-codec": {"factory": "small_module:Halver", "checkpoint": str(path), "multiple": 8}}
    setup = TorchCodec.setup

    def slow(self):
        setup(self)
        save_file({"gain": torch.tensor(0.5), "more": torch.tensor(1)}, path)

    monkeypatch.setattr(TorchCodec, "setup", slow)
    suite = {"images": {"folder": str(photos)}, "codecs": codecs, "metrics": ["bpp"]}
    done = qbench.run(suite, output="run", in_process=True)  # where the codec is the changed one
    assert {row.status for row in done.rows} == {Status.FAILED}


def test_what_draws_random_numbers_can_say_so(checkpoint):
    assert codec(checkpoint).deterministic
    assert not codec(checkpoint, deterministic=False).deterministic


def test_all_instances_share_the_tensors_of_a_checkpoint(checkpoint):
    made = [codec(checkpoint, multiple=multiple) for multiple in (8, 16, 16)]
    for each in made:
        each.setup()
    assert len({each._module.gain.data_ptr() for each in made}) == 1
    assert codec(checkpoint, own_weights=True)._module.gain.data_ptr() != made[0]._module.gain.data_ptr()


@pytest.mark.parametrize("name", ["Adapting", "Evading"])
def test_a_module_that_changes_its_weights_needs_its_own(checkpoint, name):
    save_file({"gain": torch.tensor(1 - len(name) / 1000)}, checkpoint)  # of which no other test has a copy
    image = Image(sample_pixels(16, 16))
    changing = codec(checkpoint, f"small_module:{name}", multiple=8)
    with pytest.raises(PluginError, match=r"changes its weights while it codes.*own_weights: true"):
        changing.encode(image)
    del changing
    assert codec(checkpoint, f"small_module:{name}", multiple=8, own_weights=True).encode(image)


def test_a_module_that_folds_its_weights_when_it_is_made_keeps_its_own(checkpoint):
    image = Image(sample_pixels(16, 16))
    alone = codec(checkpoint, "small_module:Folding", multiple=8, own_weights=True).encode(image)
    several = [codec(checkpoint, "small_module:Folding", multiple=8) for _ in range(3)]
    assert {each.encode(image) for each in several} == {alone}
    plain = codec(checkpoint, multiple=8)
    assert plain.encode(image) == codec(checkpoint, multiple=8, own_weights=True).encode(image)


def test_other_types_than_the_checkpoints_are_converted(tmp_path):
    save_file({"gain": torch.tensor(1.0, dtype=torch.float16)}, tmp_path / "half.safetensors")
    made = codec(tmp_path / "half.safetensors", multiple=8)
    made.setup()
    assert made._module.gain.dtype == torch.float32
