"""GAN inversion: finding the latent vectors whose pictures are nearest to given ones."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import torch

Distance = Callable[["torch.Tensor"], "torch.Tensor"]
"""From rendered pictures to a distance for each candidate: … → N."""


@dataclass(frozen=True)
class Search:
    """How to look for latents.

    Attributes:
        optimiser: sgd (momentum 0.9), adam or lbfgs.
        iterations: at most so many.
        rate: the learning rate to begin with.
        patience: iterations without improvement after which the rate is divided by ten (ReduceLROnPlateau); 0 lowers it
            along half a cosine instead (but not for lbfgs, which searches along its line).
        threshold: improvement that counts, relative.
        stop_after: reductions of the rate after which it ends; 0 never.
        seconds: ends after so long; 0 never. What is found then depends on the machine.
        snapshots: every so many iterations the state is remembered; 0 never.
    """

    optimiser: Literal["sgd", "adam", "lbfgs"] = "adam"
    iterations: int = 100
    rate: float = 0.05
    patience: int = 0
    threshold: float = 1e-4
    stop_after: int = 0
    seconds: float = 0.0
    snapshots: int = 0


@dataclass
class Found:
    """What a search found.

    Attributes:
        latents: of the best iteration of each candidate; the shape it began with.
        losses: of that iteration, one for each candidate.
        history: the smallest loss among the candidates at each iteration.
        snapshots: iteration → latents then.
    """

    latents: torch.Tensor
    losses: torch.Tensor
    history: list[float] = field(default_factory=list)
    snapshots: dict[int, torch.Tensor] = field(default_factory=dict)


def search(
    start: torch.Tensor,
    render: Callable[[torch.Tensor], torch.Tensor],
    distance: Distance,
    how: Search,
) -> Found:
    """Descend from ``start`` (candidates × numbers) to where the rendered pictures are nearest.

    All candidates are optimised together. Each keeps its best iteration, whatever the others do.

    Raises:
        FloatingPointError: no candidate ever had a finite loss.
    """
    import torch

    latents = start.clone().requires_grad_(True)
    found = Found(start.clone(), torch.full((len(start),), torch.inf, device=start.device))
    optimiser = _optimiser(latents, how)
    plateau = None
    if how.patience:
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimiser, factor=0.1, patience=how.patience, threshold=how.threshold
        )
    began = time.monotonic()
    for iteration in range(how.iterations + 1):
        if not how.patience and how.optimiser != "lbfgs":
            _follow_cosine(optimiser, how, iteration)
        losses = _step(latents, render, distance, optimiser, found, last=iteration == how.iterations)
        finite = losses[torch.isfinite(losses)]
        found.history.append(float(finite.min()) if len(finite) else float("nan"))
        if how.snapshots and iteration % how.snapshots == 0:
            found.snapshots[iteration] = latents.detach().clone()
        if not len(finite):
            break
        if plateau is not None:
            plateau.step(float(losses.nan_to_num(nan=torch.inf).min()))
            reductions = round(-torch.tensor(optimiser.param_groups[0]["lr"] / how.rate).log10().item())
            if how.stop_after and reductions >= how.stop_after:
                break
        if how.seconds and time.monotonic() - began > how.seconds:
            break
    if not torch.isfinite(found.losses).any():
        raise FloatingPointError("the loss is NaN or infinite from the start on")
    return found


def _step(
    latents: torch.Tensor,
    render: Callable[[torch.Tensor], torch.Tensor],
    distance: Distance,
    optimiser: torch.optim.Optimizer,
    found: Found,
    *,
    last: bool,
) -> torch.Tensor:
    """Measure where the latents are, remember the best, and move on (but not after the last measurement)."""
    import torch

    measured: list[torch.Tensor] = []

    def closure() -> torch.Tensor:
        optimiser.zero_grad(set_to_none=True)
        losses = distance(render(latents))
        if not measured:
            measured.append(losses.detach())
            better = losses.detach() < found.losses
            found.losses[better] = losses.detach()[better]
            found.latents[better] = latents.detach()[better]
        # Candidates without a number have no say in where the others go.
        total = losses[torch.isfinite(losses)].sum()
        if total.requires_grad:
            total.backward()  # type: ignore[no-untyped-call]
            latents.grad = torch.nan_to_num(latents.grad, 0.0, 0.0, 0.0)  # type: ignore[arg-type]
        return total.detach()

    if last:
        with torch.no_grad():
            closure()
    else:
        optimiser.step(closure)  # type: ignore[arg-type]
    return measured[0]


def _optimiser(latents: torch.Tensor, how: Search) -> torch.optim.Optimizer:
    import torch

    made: dict[str, Callable[[], Any]] = {
        "sgd": lambda: torch.optim.SGD([latents], lr=how.rate, momentum=0.9),
        "adam": lambda: torch.optim.Adam([latents], lr=how.rate),
        # One of its iterations a step; its line search may look at the pictures several times.
        "lbfgs": lambda: torch.optim.LBFGS(
            [latents], lr=how.rate, max_iter=1, history_size=20, line_search_fn="strong_wolfe"
        ),
    }
    chosen: torch.optim.Optimizer = made[how.optimiser]()
    return chosen


def _follow_cosine(optimiser: torch.optim.Optimizer, how: Search, iteration: int) -> None:
    share = 0.5 * (1 + math.cos(math.pi * iteration / max(1, how.iterations)))
    for group in optimiser.param_groups:
        group["lr"] = how.rate * (0.02 + 0.98 * share)


def weighted(losses: Sequence[Distance], weights: Sequence[float]) -> Distance:
    """Return the weighted sum of distances."""

    def distance(pictures: torch.Tensor) -> torch.Tensor:
        total = weights[0] * losses[0](pictures)
        for weight, loss in zip(weights[1:], losses[1:], strict=True):
            total = total + weight * loss(pictures)
        return total

    return distance
