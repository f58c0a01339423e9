"""Estimated bits are those of the coder's tables, and every latent has a gradient back."""

import math

import numpy as np
import pytest
import torch

from qbench.toolkit.range_coding import GaussianCdfs
from qbench_autoencoder import rate
from qbench_autoencoder.network import MIDDLE, SCALE, Shape, build


@pytest.mark.parametrize("table", [0, 12, 20, 31, 44])
def test_bits_are_those_of_the_tables(table: int) -> None:
    spread = torch.tensor((table - MIDDLE) / SCALE)
    frequencies = GaussianCdfs.frequencies(table)
    # Where the floor of one in TOTAL, which the estimate has not, is less than a thousandth. 0 gets what is left over.
    levels = [
        level for level in range(GaussianCdfs.MAX_SYMBOL + 1) if frequencies[GaussianCdfs.MAX_SYMBOL + level] > 1000
    ]
    spent = [math.log2(GaussianCdfs.TOTAL_FREQUENCY / frequencies[GaussianCdfs.MAX_SYMBOL + level]) for level in levels]
    bits = rate._bits(torch.tensor(levels, dtype=torch.float32), rate.deviation(spread))
    np.testing.assert_allclose(bits.numpy(), spent, rtol=2e-4, atol=6e-3)


@pytest.mark.parametrize("magnitude", [1.0, 30.0, 1000.0])
@pytest.mark.parametrize("sign", [-1, 1])
def test_latents_far_out_find_their_way_back(magnitude: float, sign: int) -> None:
    value = torch.tensor(sign * magnitude, requires_grad=True)
    spread = torch.tensor((0 - MIDDLE) / SCALE, requires_grad=True)
    bits = rate._bits(value, rate.deviation(spread))
    bits.backward()
    assert bits > math.log2(GaussianCdfs.TOTAL_FREQUENCY)
    assert torch.isfinite(bits)
    assert value.grad is not None
    assert sign * value.grad > 0
    assert spread.grad is not None
    assert spread.grad < 0


def test_exact_bits_are_of_rounded_values_and_noisy_ones_are_not() -> None:
    torch.manual_seed(0)
    shape = Shape()
    networks = build(shape)
    latents, hyper = torch.zeros(1, shape.latent, 8, 8), torch.zeros(1, shape.hyper, 2, 2)
    spreads = torch.full((shape.hyper,), (0 - MIDDLE) / SCALE)  # the narrowest: zeros cost nothing
    found = {
        exact: rate.code(latents, hyper, networks["prior"], spreads, exact=exact).bits.item() for exact in (True, False)
    }
    repeated = rate.code(latents, hyper, networks["prior"], spreads, exact=True).bits.item()
    assert found[True] == repeated
    assert found[False] > found[True]
