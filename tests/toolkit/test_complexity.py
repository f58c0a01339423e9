"""What networks cost, as torch's own counter has it."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from conftest import torch_threads
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from qbench.toolkit.complexity import measure
from qbench.toolkit.tiling import tiled

NETWORKS = {
    "convolutions": (
        lambda: nn.Sequential(
            nn.Conv2d(3, 8, 5, 2, 2), nn.LeakyReLU(), nn.ConvTranspose2d(8, 3, 5, 2, 2, 1), nn.Sigmoid()
        ),
        (1, 3, 64, 48),
    ),
    "groups": (lambda: nn.Sequential(nn.Conv2d(8, 8, 3, groups=8), nn.ReLU(inplace=True)), (2, 8, 32, 32)),
    "linear": (lambda: nn.Sequential(nn.Linear(4, 5), nn.GELU(), nn.Linear(5, 2)), (7, 4)),
    "attention": (lambda: nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), (2, 5, 16)),
}


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("name", NETWORKS)
def test_counts_what_torch_counts(name, device, mode):
    make, shape = NETWORKS[name]
    network, given = make().to(device), torch.ones(shape, device=device)
    with mode():
        with FlopCounterMode(display=False) as flops:
            network(given)
        cost = measure(lambda: network(given))
    assert cost.macs == flops.get_total_flops() // 2 > 0
    assert cost.memory > 0


def test_memory_is_what_exists_at_the_same_time():
    weights = torch.ones(10, 10, device="meta")

    def call():
        made = torch.ones(1000, 10, device="meta") @ weights  # two of 40,000 bytes
        del made
        return torch.ones(100, device="meta").relu()  # two of 400

    assert measure(call).memory == 2 * 40_000


def test_torchs_compiler_is_not_loaded():
    code = (
        "import sys, torch\nfrom qbench.toolkit.complexity import measure\n"
        "net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU()).to('meta')\n"
        "measure(lambda: net(torch.ones(1, 3, 9, 9, device='meta')))\n"
        "assert 'torch._dynamo' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_is_computed_in_tiles_is_counted_whatever_the_threads():
    layer = nn.Conv2d(3, 4, 3, padding=1).eval()
    with torch_threads(3):
        cost = measure(lambda: tiled(layer, torch.zeros(3, 16, 16), 1, 8, 0))
        assert torch.get_num_threads() == 3
    assert cost.macs == 16 * 16 * 4 * 3 * 9
