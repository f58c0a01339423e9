"""An accelerator that is only pretended: code for GPUs runs on a processor, and what it would cost is counted.

Tensors on ``gpu:0`` hold their values in ordinary memory. Operations on tensors of both places raise as on a GPU;
kernels, bytes carried there and back, and waits are counted. Values are the processor's own, so that they can be
compared to the last digit. What can't be found so: rounding by other hardware, memory that runs out, and races.

torch's means for backends in Python are marked experimental (``_setup_privateuseone_for_python_backend``, torch 2.10
or later); once it has been pretended, torch goes on to list the device. Where gradients are computed there, none may
have been computed in the process before the device was first pretended: run such a test in a process of its own.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

__all__ = ["DEVICE", "Costs", "pretended_accelerator"]

DEVICE = "gpu:0"
"""What to give to a context, and to ``tensor.to``."""
WHOLE = (
    "aten::conv2d",
    "aten::linear",
    "aten::layer_norm",
    "aten::batch_norm",
    "aten::group_norm",
    "aten::scaled_dot_product_attention",
)
"""What is one kernel, or a few, on a GPU, and is not taken apart."""
CONVOLUTIONS = ("aten::conv2d", "aten::convolution", "aten::conv_transpose2d")
COPIES = ("aten::_to_copy", "aten::copy_")
WAITING = ("aten::_local_scalar_dense", "aten::nonzero", "aten::equal", "aten::is_nonzero")
"""Operations whose result the processor waits for."""


class Costs:
    """What has happened on the device so far.

    Attributes:
        kernels: operations that would be launched there.
        up, down: bytes carried there and back.
        waits: times that the processor would wait for the device.
        rounded: convolutions whose inputs TF32 would round.
    """

    def __init__(self) -> None:
        self.kernels = self.up = self.down = self.waits = self.rounded = 0
        self.by_name: Counter[str] = Counter()

    def clear(self) -> None:
        """Begin to count anew."""
        self.__init__()  # type: ignore[misc]

    def __repr__(self) -> str:
        """Say all."""
        return f"{self.kernels} kernels, {self.up} bytes up, {self.down} down, {self.waits} waits"


@contextlib.contextmanager
def pretended_accelerator(*, tf32: bool = True) -> Iterator[Costs]:
    """Have tensors on :data:`DEVICE` be possible, and yield what they cost.

    Networks are moved there as to any device. What is made there is of no use afterwards.

    Args:
        tf32: round what convolutions there take to 10 bits of mantissa, as GPUs since Ampere do unless torch is told
            not to (``torch.backends.cudnn.allow_tf32``).

    Raises:
        RuntimeError: an operation takes tensors of both places, or this torch has no such backends.
    """
    import torch

    mode_of, prepared = _backend()
    costs = Costs()
    swapped = torch.__future__.get_swap_module_params_on_conversion()
    torch.__future__.set_swap_module_params_on_conversion(True)
    before = {key: getattr(*key) for key in prepared}
    own = {(place, name) for place, name in prepared if name in vars(place)}
    try:
        for (place, name), made in prepared.items():
            setattr(place, name, made(before[place, name]))
        with mode_of(costs, tf32):
            yield costs
    except RuntimeError as error:
        if "device_ready_queues_" in str(error):
            raise RuntimeError(
                "gradients were computed in this process before the accelerator was first pretended; begin with it, in "
                "a process of its own"
            ) from error
        raise
    finally:
        for place, name in prepared:
            if (place, name) in own:
                setattr(place, name, before[place, name])
            else:  # inherited
                delattr(place, name)
        torch.__future__.set_swap_module_params_on_conversion(swapped)


def rounded_to_tf32(tensor: torch.Tensor | None) -> torch.Tensor | None:
    """Return a tensor whose float32 values have 10 bits of mantissa, rounded to nearest, ties to even."""
    import torch

    if tensor is None or tensor.dtype != torch.float32:
        return tensor
    bits = tensor.contiguous().view(torch.int32)
    return ((bits + 0x0FFF + ((bits >> 13) & 1)) & ~0x1FFF).view(torch.float32).view(tensor.shape)


@cache
def _backend() -> tuple[Any, dict[tuple[Any, str], Any]]:
    """Return the mode that pretends, and what of torch is replaced meanwhile: (place, name) → from old to new."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves, tree_map_only

    try:
        from torch.utils.backend_registration import _setup_privateuseone_for_python_backend as register
    except ImportError as error:
        raise RuntimeError(f"torch {torch.__version__} has no backends in Python; 2.10 or later has") from error
    register("gpu")

    class There(torch.Tensor):
        """Says that it is on the device; its values are in ``held``."""

        held: torch.Tensor
        __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

        @staticmethod
        def __new__(cls, held: torch.Tensor) -> Any:
            with torch.inference_mode(False):
                made = torch.Tensor._make_wrapper_subclass(
                    cls,
                    held.shape,
                    strides=held.stride(),
                    storage_offset=held.storage_offset(),
                    dtype=held.dtype,
                    device=torch.device(DEVICE),
                )
            made.held = held
            return made

        @classmethod
        def __torch_dispatch__(cls, operation: Any, *_: Any, **__: Any) -> Any:  # type: ignore[override]
            raise RuntimeError(f"{operation} on a tensor of a device that is pretended no more")

        def __repr__(self, **_: Any) -> str:  # type: ignore[override]
            return f"{self.held!r} on {DEVICE}"

        def tolist(self) -> Any:
            return self.cpu().tolist()

    class Pretended(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __init__(self, costs: Costs, tf32: bool) -> None:
            super().__init__()  # type: ignore[no-untyped-call]
            self._costs, self._tf32 = costs, tf32

        def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            kwargs, name = dict(kwargs or {}), operation._schema.name
            composite = torch._C._dispatch_has_kernel_for_dispatch_key(operation.name(), "CompositeImplicitAutograd")
            if name not in WHOLE and composite:
                with self:
                    return operation.decompose(*args, **kwargs)
            tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
            ours = [tensor for tensor in tensors if isinstance(tensor, There)]
            copies, indexes = name in COPIES, name.startswith("aten::index")
            if kwargs.get("device") is not None:
                here = torch.device(kwargs["device"]).type == "gpu"
                kwargs["device"] = torch.device("cpu")
            else:
                here = isinstance(args[0], There) if name == "aten::copy_" else bool(ours)
            mixed = ours and not all(isinstance(tensor, There) or not tensor.ndim for tensor in tensors)
            if indexes and ours:  # of a tensor there, by positions from anywhere; but not the other way round
                values = args[2:3] if name.startswith("aten::index_put") else ()
                strange = [each for each in values if isinstance(each, torch.Tensor) and each.ndim]
                mixed = not all(isinstance(each, There) for each in (args[0], *strange))
            if mixed and not copies:
                raise RuntimeError(f"{name}: tensors on the processor and on {DEVICE}")
            self._count(operation, name, args, tensors, ours, here)
            known = {id(tensor.held): tensor for tensor in ours}
            plain = tree_map_only(There, lambda tensor: tensor.held, args)
            if name in CONVOLUTIONS and here and self._tf32 and _rounds():
                self._costs.rounded += 1
                plain = (rounded_to_tf32(plain[0]), rounded_to_tf32(plain[1]), *plain[2:])
            made = operation(*plain, **tree_map_only(There, lambda tensor: tensor.held, kwargs))

            def back(tensor: torch.Tensor) -> Any:
                return known[id(tensor)] if id(tensor) in known else There(tensor) if here else tensor

            return tree_map_only(torch.Tensor, back, made)

        def _count(self, operation: Any, name: str, args: Any, tensors: Any, ours: Any, here: bool) -> None:
            costs = self._costs
            source: Any = args[1 if name == "aten::copy_" else 0] if name in COPIES else None
            crosses = source is not None and isinstance(source, There) != here
            if crosses:
                if here:
                    costs.up += source.nbytes
                else:
                    costs.down += source.nbytes
            masks = name.startswith("aten::index") and any(tensor.dtype == torch.bool for tensor in tensors)
            costs.waits += crosses or bool(ours and (name in WAITING or masks))
            if here and not crosses and not operation.is_view:
                costs.kernels += 1
                costs.by_name[name] += 1

    def of_data(old: Any) -> Any:
        def made(data: Any, *, device: Any = None, requires_grad: bool = False, **kwargs: Any) -> Any:
            if isinstance(data, torch.Tensor):
                found = data.detach().clone().to(device=device or data.device, **kwargs)
            else:
                found = old(data, **kwargs).to(device or "cpu")
            return found.requires_grad_(requires_grad)

        return made

    def as_tensor(old: Any) -> Any:
        def made(data: Any, dtype: Any = None, device: Any = None) -> Any:
            if isinstance(data, torch.Tensor):
                return data.to(device=device or data.device, dtype=dtype or data.dtype)
            return old(data, dtype=dtype).to(device or "cpu")

        return made

    def new_tensor(_: Any) -> Any:
        def made(self: Any, data: Any, *, device: Any = None, **kwargs: Any) -> Any:
            return torch.tensor(data, **{"dtype": self.dtype, "device": device or self.device, **kwargs})

        return made

    replaced = {
        (torch, "autocast"): lambda old: lambda *args, **kwargs: contextlib.nullcontext(),
        (torch, "tensor"): of_data,
        (torch, "as_tensor"): as_tensor,
        (torch.Tensor, "new_tensor"): new_tensor,
        (torch.Tensor, "is_cuda"): lambda old: property(lambda tensor: tensor.device.type == "gpu"),
    }
    return Pretended, replaced


def _rounds() -> bool:
    """Whether cuDNN would use TF32."""
    import torch

    backends: Any = torch.backends
    if hasattr(backends, "fp32_precision"):
        return "tf32" in (str(backends.cudnn.conv.fp32_precision), str(backends.fp32_precision))
    return bool(backends.cudnn.allow_tf32)
