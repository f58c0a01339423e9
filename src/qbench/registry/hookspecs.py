"""Every extension point of qbench.

A plugin is a module (or any object) named by an entry point in the group ``qbench``. It implements the hooks
it needs::

    from qbench.plugin import hookimpl

    @hookimpl
    def qbench_register_codecs(register):
        register(MyCodec)

Registering hooks are called once, when the registry is built, before any suite is read: import heavy libraries
inside methods, not at the top of the plugin. Names are unique; when two plugins register the same one, neither
is used and both are named. Observing hooks are called in the process that executes the run; what they raise is
reported with the plugin's and the hook's name, and the run continues.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from qbench.contracts.codec import Codec
    from qbench.contracts.dataset import Dataset
    from qbench.contracts.embedding import Embedding
    from qbench.contracts.exchange import Format
    from qbench.contracts.generator import Generator
    from qbench.contracts.loss import Loss
    from qbench.contracts.metric import MetricDeclaration
    from qbench.contracts.recipe import Recipe
    from qbench.contracts.weights import Weights
    from qbench.planning.types import Plan
    from qbench.records import CellRecord
    from qbench.results.run import Run

PROJECT = "qbench"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def qbench_register_codecs(register: Callable[[type[Codec]], None]) -> None:
    """Offer codecs: call ``register(MyCodec)``.

    Each is a subclass of :class:`qbench.plugin.Codec`.
    """


@hookspec
def qbench_register_metrics(register: Callable[[type[MetricDeclaration]], None]) -> None:
    """Offer metrics: call ``register(MyMetric)`` for each.

    A metric is a subclass of :class:`qbench.plugin.Metric`, or of :class:`qbench.plugin.DistributionMetric` when it
    scores all reconstructions of an operating point together.
    """


@hookspec
def qbench_register_datasets(register: Callable[[type[Dataset]], None]) -> None:
    """Offer named image sets: call ``register(MyDataset)``.

    Each is a subclass of :class:`qbench.plugin.Dataset`.
    """


@hookspec
def qbench_register_models(register: Callable[[Weights], None]) -> None:
    """Offer models' weights: call ``register(Weights(...))`` with a :class:`qbench.plugin.Weights` for each."""


@hookspec
def qbench_register_generators(register: Callable[[type[Generator]], None]) -> None:
    """Offer generators to codecs that invert one: call ``register(MyGenerator)``.

    Each is a subclass of :class:`qbench.plugin.Generator`.
    """


@hookspec
def qbench_register_losses(register: Callable[[type[Loss]], None]) -> None:
    """Offer losses to codecs that optimise what they send: call ``register(MyLoss)``.

    Each is a subclass of :class:`qbench.plugin.Loss`.
    """


@hookspec
def qbench_find_model(name: str) -> Weights | None:
    """Describe a model out of a family too large to register one by one, or return None for names of others.

    Asked for names that nobody registered, such as ``timm/resnet50.a1_in1k`` in ``qbench models pull``. Raise
    :class:`qbench.plugin.ModelError` with the nearest names for one that the family does not have.
    """


@hookspec
def qbench_find_embedding(name: str) -> Embedding | None:
    """Provide the image embedding of that name, or return None for names of others.

    Names are those of the weights: ``vit-tiny-imagenet``, ``timm/vit_large_patch14_dinov2.lvd142m``. Raise
    :class:`qbench.plugin.ModelError` with the nearest names for one that the plugin's family does not have.
    """


@hookspec
def qbench_register_recipes(register: Callable[[type[Recipe]], None]) -> None:
    """Offer trainings: call ``register(MyRecipe)``.

    Each is a subclass of :class:`qbench.plugin.Recipe`.
    """


@hookspec
def qbench_register_formats(register: Callable[[type[Format]], None]) -> None:
    """Offer other tools' file formats: call ``register(MyFormat)``.

    Each is a subclass of :class:`qbench.plugin.Format`.
    """


@hookspec
def qbench_run_started(plan: Plan) -> None:
    """A run is about to execute ``plan``; also called when an interrupted run is resumed."""


@hookspec
def qbench_cell_coded(record: CellRecord) -> None:
    """A cell's record was stored: coded, failed or not applicable. Called in plan-independent order."""


@hookspec
def qbench_run_finished(run: Run) -> None:
    """Execution ended, whether or not every cell succeeded; not called when it was interrupted."""
