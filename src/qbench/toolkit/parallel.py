"""Running parts of a computation beside each other, to the same bits whatever the number of threads. Stable."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

from qbench.toolkit._precision import WITHOUT_TF32, precision, set_precision

__all__ = ["each", "in_parallel", "no_rounding_shortcuts", "one_thread"]

A = TypeVar("A")
T = TypeVar("T")


def each(do: Callable[[A], T], items: Sequence[A], threads: int) -> list[T]:
    """Call a function of each item, as many at a time as there are threads, and return what it gives, in order.

    For code that lets other threads run meanwhile: NumPy's, OpenCV's, kernels. Threads are those that a plugin may use,
    ``context.threads``.
    """
    if min(threads, len(items)) < 2:
        return [do(item) for item in items]
    with ThreadPoolExecutor(min(threads, len(items))) as pool:
        return list(pool.map(do, items))


def in_parallel(parts: Sequence[Callable[[], T]], device: str = "cpu") -> list[T]:
    """Run torch code in parts, without gradients, and return what they give, in order.

    On a processor as many parts run at a time as torch has threads, each in one thread: how sums are ordered within a
    part then doesn't depend on that number. On an accelerator they run one after the other.

    Args:
        parts: independent of each other; what they write to does not overlap.
        device: where they compute.
    """
    import torch

    if device.partition(":")[0] != "cpu":
        with torch.inference_mode(), no_rounding_shortcuts():
            return [part() for part in parts]

    def run(part: Callable[[], T]) -> T:
        torch.set_num_threads(1)  # of this thread; OpenMP keeps the number for each
        with torch.inference_mode():
            return part()

    threads = torch.get_num_threads()
    try:
        if threads == 1 or len(parts) == 1:
            return [run(part) for part in parts]
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(run, parts))
    finally:
        torch.set_num_threads(threads)


@contextmanager
def one_thread() -> Iterator[None]:
    """Have NumPy's linear algebra, and torch's if it is loaded, work in one thread: sums then have one order.

    For decompositions and products whose last digits are to be the same whatever the number of threads.
    """
    torch = sys.modules.get("torch")
    threads = None if torch is None else torch.get_num_threads()
    with _libraries().limit(limits=1, user_api="blas"):
        if torch is not None:
            torch.set_num_threads(1)
        try:
            yield
        finally:
            if torch is not None:
                torch.set_num_threads(threads)


@cache
def _libraries() -> Any:
    import threadpoolctl

    return threadpoolctl.ThreadpoolController()


@contextmanager
def no_rounding_shortcuts() -> Iterator[None]:
    """Have an accelerator compute float32 as float32: without TF32, which keeps ten bits of each factor's mantissa."""
    import torch

    cudnn = torch.backends.cudnn
    before, chosen = precision(), (cudnn.enabled, cudnn.benchmark, cudnn.deterministic)
    set_precision(WITHOUT_TF32)
    cudnn.enabled, cudnn.benchmark, cudnn.deterministic = True, False, True
    try:
        yield
    finally:
        set_precision(before)
        cudnn.enabled, cudnn.benchmark, cudnn.deterministic = chosen
