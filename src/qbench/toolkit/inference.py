"""Running a metric's network over images: in batches that fit the device, in the precision asked for. Stable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from qbench.contracts.context import Context
from qbench.contracts.metric import Candidates
from qbench.errors import ModelError
from qbench.images.image import Image

if TYPE_CHECKING:
    import torch

__all__ = ["BatchedNetwork", "Original", "Precision", "look_together"]

V = TypeVar("V")

Precision = Literal["float32", "bfloat16"]

ACCELERATOR_BATCH = 64
CPU_BATCH: dict[Precision, int] = {"float32": 1, "bfloat16": 4}


class BatchedNetwork:
    """A network's forward pass for metrics.

    On a CPU in float32 images go through one by one unless ``cpu_batch`` says otherwise: a result's last bits depend
    on how many are together, though not on which. In bfloat16 a few together are faster, and the results are the same.
    On an accelerator a batch that is out of memory is halved, and reported.
    """

    def __init__(
        self,
        name: str,
        forward: Callable[[torch.Tensor], Sequence[torch.Tensor]],
        context: Context,
        precision: Precision = "float32",
        batch: int = ACCELERATOR_BATCH,
        cpu_batch: int | None = None,
    ) -> None:
        """Wrap a forward pass.

        Args:
            name: of the model, for messages.
            forward: from a batch N×… on the context's device to one or more tensors N×….
            precision: bfloat16 runs it under torch's autocast.
            batch: the largest to try on an accelerator.
            cpu_batch: on a CPU so many go together, and what is left over one by one. For small networks, which are up
                to twice as fast, and for inputs that are always the same together, such as the patches of one image.
        """
        self._name = name
        self._forward = forward
        self._context = context
        self._precision = precision
        self._batch = (cpu_batch or CPU_BATCH[precision]) if context.device == "cpu" else batch
        self._whole_only = context.device == "cpu" and cpu_batch is not None

    def __call__(self, inputs: torch.Tensor) -> tuple[npt.NDArray[np.float64], ...]:
        """Return what the forward pass gives for all of ``inputs`` (N×…), as float64 arrays.

        Raises:
            ModelError: it gives NaN or infinity, or one image alone does not fit into the device's memory.
        """
        import torch

        parts = self._in_batches(inputs)
        columns = [torch.cat(column).double() for column in zip(*parts, strict=True)]
        # Fetched together: the device is waited for once.
        fetched = torch.split(torch.cat([each.flatten() for each in columns]).cpu(), [each.numel() for each in columns])
        arrays = tuple(each.view(column.shape).numpy() for each, column in zip(fetched, columns, strict=True))
        if not all(np.isfinite(array).all() for array in arrays):
            raise ModelError(
                f"{self._name} gave NaN or infinity in {self._precision}: its weights are damaged, or its numbers too "
                "large for this precision"
            )
        return arrays

    def _in_batches(self, inputs: torch.Tensor) -> list[Sequence[torch.Tensor]]:
        import torch

        while True:
            parts = torch.split(inputs, self._batch)
            if self._whole_only and len(parts[-1]) < self._batch:
                parts = (*parts[:-1], *torch.split(parts[-1], 1))
            try:
                return [self._once(part) for part in parts]
            except torch.OutOfMemoryError:
                pass
            # Only here, where the failed pass's tensors are gone, can their memory be given back.
            if min(self._batch, len(inputs)) == 1:
                raise ModelError(
                    f"{self._name}: one image does not fit into the memory of {self._context.device}; "
                    "choose --device cpu or a lower precision"
                )
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


@dataclass
class Original(Generic[V]):
    """An original, and what a network says of it once it has looked: what a metric makes of it in ``prepare``."""

    image: Image
    view: V | None = None


def look_together(
    works: Sequence[tuple[Candidates, Original[V]]], look: Callable[[Sequence[Image]], Sequence[V]]
) -> list[tuple[V, list[V]]]:
    """Look once at the reconstructions of several images, and at those of the originals that have not been seen yet.

    Args:
        works: as ``score_several`` of a metric is given them.
        look: gives what the network says of each of N images; is not called without any.

    Returns:
        For each batch what is said of the original, and of each reconstruction: the very object of the original for
        those that are equal to it, so that they score as equals exactly.
    """
    unseen = list({id(original): original for _, original in works if original.view is None}.values())
    other = [
        (number, index)
        for number, (candidates, _) in enumerate(works)
        for index, same in enumerate(candidates.identical)
        if not same
    ]
    images = [*(original.image for original in unseen), *(works[number][0].images[index] for number, index in other)]
    found = list(look(images)) if images else []
    for original, view in zip(unseen, found, strict=False):
        original.view = view
    views: list[tuple[V, list[V]]] = []
    for candidates, original in works:
        assert original.view is not None
        views.append((original.view, [original.view] * len(candidates)))
    for (number, index), view in zip(other, found[len(unseen) :], strict=True):
        views[number][1][index] = view
    return views
