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
ADAM = (0.9, 0.999, 1e-8)
"""Torch's own: decay of the gradient's mean and of its square's, and what is added to the latter's root."""
LOOK = 32
"""Iterations between two looks at whether there is still something to do, where each waits for an accelerator."""


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

    What happens stays on the device, which is waited for every so many iterations only: they end where it is then seen
    that no candidate moves any more, and what came after that is forgotten.

    Raises:
        FloatingPointError: no candidate ever had a finite loss.
    """
    import torch

    latents = start.clone().requires_grad_(True)
    plateau = Plateau(start, how) if how.patience and how.optimiser != "lbfgs" else None
    found = Found(start.clone(), torch.full((len(start),), torch.inf, device=start.device))
    optimiser = _optimiser(latents, how, plateau)
    began = time.monotonic()
    ended = torch.zeros((), dtype=torch.bool, device=start.device)
    smallest: list[torch.Tensor] = []
    idle: list[torch.Tensor] = []
    for iteration in range(how.iterations + 1):
        if plateau is None and how.optimiser != "lbfgs":
            _follow_cosine(optimiser, how, iteration)
        losses = _step(latents, render, distance, optimiser, found, ended, last=iteration == how.iterations)
        if watch is not None:
            watch(iteration, losses)
        finite = torch.isfinite(losses)
        smallest.append(torch.where(finite, losses, torch.inf).min())
        if how.snapshots and iteration % how.snapshots == 0:
            found.snapshots[iteration] = latents.detach().clone()
        ended = ended | ~finite.any() if plateau is None else ended | ~finite.any() | plateau.step(losses)
        idle.append(ended)
        if how.seconds and time.monotonic() - began > how.seconds:
            break
        if (start.device.type == "cpu" or iteration % LOOK == LOOK - 1) and bool(idle[-1]):
            break
    least, still = torch.stack([torch.stack(smallest).double(), torch.stack(idle).double()]).tolist()
    length = 1 + next((index for index, each in enumerate(still) if each), len(smallest) - 1)
    found.history = [loss if math.isfinite(loss) else math.nan for loss in least[:length]]
    found.snapshots = {iteration: each for iteration, each in found.snapshots.items() if iteration < length}
    if not math.isfinite(min(least[:length])):
        raise FloatingPointError("the loss is NaN or infinite from the start")
    return found


class Plateau:
    """The rate of each candidate: divided by ten when its loss has stopped to fall.

    The rule is that of torch's ReduceLROnPlateau in mode "min" with a relative threshold, for many losses at once.

    Attributes:
        rates: float64, of each candidate.
    """

    def __init__(self, start: torch.Tensor, how: Search) -> None:
        import torch

        count, device = len(start), start.device
        self._how = how
        self.rates = torch.full((count,), how.rate, dtype=torch.float64, device=device)
        self._best = torch.full((count,), torch.inf, dtype=torch.float64, device=device)
        self._waiting = torch.zeros(count, dtype=torch.int32, device=device)
        self._reductions = torch.zeros(count, dtype=torch.int32, device=device)

    def step(self, losses: torch.Tensor) -> torch.Tensor:
        """Take note of the losses of an iteration; return whether no candidate moves any more (one boolean)."""
        import torch

        found = losses.double()
        better = found < self._best * (1 - self._how.threshold)
        self._best = torch.where(better, found, self._best)
        self._waiting = torch.where(better, 0, self._waiting + 1)
        reduced = self._waiting > self._how.patience
        self._waiting = torch.where(reduced, 0, self._waiting)
        self._reductions = self._reductions + reduced
        self.rates = torch.where(reduced & (self.rates * 0.9 > SMALLEST_CHANGE), self.rates * 0.1, self.rates)
        if not self._how.stop_after:
            return torch.zeros((), dtype=torch.bool, device=losses.device)
        stopped = self._reductions >= self._how.stop_after
        self.rates = torch.where(stopped, 0.0, self.rates)
        return stopped.all()


class _EachItsRate:
    """Torch's SGD (momentum 0.9) or Adam, with a rate for each candidate, which theirs have for all only."""

    def __init__(self, latents: torch.Tensor, plateau: Plateau, kind: Literal["sgd", "adam"]) -> None:
        import torch

        self._latents, self._plateau, self._kind = latents, plateau, kind
        self._steps = 0
        self._first, self._second = torch.zeros_like(latents), torch.zeros_like(latents)

    def zero_grad(self, *, set_to_none: bool) -> None:
        self._latents.grad = None

    def step(self, closure: Callable[[], torch.Tensor]) -> None:
        import torch

        closure()
        gradient = self._latents.grad
        if gradient is None:
            return
        self._steps += 1
        down = -self._plateau.rates[:, None]
        with torch.no_grad():
            if self._kind == "sgd":
                self._first.mul_(0.9).add_(gradient)
                self._latents.addcmul_(self._first, down.to(gradient.dtype))
                return
            self._first.lerp_(gradient, 1 - ADAM[0])
            self._second.mul_(ADAM[1]).addcmul_(gradient, gradient, value=1 - ADAM[1])
            spread = (self._second.sqrt() / math.sqrt(1 - ADAM[1] ** self._steps)).add_(ADAM[2])
            step = (down / (1 - ADAM[0] ** self._steps)).to(gradient.dtype)
            self._latents.addcdiv_(self._first * step, spread)


def _step(
    latents: torch.Tensor,
    render: Callable[[torch.Tensor], torch.Tensor],
    distance: Distance,
    optimiser: torch.optim.Optimizer | _EachItsRate,
    found: Found,
    ended: torch.Tensor,
    *,
    last: bool,
) -> torch.Tensor:
    """Measure where the latents are, remember the best, and move on (but not after the last measurement).

    Args:
        ended: whether the search has come to its end already, which is seen later: nothing is remembered then.
    """
    import torch

    measured: list[torch.Tensor] = []

    def closure() -> torch.Tensor:
        optimiser.zero_grad(set_to_none=True)
        losses = distance(render(latents))
        if not measured:
            measured.append(losses.detach())
            better = (losses.detach() < found.losses) & ~ended
            found.losses = torch.where(better, losses.detach(), found.losses)
            found.latents = torch.where(better[:, None], latents.detach(), found.latents)
        # Candidates without a number have no say in where the others go.
        total = torch.where(torch.isfinite(losses), losses, 0).sum()
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


def _optimiser(latents: torch.Tensor, how: Search, plateau: Plateau | None) -> torch.optim.Optimizer | _EachItsRate:
    import torch

    if plateau is not None and how.optimiser != "lbfgs":
        return _EachItsRate(latents, plateau, how.optimiser)
    made: dict[str, Callable[[], Any]] = {
        "sgd": lambda: torch.optim.SGD([latents], lr=how.rate, momentum=0.9),
        "adam": lambda: torch.optim.Adam([latents], lr=how.rate),
        # One of its iterations a step; its line search may look at the images several times.
        "lbfgs": lambda: torch.optim.LBFGS(
            [latents], lr=how.rate, max_iter=1, history_size=20, line_search_fn="strong_wolfe"
        ),
    }
    chosen: torch.optim.Optimizer = made[how.optimiser]()
    return chosen


def _follow_cosine(optimiser: Any, how: Search, iteration: int) -> None:
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
