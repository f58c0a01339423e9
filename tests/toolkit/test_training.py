"""The shared trainer: what it learns, saves, resumes and refuses, with a network of two numbers."""

from __future__ import annotations

import json

import pytest
import torch
from pydantic import Field
from safetensors.torch import load_file

from qbench.contracts.context import Context
from qbench.errors import QbenchError
from qbench.toolkit.training import Trainer, TrainingParameters


class LineParameters(TrainingParameters):
    epochs: int = 3
    batch: int = 4
    rate: float = Field(0.1, gt=0)
    average: float = 0.5


class LineTrainer(Trainer):
    """Fits y = 3x - 1."""

    def __init__(self, work, *, steps=5, poison=False, device="cpu", **settings):
        self.poison = poison
        context = Context(device, seed=7)
        super().__init__(LineParameters(**settings), context, work, steps=steps, identity={"data": "line"})

    def build(self):
        return torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1))

    def step(self, epoch, index):
        self.set_rate(2)
        x = torch.randn(self.settings.batch, 1, 1, 1).to(self.device)
        loss = (self.network(x) - (3 * x - 1)).square().mean()
        return {"loss": self.descend(loss * float("nan") if self.poison else loss)}

    def validate(self):
        x = torch.linspace(-1, 1, 9).reshape(-1, 1, 1, 1).to(self.device)
        return {"error": float((self.average.module(x) - (3 * x - 1)).square().mean().detach())}

    def finish(self):
        state = self.average.module.state_dict()
        return self.loop.publish(self.work / "line.safetensors", state, {"shape": [1]}, self.card(kind="line"))


def train(work, *, stop_after=None, **settings):
    reports = []
    made = LineTrainer(work, **settings).train(
        reports.append, lambda: stop_after is not None and len(reports) >= stop_after
    )
    return made, reports


def test_it_learns_and_what_it_wrote_says_how(tmp_path):
    made, reports = train(tmp_path, epochs=30)
    errors = [each.values["error"] for each in reports if each.milestone]
    assert errors[-1] < errors[0] / 20
    assert reports[-1].done == reports[-1].total == 150
    tensors = load_file(made)
    assert float(tensors["0.weight"]) == pytest.approx(3, abs=0.3)
    card = json.loads(made.with_suffix(".json").read_text())
    assert (card["kind"], card["seed"], card["settings"]["batch"]) == ("line", 7, 4)
    assert [each["error"] for each in card["log"]] == errors


@pytest.mark.gpu
@pytest.mark.parametrize("devices", [("cpu", "cuda:0"), ("cuda:0", "cpu")])
def test_a_training_goes_on_on_another_device(tmp_path, devices):
    assert train(tmp_path, stop_after=7, device=devices[0])[0] is None
    made, reports = train(tmp_path, device=devices[1])
    assert reports[0].done == 7
    assert float(load_file(made)["0.weight"]) > 0


def test_an_interrupted_training_ends_the_same_to_the_bit(tmp_path):
    whole, _ = train(tmp_path / "whole")
    assert train(tmp_path / "parts", stop_after=7)[0] is None  # five steps, a report of the epoch, a step
    parts, reports = train(tmp_path / "parts")
    assert reports[0].done == 7
    for name, tensor in load_file(whole).items():
        assert torch.equal(load_file(parts)[name], tensor)


def test_a_longer_training_may_go_on_from_a_shorter_one(tmp_path):
    train(tmp_path, epochs=2)
    made, reports = train(tmp_path, epochs=3)
    assert reports[0].done == 11
    assert json.loads(made.with_suffix(".json").read_text())["schedule"] == [
        {"step": 0, "epochs": 2},
        {"step": 10, "epochs": 3},
    ]


def test_what_it_refuses(tmp_path):
    train(tmp_path / "work", stop_after=1)
    with pytest.raises(QbenchError, match="belongs to a training run with different settings or data"):
        train(tmp_path / "work", batch=5)
    with pytest.raises(QbenchError, match="fewer training images than a batch of 4"):
        LineTrainer(tmp_path / "none", steps=0)
    with pytest.raises(QbenchError, match="the loss is nan at step 1; try a lower learning rate"):
        train(tmp_path / "poison", poison=True)
