"""Training torch networks: recipes that save their whole state as they go, and resume from there. May change."""

from __future__ import annotations

import json
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pydantic import Field

from qbench.contracts.context import Context
from qbench.contracts.parameters import Parameters
from qbench.contracts.recipe import TrainingStep
from qbench.errors import QbenchError
from qbench.toolkit.files import replacing

if TYPE_CHECKING:
    import torch

__all__ = ["Trainer", "TrainingLoop", "TrainingParameters"]

STATE = "state.pt"
EVERY_SECONDS = 300.0
"""The state is saved this often within an epoch, and after each."""


class Stateful(Protocol):
    """A network, an optimiser, a moving average of weights."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state."""

    def load_state_dict(self, state_dict: Any) -> Any:
        """Restore a state."""


class TrainingLoop:
    """Counts steps and epochs, reports, saves and resumes.

    Attributes:
        done: steps so far, earlier sessions included.
        total: of the whole training.
    """

    def __init__(
        self,
        work: Path,
        device: str,
        parts: Mapping[str, Stateful],
        *,
        identity: Mapping[str, Any],
        epochs: int,
        steps: int,
    ) -> None:
        """Describe a training.

        Args:
            work: folder for the state; made if need be.
            device: where it trains; the state includes that device's random generator.
            parts: all that has a state, by name.
            identity: settings and data that must be the same when a training is resumed, in plain values. The number of
                epochs need not be among them.
            epochs, steps: how many epochs, of how many steps each.
        """
        self._path = work / STATE
        self._device = device
        self._parts = parts
        self._identity = dict(identity)
        self._steps = steps
        self._seconds = 0.0
        self._saved = time.monotonic()
        self._log: list[dict[str, float]] = []
        self._schedule = [{"step": 0, "epochs": epochs}]
        self.done = 0
        self.total = steps * epochs
        work.mkdir(parents=True, exist_ok=True)

    def rate(self, peak: float, warm: float) -> float:
        """Return the learning rate of the next step: ``warm`` steps of linear rise, then half a cosine to 1 % of it."""
        if self.done < warm:
            return peak * (self.done + 1) / warm
        progress = (self.done - warm) / max(1.0, self.total - warm)
        return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))

    def publish(
        self, path: Path, state: Mapping[str, Any], described: Mapping[str, Any], card: Mapping[str, Any]
    ) -> Path:
        """Write trained weights in half precision, and beside them what a model card needs.

        Args:
            path: of the safetensors file; the card gets its name with ``.json``.
            state: the tensors, by name.
            described: what one must know to build the network; as JSON into the file's metadata.
            card: settings, seed, data; device, hours, results by epoch and changes of the training's length are added.
        """
        import torch
        from safetensors.torch import save_file

        tensors = {
            name: (tensor.half() if tensor.is_floating_point() else tensor).contiguous().cpu()
            for name, tensor in state.items()
        }
        with replacing(path) as temporary:
            save_file(tensors, temporary, {name: json.dumps(value) for name, value in described.items()})
        history = {
            "device": self._device,
            "torch": torch.__version__,
            "hours": round(self._seconds / 3600, 2),
            "schedule": self._schedule,
            "log": self._log,
        }
        path.with_suffix(".json").write_text(json.dumps({**card, **history}, indent=1), encoding="utf-8")
        return path

    def run(
        self,
        step: Callable[[int, int], Mapping[str, float]],
        end_of_epoch: Callable[[], Mapping[str, float]],
        report: Callable[[TrainingStep], None],
        stopping: Callable[[], bool],
    ) -> bool:
        """Train to the end, from where an earlier session stopped.

        Args:
            step: does one step, given epoch and step within it, both from 0; returns what is worth watching.
            end_of_epoch: measures on held-out data.
            report, stopping: as :meth:`qbench.plugin.Recipe.train` is given them.

        Returns:
            False if it was asked to stop before the end; its state is saved.

        Raises:
            QbenchError: the folder holds another training; a value that ``step`` returns is NaN or infinite.
        """
        self._resume()
        self._saved = time.monotonic()
        while self.done < self.total:
            epoch, first = divmod(self.done, self._steps)
            for index in range(first, self._steps):
                values = step(epoch, index)
                self.done += 1
                report(TrainingStep(self.done, self.total, epoch + 1, values))
                stop = stopping()
                if stop or time.monotonic() - self._saved > EVERY_SECONDS:
                    self._save()
                if stop:
                    return False
            result = {"epoch": float(epoch + 1), **end_of_epoch()}
            self._log.append(result)
            self._save()
            report(TrainingStep(self.done, self.total, epoch + 1, result, milestone=True))
        return True

    def _resume(self) -> None:
        import torch

        if not self._path.is_file():
            return
        state = torch.load(self._path, map_location=self._device, weights_only=True)
        if state["identity"] != self._identity:
            raise QbenchError(
                f"{self._path}: belongs to a training run with different settings or data; choose another work folder"
            )
        for name, part in self._parts.items():
            part.load_state_dict(state["parts"][name])
        torch.set_rng_state(state["random"].cpu())
        if self._device != "cpu" and state["random_gpu"] is not None:  # it may have begun on a CPU
            torch.cuda.set_rng_state(state["random_gpu"].cpu(), self._device)
        self.done, self._seconds, self._log = state["done"], state["seconds"], state["log"]
        wanted = self._schedule[0]["epochs"]
        self._schedule = state["schedule"]
        if self._schedule[-1]["epochs"] != wanted:
            self._schedule.append({"step": self.done, "epochs": wanted})

    def _save(self) -> None:
        import torch

        now = time.monotonic()
        self._seconds += now - self._saved
        self._saved = now
        with replacing(self._path) as temporary:
            torch.save(
                {
                    "identity": self._identity,
                    "parts": {name: part.state_dict() for name, part in self._parts.items()},
                    "random": torch.get_rng_state(),
                    "random_gpu": torch.cuda.get_rng_state(self._device) if self._device != "cpu" else None,
                    "done": self.done,
                    "seconds": self._seconds,
                    "schedule": self._schedule,
                    "log": self._log,
                },
                temporary,
            )


