"""What computes on an accelerator, on one that is only pretended: places don't mix, values stay, costs are known."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch
from conftest import sample_pixels, torch_threads

from qbench.contracts.context import Context
from qbench.contracts.metric import Reference
from qbench.errors import ModelError
from qbench.execute.accelerators import exactly
from qbench.execute.scoring import batches, score_batches
from qbench.images.image import Image
from qbench.registry.registry import default_registry
from qbench.testing import check_metric_on_accelerator
from qbench.testing.accelerator import DEVICE, pretended_accelerator, rounded_to_tf32

METRICS, CODECS = default_registry().metrics, default_registry().codecs
PIXELS = sample_pixels(192, 256)
ORIGINAL = Image(PIXELS)
MADE = [Image(each) for each in (PIXELS // 2, PIXELS // 3, PIXELS // 4, PIXELS ^ 1, PIXELS)]
ONCE = PIXELS.nbytes * (1 + len(MADE))
"""Bytes of the original and its reconstructions, each carried there once, as integers."""
SMALL = 64 * 64 * 3 * 4
"""Bytes of what the bundled network looks at."""

BUDGETS = {  # of five reconstructions and their original: kernels, waits, bytes up
    "ssim": (28, 3, ONCE),
    "ssim-y": (42, 3, ONCE),
    "ms-ssim": (66, 3, ONCE),
    "ms-ssim-y": (80, 3, ONCE),
    "vit-score": (92, 2, 5 * SMALL),  # one of them is the original itself
    "fid": (88, 2, 5 * SMALL),
    "kid": (88, 2, 5 * SMALL),
}
NEEDS_WEIGHTS = {"clip-similarity", "dists", "fd-clip", "fd-dino", "inception-score", "lpips"}


@pytest.fixture(autouse=True)
def one_thread():
    with torch_threads(1):
        yield


def test_every_metric_that_computes_there_has_a_budget():
    there = {name for name, cls in METRICS.items() if cls.runs_on == "accelerator"}
    assert there == {*BUDGETS, *NEEDS_WEIGHTS}
    for name in NEEDS_WEIGHTS - {"inception-score"}:
        with pytest.raises(ModelError):
            METRICS[name](METRICS[name].Parameters(), Context()).prepare(Reference("a", ORIGINAL))


@pytest.mark.parametrize("name", BUDGETS)
def test_metrics_give_the_processors_values_at_a_known_cost(name):
    costs = check_metric_on_accelerator(METRICS[name], ORIGINAL, MADE, tolerance=2e-5)
    kernels, waits, up = BUDGETS[name]
    assert costs.kernels <= kernels, costs.by_name
    assert (costs.waits, costs.up) <= (waits, up), costs


CODERS = [  # and how often encoding and decoding may wait
    ("autoencoder", {"quality": 4}, (12, 8)),
    ("jpeg-restore", {"quality": 10}, (1, 4)),
    ("gan-inversion", {"iterations": 3, "refine": 2}, (12, 4)),
    (
        "gan-inversion",
        {"iterations": 3, "mode": "tile", "preset": "thesis", "coder": "qsgd", "stop_after": 1},
        (14, 12),
    ),
]
WITH_OTHER_LOSSES = [
    ("gan-inversion", {"iterations": 3, "losses": {"mse": 1.0, "vit-labels": 0.1}, "refine": 0}, (9, 4)),
    ("gan-inversion", {"iterations": 3, "losses": {"vit-features": 1.0}, "refine": 0}, (9, 4)),
]
PROGRAM = """
import json, sys
given = json.loads(sys.argv[1])
sys.path[:] = given["path"]
import torch
torch.set_num_threads(1)
from conftest import sample_pixels
from qbench.images.image import Image
from qbench.registry.registry import default_registry
from qbench.testing import check_codec_on_accelerator
found = []
for name, settings, _ in given["coders"]:
    image = Image(sample_pixels(192, 256)).crop(0, 0, 64, 80 if name == "gan-inversion" else 192)
    costs = check_codec_on_accelerator(default_registry().codecs[name], image, settings)
    found.append([each.waits for each in costs])
