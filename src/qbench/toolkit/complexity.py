"""Measuring what networks cost: multiply–adds and memory, the same on every device. May change."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Cost", "measure"]


ELEMENTWISE = frozenset(
    (
        *(
            "abs",
            "add",
            "clamp",
            "clamp_min",
            "div",
            "elu",
            "exp",
            "gelu",
            "hardtanh",
            "leaky_relu",
            "log",
            "mul",
            "neg",
        ),
        *(
            "pow",
            "reciprocal",
            "relu",
            "round",
            "rsqrt",
            "sigmoid",
            "silu",
            "softplus",
            "sqrt",
            "square",
            "sub",
            "tanh",
        ),
    )
)
"""Operations whose result has the type of its inputs, and the shape that they broadcast to."""


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
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves
    from torch.utils.flop_counter import flop_registry

    class Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
        """Counts operations, and follows which storages are alive."""

        def __init__(self) -> None:
            super().__init__()  # type: ignore[no-untyped-call]
            self.alive: dict[int, int] = {}
            self.flops = self.total = self.peak = 0

        @classmethod
        def _should_skip_dynamo(cls) -> bool:
            return False  # else torch loads its compiler, as it does in FlopCounterMode: seconds that nobody needs

        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            given = kwargs or {}
            counted = flop_registry.get(function.overloadpacket)
            if counted is None and (parts := self.parts_of(function, args, given)) is not NotImplemented:
                return parts
            made = self.done(function, args, given)
            if counted is not None:
                self.flops += counted(*args, **given, out_val=made)
            for tensor in tree_leaves(made):
                if hasattr(tensor, "untyped_storage"):
                    self.follow(tensor.untyped_storage())
            return made

        def parts_of(self, function: Any, args: Any, kwargs: Any) -> Any:
            """Do what an operation consists of, which is counted in its place; NotImplemented if it is one piece."""
            with self:
                return function.decompose(*args, **kwargs)

        def done(self, function: Any, args: Any, kwargs: Any) -> Any:
            """Do an operation. Of tensors without values, element-wise ones would have torch load its compiler, too."""
            name = function.overloadpacket.__name__
            tensors = [each for each in args if isinstance(each, torch.Tensor)]
            if name.rstrip("_") in ELEMENTWISE and tensors and all(each.is_meta for each in tensors):
                if name.endswith("_"):
                    return args[0]
                shape = torch.broadcast_shapes(*(each.shape for each in tensors))  # type: ignore[no-untyped-call]
                types = [each.dtype for each in tensors]
                if all(each is types[0] for each in types) and types[0].is_floating_point and "out" not in kwargs:
                    return torch.empty(shape, dtype=types[0], device="meta")
            return function(*args, **kwargs)

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

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # what other threads do is not seen; with one, nothing is done in others
    try:
        with Watch() as watch:
            call()
    finally:
        torch.set_num_threads(threads)
    return Cost(int(watch.flops) // 2, watch.peak)