class TrainingParameters(Parameters):
    """Settings that trainings share; recipes change the defaults."""

    epochs: int = Field(10, ge=1, description="may be changed on resume")
    rate: float = Field(1e-3, gt=0, description="peak learning rate, of AdamW")
    average: float = Field(0.999, ge=0, lt=1, description="decay of the weights' moving average")


class Trainer(ABC):
    """Trains a network: seed, moving average of the weights, learning rate, gradient steps, saving and resuming.

    A recipe's trainer says what the network, a step and the validation are. The moving average is what is published.

    Class attributes:
        free_settings: may differ when a training is resumed.
    """

    free_settings: ClassVar[frozenset[str]] = frozenset({"epochs"})

    def __init__(self, settings: Any, context: Context, work: Path, *, steps: int, identity: Mapping[str, Any]) -> None:
        """Build the network and get ready, from the beginning; :meth:`train` resumes where there is a state.

        Args:
            settings: derived from :class:`TrainingParameters`.
            work: folder for state and results.
            steps: of an epoch.
            identity: of data and network, besides settings and seed: must be the same when the training is resumed.

        Raises:
            QbenchError: there are not enough data for one step.
        """
        import torch
        from timm.utils.model_ema import ModelEmaV3

        if steps < 1:
            raise QbenchError(f"there are fewer training images than a batch of {settings.batch}")
        torch.manual_seed(context.seed)
        self.settings, self.seed, self.device, self.work = settings, context.seed, context.device, work
        self.network: Any = self.build().to(context.device).to(memory_format=torch.channels_last)
        self.average = ModelEmaV3(self.network, decay=settings.average, use_warmup=True)
        self.optimiser = self.make_optimiser()
        parts = {"network": self.network, "average": self.average, "optimiser": self.optimiser, **self.more_parts()}
        whole = {"parameters": settings.model_dump(exclude=set(self.free_settings)), "seed": context.seed, **identity}
        self.loop = TrainingLoop(work, context.device, parts, identity=whole, epochs=settings.epochs, steps=steps)

    @abstractmethod
    def build(self) -> torch.nn.Module:
        """Build the network, from the seeded random generator."""

    def make_optimiser(self) -> torch.optim.Optimizer:
        """Return the optimiser of the network."""
        import torch

        return torch.optim.AdamW(
            self.network.parameters(), lr=self.settings.rate, betas=(0.9, 0.99), weight_decay=0.0, fused=True
        )

    def more_parts(self) -> Mapping[str, Stateful]:
        """Return what else has a state."""
        return {}

    @abstractmethod
    def step(self, epoch: int, index: int) -> Mapping[str, float]:
        """Do one step, of those numbered from 0 in the epoch; return what is worth watching."""

    @abstractmethod
    def validate(self) -> Mapping[str, float]:
        """Measure the moving average on held-out data."""

    @abstractmethod
    def finish(self) -> Path:
        """Publish the moving average; see :meth:`TrainingLoop.publish`."""

    def train(self, report: Callable[[TrainingStep], None], stopping: Callable[[], bool]) -> Path | None:
        """Train to the end, from where an earlier session stopped; return the weights, or None if asked to stop."""
        return self.finish() if self.loop.run(self.step, self.validate, report, stopping) else None

    def descend(
        self,
        loss: torch.Tensor,
        optimiser: torch.optim.Optimizer | None = None,
        network: torch.nn.Module | None = None,
    ) -> float:
        """Make a step against a loss's gradient, clipped to norm 1, and return the loss.

        Args:
            optimiser, network: others than the trainer's own; the moving average is then left alone.

        Raises:
            QbenchError: the loss is NaN or infinite.
        """
        import torch

        if not torch.isfinite(loss):
            raise QbenchError(
                f"the loss is {float(loss.detach())} at step {self.loop.done + 1}; try a lower learning rate"
            )
        chosen = optimiser or self.optimiser
        chosen.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_((network or self.network).parameters(), 1.0)
        chosen.step()
        if network is None:
            self.average.update(self.network, step=self.loop.done + 1)
        return float(loss.detach())

    def set_rate(self, warm: float, *optimisers: torch.optim.Optimizer) -> None:
        """Set the learning rate of the step: ``warm`` steps of warm-up, then a cosine."""
        for optimiser in optimisers or (self.optimiser,):
            for group in optimiser.param_groups:
                group["lr"] = self.loop.rate(self.settings.rate, warm)

    def reduced_precision(self) -> torch.autocast:
        """Return a context in which networks compute in bfloat16, where the device has it; emulation is slow."""
        import torch

        kind = self.device.partition(":")[0]
        return torch.autocast(kind, dtype=torch.bfloat16, enabled=kind != "cpu" or _has_bfloat16())

    def card(self, **described: Any) -> dict[str, Any]:
        """Return what a model card needs: settings, seed, and what else is given."""
        return {"settings": self.settings.model_dump(), "seed": self.seed, **described}


def _has_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16; a torch too old to say is taken to run on one that doesn't."""
    import torch

    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "arm_bf16"))
