"""Running a metric's network over images: in batches that fit the device, in the precision asked for. Stable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from qbench.contracts.context import Context
from qbench.errors import ModelError

if TYPE_CHECKING:
    import torch

__all__ = ["BatchedNetwork", "Precision"]

Precision = Literal["float32", "bfloat16"]

ACCELERATOR_BATCH = 64
CPU_BATCH: dict[Precision, int] = {"float32": 1, "bfloat16": 4}


class BatchedNetwork:
    """A network's forward pass for metrics.

    On a CPU in float32 images go through one by one: a larger batch is hardly faster there, and an image's result
    would depend, in its last bits, on its neighbours. In bfloat16 a few together are faster, and the results are the
    same. On an accelerator a batch that is out of memory is halved, and reported.
    """

    def __init__(
        self,
        name: str,
        forward: Callable[[torch.Tensor], Sequence[torch.Tensor]],
        context: Context,
        precision: Precision = "float32",
        batch: int = ACCELERATOR_BATCH,
    ) -> None:
        """Wrap a forward pass.

        Args:
            name: of the model, for messages.
            forward: from a batch N×… on the context's device to one or more tensors N×….
            precision: bfloat16 runs it under torch's autocast.
            batch: the largest to try on an accelerator.
        """
        self._name = name
        self._forward = forward
        self._context = context
        self._precision = precision
        self._batch = CPU_BATCH[precision] if context.device == "cpu" else batch

    def __call__(self, inputs: torch.Tensor) -> tuple[npt.NDArray[np.float64], ...]:
        """Return what the forward pass gives for all of ``inputs`` (N×…), as float64 arrays.

        Raises:
            ModelError: it gives NaN or infinity, or one image alone does not fit into the device's memory.
        """
        import torch

        parts = self._in_batches(inputs)
        arrays = tuple(torch.cat(column).double().cpu().numpy() for column in zip(*parts, strict=True))
        if not all(np.isfinite(array).all() for array in arrays):
            raise ModelError(
                f"{self._name} gave NaN or infinity in {self._precision}: its weights are damaged, or its numbers too "
                "large for this precision"
            )
        return arrays

    def _in_batches(self, inputs: torch.Tensor) -> list[Sequence[torch.Tensor]]:
        import torch

        while True:
            try:
                return [self._once(part) for part in torch.split(inputs, self._batch)]
            except torch.OutOfMemoryError as error:
                if min(self._batch, len(inputs)) == 1:
                    raise ModelError(
                        f"{self._name}: one image does not fit into the memory of {self._context.device}; "
                        "choose --device cpu or a lower precision"
                    ) from error
                self._batch = min(self._batch, len(inputs)) // 2
                torch.cuda.empty_cache()
                self._context.notice(
                    f"{self._name}: {self._context.device} is out of memory; continuing with {self._batch} at a time"
                )

    def _once(self, inputs: torch.Tensor) -> Sequence[torch.Tensor]:
        import torch

        device = self._context.device
        reduced = self._precision == "bfloat16"
        with torch.inference_mode(), torch.autocast(device.partition(":")[0], torch.bfloat16, enabled=reduced):
            return self._forward(inputs.to(device))
