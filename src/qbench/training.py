"""The loop of a recipe that trains a torch network: saves its whole state as it goes, and goes on from there."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from qbench.errors import QbenchError
from qbench.recipe import TrainingStep

STATE = "state.pt"
EVERY_SECONDS = 300.0
"""The state is saved this often within an epoch, and after each."""


class Stateful(Protocol):
    """A network, an optimiser, a moving average of weights."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state."""

    def load_state_dict(self, state_dict: Any) -> Any:
        """Take up a state."""


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
            identity: settings and data that must be the same when a training goes on, in plain values. The number of
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
        save_file(tensors, path, {name: json.dumps(value) for name, value in described.items()})
        path.chmod(0o644)
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
            report, stopping: as :meth:`qbench.Recipe.train` is given them.

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
            raise QbenchError(f"{self._path}: is of a training with other settings or data; choose another work folder")
        for name, part in self._parts.items():
            part.load_state_dict(state["parts"][name])
        torch.set_rng_state(state["random"].cpu())
        if self._device != "cpu":
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
        temporary = self._path.with_suffix(".part")
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
        temporary.replace(self._path)
