"""The recipe contract: how a model that qbench ships is trained, so that anybody can do it again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from qbench.contracts.context import Context
from qbench.contracts.parameters import NoParameters, Parameters


@dataclass(frozen=True)
class TrainingStep:
    """How far a training is.

    Attributes:
        done, total: steps, counted over the whole training, earlier sessions included.
        epoch: the current one, from 1.
        values: what is worth watching: ``{"loss": 2.31}``; after an epoch also held-out results.
        milestone: an epoch ended, and its state is saved.
    """

    done: int
    total: int
    epoch: int
    values: Mapping[str, float] = field(default_factory=dict)
    milestone: bool = False


class Recipe(ABC):
    """A training, from public data to a file of weights.

    It saves its whole state (weights, optimiser, averages, random generators, position in the schedule) in the work
    folder as it goes; called again with the same folder and parameters it resumes.

    Class attributes:
        name: as in ``qbench train NAME``.
        summary: one line for ``qbench train --help``.
        Parameters: the model of its settings, seed included in the context.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    Parameters: ClassVar[type[Parameters]] = NoParameters

    def __init__(self, parameters: Any, context: Context) -> None:
        self.parameters = parameters
        self.context = context

    @abstractmethod
    def train(
        self, data: Path, work: Path, report: Callable[[TrainingStep], None], stopping: Callable[[], bool]
    ) -> Path | None:
        """Start or resume the training.

        Args:
            data: folder with the training data; the class says in which form.
            work: folder for state and results; made if need be.
            report: called at every step.
            stopping: asked between steps; save the state and return None when it says so.

        Returns:
            The safetensors file of the trained weights, None if it was stopped before the end.

        Raises:
            QbenchError: the data is missing or of another form; the work folder holds another training.
        """
