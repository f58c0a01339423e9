"""From target images to latents: starts, losses, batches, refinement."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from qbench.plugin import Context, Generator, Pixels, QbenchError, find_loss
from qbench.toolkit.networks import by_pixel
from qbench_gan.inversion import Distance, Found, Search, search, weighted

if TYPE_CHECKING:
    import torch

T = TypeVar("T")
Latents = npt.NDArray[np.float32]

CPU_BATCH, ACCELERATOR_BATCH = 64, 512
"""Images of 64×64 that are optimised together; fewer when they are larger."""


class Inverter:
    """Inverts one generator."""

    def __init__(
        self, generator: Generator, losses: Mapping[str, float], context: Context, *, thesis_exact: bool = False
    ) -> None:
        """Load the generator.

        Args:
            losses: weight of ``mse`` and of losses that plugins bring.
            thesis_exact: compare the generator's output as it is with the target in [0, 1].

        Raises:
            ModelError: the weights are not downloaded.
            PluginError: no such loss.
            QbenchError: the generator does not give what it declares.
        """
        self._generator = generator
        self._device = context.device
        self._network = by_pixel(generator.network(context.device))
        self._encoder = generator.encoder(context.device)
        self._weights = tuple(losses.values())
        self._losses = [None if name == "mse" else find_loss(name)(context) for name in losses]
        self._thesis_exact = thesis_exact
        self._context = context
        share = 64 * 64 / (generator.height * generator.width)
        self._batch = max(1, int(share * (CPU_BATCH if context.device == "cpu" else ACCELERATOR_BATCH)))
        self._check()

    @property
    def batch(self) -> int:
        """Candidates that are optimised together."""
        return self._batch

    def find(
        self,
        targets: Pixels,
        draws: Latents,
        how: Search,
        start: str,
        watch: Callable[[int, torch.Tensor], None] | None = None,
    ) -> Found:
        """Return the best latents for targets, N×height×width×3.

        Args:
            targets: uint8, N×height×width×3, of the generator's size.
            draws: from N(0, 1), N×restarts×latent size: the starts of each target.
            how: the search.
            start: auto, encoder, mean or random: what takes the place of each target's first draw.
            watch: called with the losses of every iteration.

        Raises:
            FloatingPointError: a target for which no loss was ever finite.
        """
        return _joined(
            list(
                self._in_batches(
                    len(targets),
                    draws.shape[1],
                    lambda chosen: self._find(targets[chosen], draws[chosen], how, start, watch),
                )
            )
        )

    def refine(self, latents: Latents, targets: Pixels, step: float, iterations: int) -> Latents:
        """Go on from latents through a quantiser of that step, and return the latents that are best when quantised.

        The rounding's gradient is taken to be that of the identity (Bengio et al. 2013, straight-through estimator).
        """
        import torch

        def quantised(values: torch.Tensor) -> torch.Tensor:
            return values + ((values / step).round() * step - values).detach()

        how = Search(iterations=iterations, rate=min(0.05, step / 4))

        def refined(chosen: slice) -> Latents:
            start = torch.from_numpy(latents[chosen]).to(self._device)
            distance = self._distance(targets[chosen], 1)
            found = search(start, lambda values: self._network(quantised(values)), distance, how)
            return ((found.latents / step).round() * step).cpu().numpy()

        return np.concatenate(list(self._in_batches(len(targets), 1, refined)))

    def _in_batches(self, targets: int, restarts: int, work: Callable[[slice], T]) -> Iterator[T]:
        """Do the work for as many targets at a time as fit into the device's memory."""
        import torch

        first = 0
        while first < targets:
            chosen = slice(first, first + max(1, self._batch // restarts))
            try:
                yield work(chosen)
                first = chosen.stop
                continue
            except torch.OutOfMemoryError:
                pass
            # Only here, where what the failed search held is gone, can its memory be given back.
            if self._batch <= restarts:
                raise QbenchError(
                    f"gan-inversion: one image with {restarts} start{'s' * (restarts > 1)} does not fit into "
                    f"the memory of {self._device}"
                )
            self._batch = max(restarts, self._batch // 2)
            torch.cuda.empty_cache()
            self._context.notice(
                f"gan-inversion: {self._device} is out of memory; continuing with {self._batch} at a time"
            )

    def _find(
        self,
        targets: Pixels,
        draws: Latents,
        how: Search,
        start: str,
        watch: Callable[[int, torch.Tensor], None] | None,
    ) -> Found:
        import torch

        count, restarts, size = draws.shape
        begin = torch.from_numpy(draws.copy()).to(self._device)  # the draws stay as they are
        if start in ("auto", "encoder") and self._encoder is not None:
            with torch.inference_mode():
                begin[:, 0] = self._encoder(self._shares(targets) * self._span + self._generator.low)
        elif start == "encoder":
            raise QbenchError(f"generator {self._generator.name} has no encoder; start: random or mean")
        elif start == "mean":
            begin[:, 0] = 0
        found = search(begin.reshape(-1, size), self._network, self._distance(targets, restarts), how, watch)
        best = found.losses.reshape(count, restarts).nan_to_num(nan=torch.inf).argmin(dim=1)
        if not torch.isfinite(found.losses.reshape(count, restarts).gather(1, best[:, None])).all():
            raise FloatingPointError("the loss of an image is NaN or infinite from the start, at every restart")
        kept = torch.arange(count, device=best.device) * restarts + best
        snapshots = {iteration: latents[kept] for iteration, latents in found.snapshots.items()}
        return replace(found, latents=found.latents[kept], losses=found.losses[kept], snapshots=snapshots)

    def _distance(self, targets: Pixels, restarts: int) -> Distance:
        """Return the distance from targets, each of which has so many candidates one after the other."""
        shares = self._shares(targets).repeat_interleave(restarts, dim=0)
        prepared = [_squared_error(shares) if loss is None else loss.prepare(shares) for loss in self._losses]
        low = 0.0 if self._thesis_exact else self._generator.low
        span = 1.0 if self._thesis_exact else self._span
        combined = weighted(prepared, self._weights)
        return lambda images: combined((images - low) / span)

    def _shares(self, pixels: Pixels) -> torch.Tensor:
        import torch

        return torch.from_numpy(pixels.copy()).to(self._device).permute(0, 3, 1, 2).float() / 255

    @property
    def _span(self) -> float:
        return self._generator.high - self._generator.low

    def _check(self) -> None:
        """Find a generator that is not what it says before hours are spent on it."""
        import torch

        generator = self._generator
        with torch.inference_mode():
            try:
                made: Any = self._network(torch.zeros(1, generator.latent_size, device=self._device))
            except RuntimeError as error:
                raise QbenchError(
                    f"generator {generator.name} does not take latents of {generator.latent_size} numbers: {error}"
                ) from error
        declared = (1, 3, generator.height, generator.width)
        shape = tuple(getattr(made, "shape", ()))
        if shape != declared:
            raise QbenchError(f"generator {generator.name} gives {shape}, but declares {declared}")


def _squared_error(targets: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda images: (images - targets).square().mean(dim=(1, 2, 3))


def _joined(parts: list[Found]) -> Found:
    """Join what was found in several batches, as if it had been found in one."""
    import torch

    if len(parts) == 1:
        return parts[0]
    longest = max(len(part.history) for part in parts)
    histories = [[*part.history, *[part.history[-1]] * (longest - len(part.history))] for part in parts]
    common = set.intersection(*(set(part.snapshots) for part in parts))
    return Found(
        torch.cat([part.latents for part in parts]),
        torch.cat([part.losses for part in parts]),
        [float(np.mean(values)) for values in zip(*histories, strict=True)],
        {iteration: torch.cat([part.snapshots[iteration] for part in parts]) for iteration in sorted(common)},
    )
