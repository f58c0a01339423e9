"""What computes on an accelerator, on one that is only pretended: places don't mix, values stay, costs are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import sample_pixels

from qbench.contracts.context import Context
from qbench.contracts.metric import DistributionMetric, Reference
from qbench.errors import ModelError
from qbench.execute.accelerators import exactly
from qbench.execute.scoring import batches, feature_batches, score_batches
from qbench.images.image import Image
from qbench.registry.registry import default_registry
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
    "ssim": (30, 3, ONCE),
    "ssim-y": (44, 3, ONCE),
    "ms-ssim": (114, 3, ONCE),
    "ms-ssim-y": (128, 3, ONCE),
    "vit-score": (92, 2, 5 * SMALL),  # one of them is the original itself
    "fid": (88, 2, 5 * SMALL),
    "kid": (88, 2, 5 * SMALL),
}
NEEDS_WEIGHTS = {"clip-similarity", "dists", "fd-clip", "fd-dino", "inception-score", "lpips"}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def scored(metric, device):
    reference = Reference("a", ORIGINAL, device)
    groups = list(batches(reference, MADE, [1] * len(MADE)))
    if isinstance(metric, DistributionMetric):
        return feature_batches(metric, groups)
    return score_batches(metric, reference, groups)


def as_array(outcomes):
    assert not any(isinstance(each, Exception) for each in outcomes), outcomes
    rows = [list(each.values()) if isinstance(each, dict) else np.ravel(each) for each in outcomes]
    return np.array(rows, np.float64)


def test_every_metric_that_computes_there_has_a_budget():
    there = {name for name, cls in METRICS.items() if cls.runs_on == "accelerator"}
    assert there == {*BUDGETS, *NEEDS_WEIGHTS}
    for name in NEEDS_WEIGHTS - {"inception-score"}:
        with pytest.raises(ModelError):
            METRICS[name](METRICS[name].Parameters(), Context()).prepare(Reference("a", ORIGINAL))


@pytest.mark.parametrize("name", BUDGETS)
def test_metrics_give_the_processors_values_at_a_known_cost(name):
    cls = METRICS[name]
    expected = as_array(scored(cls(cls.Parameters(), Context()), "cpu"))
    kernels, waits, up = BUDGETS[name]
    with exactly("cuda:0"), pretended_accelerator() as costs:
        metric = cls(cls.Parameters(), Context(DEVICE))
        scored(metric, DEVICE)
        costs.clear()
        found = as_array(scored(metric, DEVICE))
    assert np.nan_to_num(found, posinf=99) == pytest.approx(np.nan_to_num(expected, posinf=99), rel=2e-5, abs=5e-6)
    assert costs.kernels <= kernels, costs.by_name
    assert (costs.waits, costs.up) <= (waits, up), costs
    assert costs.rounded == 0


@pytest.mark.parametrize(
    ("name", "settings", "waits"),
    [
        ("autoencoder", {"quality": 4}, (12, 8)),
        ("jpeg-restore", {"quality": 10}, (1, 4)),
        ("gan-inversion", {"iterations": 33, "refine": 2}, (14, 4)),
        ("gan-inversion", {"iterations": 3, "losses": {"mse": 1.0, "vit-labels": 0.1}, "refine": 2}, (20, 4)),
        ("gan-inversion", {"iterations": 3, "losses": {"vit-features": 1.0}, "refine": 2}, (20, 4)),
        (
            "gan-inversion",
            {"iterations": 34, "mode": "tile", "preset": "thesis", "coder": "qsgd", "stop_after": 1},
            (14, 12),
        ),
    ],
)
def test_codecs_give_the_processors_bytes_and_pixels(name, settings, waits):
    cls = CODECS[name]
    parameters = cls.Parameters.model_validate(settings)
    here = cls(parameters, Context())
    original = ORIGINAL if name != "gan-inversion" else ORIGINAL.crop(0, 0, 64, 80)
    bitstream = here.encode(original)
    expected = here.decode(bitstream)
    with exactly("cuda:0"), pretended_accelerator() as costs:
        there = cls(parameters, Context(DEVICE))
        there.decode(there.encode(original))  # networks are carried there
        costs.clear()
        assert there.encode(original) == bitstream
        encoding = costs.waits
        costs.clear()
        found = there.decode(bitstream)
        decoding = costs.waits
    assert np.abs(found.pixels.astype(int) - expected.pixels).max() <= 1
    assert (encoding, decoding) <= waits


def test_tf32_is_switched_off_and_would_be_noticed():
    cls = METRICS["ssim"]
    with exactly("cuda:0"), pretended_accelerator() as costs:
        exact = as_array(scored(cls(cls.Parameters(), Context(DEVICE)), DEVICE))
        assert costs.rounded == 0
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = True
    try:
        with pretended_accelerator() as costs:
            rounded = as_array(scored(cls(cls.Parameters(), Context(DEVICE)), DEVICE))
            assert costs.rounded > 0
    finally:
        torch.backends.cudnn.allow_tf32 = before
    assert np.abs(exact - rounded).max() > 1e-5


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
    with pytest.raises(RuntimeError, match="pretended no more"):
        there * 2


def test_rounding_keeps_ten_bits():
    values = torch.tensor([1.0, 1 + 2**-10, 1 + 2**-11, 1 + 3 * 2**-11, -1 - 2**-12, 0.0])
    expected = [1.0, 1 + 2**-10, 1.0, 1 + 2**-9, -1.0, 0.0]
    assert rounded_to_tf32(values).tolist() == expected
    assert rounded_to_tf32(values.double()).tolist() == values.tolist()
