"""GAN inversion: finding the latent vectors whose images are nearest to given ones."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import torch

Distance = Callable[["torch.Tensor"], "torch.Tensor"]
"""From rendered images to a distance for each candidate: … → N."""

SMALLEST_CHANGE = 1e-8
"""A change of the rate that is not larger is not made, as with torch's schedulers."""


@dataclass(frozen=True)
class Search:
    """How to look for latents.

    Attributes:
        optimiser: sgd (momentum 0.9), adam or lbfgs.
        iterations: at most so many.
        rate: the learning rate to begin with.
        patience: iterations without improvement after which a candidate's rate is divided by ten (as torch's
            ReduceLROnPlateau does); 0 lowers it along half a cosine instead (but not for lbfgs, which searches along
            its line).
        threshold: improvement that counts, relative.
        stop_after: reductions of its rate after which a candidate moves no more; it ends when none does. 0 never.
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
    watch: Callable[[int, torch.Tensor], None] | None = None,
) -> Found:
    """Descend from ``start`` (candidates × numbers) to where the rendered images are nearest.

    All candidates are optimised together, and each as if it were alone (but for lbfgs, whose line search and curvature
    are those of all of them). Each keeps its best iteration. ``watch`` is called with every iteration's losses.

    Raises:
        FloatingPointError: no candidate ever had a finite loss.
    """
    import torch

    # With a plateau every candidate has a rate of its own, so it is a parameter of its own.
    plateau = Plateau(len(start), how) if how.patience and how.optimiser != "lbfgs" else None
    rows = [part.clone().requires_grad_(True) for part in (torch.split(start, 1) if plateau else [start])]
    found = Found(start.clone(), torch.full((len(start),), torch.inf, device=start.device))
    optimiser = _optimiser(rows, how)
    began = time.monotonic()
    for iteration in range(how.iterations + 1):
        if plateau is None and how.optimiser != "lbfgs":
            _follow_cosine(optimiser, how, iteration)
        losses = _step(rows, render, distance, optimiser, found, last=iteration == how.iterations)
        if watch is not None:
            watch(iteration, losses)
        finite = losses[torch.isfinite(losses)]
        found.history.append(float(finite.min()) if len(finite) else float("nan"))
        if how.snapshots and iteration % how.snapshots == 0:
            found.snapshots[iteration] = torch.cat(rows).detach().clone()
        if not len(finite):
            break
        if plateau is not None:
            for group, rate in zip(optimiser.param_groups, plateau.step(losses.tolist()), strict=True):
                group["lr"] = rate
            if plateau.ended:
                break
        if how.seconds and time.monotonic() - began > how.seconds:
            break
    if not torch.isfinite(found.losses).any():
        raise FloatingPointError("the loss is NaN or infinite from the start")
    return found


class Plateau:
    """The rate of each candidate: divided by ten when its loss has stopped to fall.

    The rule is that of torch's ReduceLROnPlateau in mode "min" with a relative threshold, for many losses at once.
    """

    def __init__(self, count: int, how: Search) -> None:
        self._how = how
        self._rates = [how.rate] * count
        self._best = [math.inf] * count
        self._waiting = [0] * count
        self._reductions = [0] * count

    def step(self, losses: Sequence[float]) -> Sequence[float]:
        """Take note of the losses of an iteration; return the rates for the next."""
        for index, loss in enumerate(losses):
            if loss < self._best[index] * (1 - self._how.threshold):
                self._best[index], self._waiting[index] = loss, 0
            else:
                self._waiting[index] += 1
            if self._waiting[index] > self._how.patience:
                self._waiting[index] = 0
                self._reductions[index] += 1
                if self._rates[index] * 0.9 > SMALLEST_CHANGE:
                    self._rates[index] *= 0.1
            if self._stopped(index):
                self._rates[index] = 0.0
        return self._rates

    @property
    def ended(self) -> bool:
        """Whether no candidate moves any more."""
        return all(self._stopped(index) for index in range(len(self._rates)))

    def _stopped(self, index: int) -> bool:
        return 0 < self._how.stop_after <= self._reductions[index]


def _step(
    rows: Sequence[torch.Tensor],
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
        latents = torch.cat(list(rows))
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
            for row in rows:
                row.grad = torch.nan_to_num(row.grad, 0.0, 0.0, 0.0)  # type: ignore[arg-type]
        return total.detach()

    if last:
        with torch.no_grad():
            closure()
    else:
        optimiser.step(closure)  # type: ignore[arg-type]
    return measured[0]


def _optimiser(rows: Sequence[torch.Tensor], how: Search) -> torch.optim.Optimizer:
    import torch

    groups = [{"params": [row]} for row in rows]
    made: dict[str, Callable[[], Any]] = {
        "sgd": lambda: torch.optim.SGD(groups, lr=how.rate, momentum=0.9),
        "adam": lambda: torch.optim.Adam(groups, lr=how.rate),
        # One of its iterations a step; its line search may look at the images several times.
        "lbfgs": lambda: torch.optim.LBFGS(
            list(rows), lr=how.rate, max_iter=1, history_size=20, line_search_fn="strong_wolfe"
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

    def distance(images: torch.Tensor) -> torch.Tensor:
        total = weights[0] * losses[0](images)
        for weight, loss in zip(weights[1:], losses[1:], strict=True):
            total = total + weight * loss(images)
        return total

    return distance
