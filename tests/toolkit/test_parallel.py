"""Parts beside each other: in order, in one thread each, and without traces."""

from __future__ import annotations

import threading

import pytest
import torch
from conftest import torch_threads

from qbench.toolkit.parallel import each, in_parallel, no_rounding_shortcuts


@pytest.fixture
def three_threads():
    with torch_threads(3):
        yield


def test_each_in_order_and_as_many_at_a_time_as_there_are_threads():
    together = threading.Barrier(2, timeout=30)
    assert each(lambda item: (together.wait(), item)[1], range(6), 2) == list(range(6))
    here = threading.get_ident()
    assert each(lambda item: threading.get_ident(), range(3), 1) == [here] * 3
    assert each(lambda item: threading.get_ident(), range(1), 8) == [here]
    assert each(str, [], 8) == []
    with pytest.raises(ZeroDivisionError):
        each(lambda item: 1 / item, [1, 0, 2], 2)


def test_results_are_in_order_and_each_part_has_one_thread(three_threads):
    together = threading.Barrier(3, timeout=30)  # all three are at work at the same time

    def part(number):
        together.wait()
        return number, torch.get_num_threads(), torch.is_inference_mode_enabled()

    found = in_parallel([lambda number=number: part(number) for number in range(3)])
    assert [number for number, _, _ in found] == [0, 1, 2]
    assert {(threads, quiet) for _, threads, quiet in found} == {(1, True)}
    assert torch.get_num_threads() == 3


def test_a_single_part_is_computed_here(three_threads):
    assert in_parallel([threading.get_ident]) == [threading.get_ident()]
    assert torch.get_num_threads() == 3


def test_what_a_part_raises_is_raised(three_threads):
    def fail():
        raise ValueError("of its own")

    with pytest.raises(ValueError, match="of its own"):
        in_parallel([lambda: 1, fail])
    assert torch.get_num_threads() == 3


def test_float32_stays_float32_on_an_accelerator():
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high")
    with no_rounding_shortcuts():
        assert torch.get_float32_matmul_precision() == "highest"
        assert not torch.backends.cudnn.allow_tf32
    assert torch.get_float32_matmul_precision() == "high"
    assert torch.backends.cudnn.allow_tf32 == before[1]
    torch.set_float32_matmul_precision(before[0])
