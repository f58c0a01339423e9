"""Measuring what networks cost: multiply–adds and memory, the same on every device. May change."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Cost", "measure"]


@dataclass(frozen=True)
class Cost:
    """What a call costs.

    Attributes:
        macs: multiply–adds of matrix products and convolutions, half of what torch's FlopCounterMode counts as FLOPs.
        memory: bytes of the tensors that it makes and that exist at the same time, at most. What kernels use inside is
            not counted.
    """

    macs: int
    memory: int


def measure(call: Callable[[], Any]) -> Cost:
    """Measure a call of torch code."""
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves
    from torch.utils.flop_counter import FlopCounterMode

    class Memory(TorchDispatchMode):  # type: ignore[no-untyped-call]
        """Follows which storages are alive."""

        def __init__(self) -> None:
            super().__init__()  # type: ignore[no-untyped-call]
            self.alive: dict[int, int] = {}
            self.total = self.peak = 0

        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            made = function(*args, **(kwargs or {}))
            for tensor in tree_leaves(made):
                if hasattr(tensor, "untyped_storage"):
                    self.follow(tensor.untyped_storage())
            return made

        def follow(self, storage: Any) -> None:
            key, size = storage._cdata, storage.nbytes()
            if key in self.alive:
                return
            self.alive[key] = size
            self.total += size
            self.peak = max(self.peak, self.total)
            weakref.finalize(storage, self.forget, key)

        def forget(self, key: int) -> None:
            self.total -= self.alive.pop(key, 0)

    with FlopCounterMode(display=False) as flops, Memory() as memory:
        call()
    return Cost(int(flops.get_total_flops()) // 2, memory.peak)