print(json.dumps(found))
"""


@pytest.mark.parametrize("coders", [CODERS, pytest.param(WITH_OTHER_LOSSES, marks=pytest.mark.slow)])
def test_codecs_give_the_processors_bytes_and_pixels(coders):
    # In a process of its own: no gradients may have been computed before.
    given = json.dumps({"path": sys.path, "coders": coders})
    done = subprocess.run([sys.executable, "-c", PROGRAM, given], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for (name, _, most), waits in zip(coders, json.loads(done.stdout.splitlines()[-1]), strict=True):
        assert tuple(waits) <= most, name


class WithTf32(METRICS["ssim"]):
    """Switches on what is off."""

    def score(self, candidates, prepared):
        torch.backends.cudnn.allow_tf32 = True
        return super().score(candidates, prepared)


def test_tf32_is_switched_off_and_would_be_noticed():
    with pytest.raises(AssertionError, match=r"ssim is .* on the processor|switches TF32 on"):
        check_metric_on_accelerator(WithTf32, ORIGINAL, MADE)
    cls = METRICS["ssim"]
    reference = Reference("a", ORIGINAL, DEVICE)
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = True
    try:
        with pretended_accelerator() as costs:
            score_batches(cls(cls.Parameters(), Context(DEVICE)), reference, list(batches(reference, MADE, [1] * 5)))
            assert costs.rounded > 0
        with pretended_accelerator(tf32=False) as costs:
            reference = Reference("a", ORIGINAL, DEVICE)
            score_batches(cls(cls.Parameters(), Context(DEVICE)), reference, list(batches(reference, MADE, [1] * 5)))
            assert costs.rounded == 0
    finally:
        torch.backends.cudnn.allow_tf32 = before


class OfBothPlaces(METRICS["ssim"]):
    """Compares with what stayed behind."""

    def prepare(self, reference):
        return reference.tensor.cpu()


def test_who_mixes_places_is_found():
    with pytest.raises(AssertionError, match="on the processor and on gpu:0"):
        check_metric_on_accelerator(OfBothPlaces, ORIGINAL, MADE)


def test_what_was_set_is_set_again():
    before = torch.backends.cudnn.allow_tf32, torch.are_deterministic_algorithms_enabled()
    with exactly("cuda:0"):
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch.backends.cudnn.allow_tf32
        assert not torch.backends.cuda.matmul.allow_tf32
    assert (torch.backends.cudnn.allow_tf32, torch.are_deterministic_algorithms_enabled()) == before
    with exactly("cpu"):
        assert torch.backends.cudnn.allow_tf32 == before[0]


def test_places_do_not_mix_and_costs_are_counted():
    with pretended_accelerator() as costs:
        there = torch.ones(4, 4).to(DEVICE)
        assert str(there.device) == DEVICE
        assert (costs.up, costs.waits, costs.kernels) == (64, 1, 0)
        with pytest.raises(RuntimeError, match="on the processor and on gpu:0"):
            there + torch.ones(4, 4)
        doubled = there * 2
        assert costs.kernels == 1
        assert float(doubled.sum()) == 32.0
        assert costs.waits == 2
        assert doubled.cpu().tolist() == [[2.0] * 4] * 4
        assert costs.down == 64
        assert (doubled[doubled > 1]).shape == (16,)
        assert costs.waits == 4  # for how many there are
        assert "gpu:0" in repr(doubled)
        for indices in (doubled > 1, torch.tensor([0]).to(DEVICE)):
            with pytest.raises(RuntimeError, match="on the processor and on gpu:0"):
                torch.ones(4, 4)[indices]
        with pytest.raises(RuntimeError, match="on the processor and on gpu:0"):
            doubled[torch.tensor([0])] = torch.ones(1, 4)
        assert doubled[torch.tensor([0])].device.type == "gpu"
        for made in (
            torch.tensor([1.0], device=DEVICE, requires_grad=True),
            torch.as_tensor([1.0], device=DEVICE),
            doubled.new_tensor([1], dtype=torch.int64),
            torch.tensor(doubled),
        ):
            assert made.device.type == "gpu"
            assert made.is_cuda
    with pytest.raises(RuntimeError, match="pretended no more"):
        there * 2
    assert "is_cuda" not in vars(torch.Tensor)
    assert not torch.ones(1).is_cuda
    assert torch.as_tensor([1.0]).device.type == "cpu"


def test_rounding_keeps_ten_bits():
    values = torch.tensor([1.0, 1 + 2**-10, 1 + 2**-11, 1 + 3 * 2**-11, -1 - 2**-12, 0.0])
    expected = [1.0, 1 + 2**-10, 1.0, 1 + 2**-9, -1.0, 0.0]
    assert rounded_to_tf32(values).tolist() == expected
    assert rounded_to_tf32(values.double()).tolist() == values.tolist()
