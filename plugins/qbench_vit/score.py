"""The ViT-Score and its family."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from qbench.plugin import (
    Candidates,
    Column,
    Context,
    Direction,
    Explanation,
    ExplanationTable,
    Image,
    LocalFile,
    Metric,
    ModelError,
    Parameters,
    Reference,
    Scores,
    Weights,
)
from qbench.toolkit.inference import Original, look_together
from qbench_vit import agreement
from qbench_vit.classifier import Array, Classifier, load_classifier
from qbench_vit.models import BUNDLED, PUBLISHED, local_weights, timm_weights


class VitScoreParameters(Parameters):
    """Settings of the ViT-Score."""

    model: LocalFile | None = Field(
        None,
        min_length=1,
        description="a timm classifier's name, a folder that timm saved one in, or a file of `qbench train vit`; "
        f"by default {BUNDLED.name}, and in profile hub {PUBLISHED.name.removeprefix('timm/')}",
    )
    k: int | None = Field(None, ge=1, description="number of most probable labels compared; by default a tenth of all")
    preprocessing: Literal["model", "thesis"] = Field(
        "model", description="the model's own, or the thesis's: plain resize to a square, mean and deviation 0.5"
    )
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="of the network's arithmetic; bfloat16 is faster, but may swap labels around rank K"
    )


@dataclass(frozen=True)
class View:
    """What the classifier says of one image.

    Attributes:
        logits: shape L.
        features: shape d.
    """

    logits: Array
    features: Array
    k: int

    @cached_property
    def probabilities(self) -> Array:
        """Of every label, shape L."""
        return agreement.probabilities(self.logits)

    @cached_property
    def top(self) -> agreement.Indices:
        """The K most probable labels, best first."""
        return agreement.top_labels(self.logits, self.k)


class VitScore(Metric):
    """Share of the top-K labels that an image classifier gives both to the original and to the reconstruction.

    The classifier is a Vision Transformer unless another is chosen. K is a tenth of its labels: 100 of ImageNet's
    1,000, as in the thesis. Further columns use all that the classifier says: labels weighted by their probability,
    whether the best label is the same, how far the label distributions are apart, and how alike the features are.
    """

    name = "vit-score"
    summary = "share of top-K labels kept, by a Vision Transformer"
    runs_on = "accelerator"
    reference = "Minchev 2022; labels by Dosovitskiy et al. 2021, ICLR"
    Parameters: ClassVar = VitScoreParameters
    columns: ClassVar = (
        Column(
            "vit-score",
            Direction.HIGHER,
            0.0,
            1.0,
            digits=3,
            summary="share of top-K labels in common",
            title="ViT-Score",
        ),
        Column(
            "weighted",
            Direction.HIGHER,
            0.0,
            1.0,
            digits=3,
            summary="the same, labels counted by probability",
            title="ViT-Score, weighted",
        ),
        Column(
            "top1",
            Direction.HIGHER,
            0.0,
            1.0,
            digits=2,
            summary="1 if the best label is the same, else 0",
            title="ViT top-1 agreement",
        ),
        Column("jsd", Direction.LOWER, 0.0, 1.0, "bit", 4, "Jensen-Shannon divergence of the label distributions"),
        Column("cosine", Direction.HIGHER, -1.0, 1.0, digits=4, summary="cosine of the features before the last layer"),
    )

    def __init__(self, parameters: VitScoreParameters, context: Context) -> None:
        super().__init__(parameters, context)
        self._weights = chosen_weights(parameters, context.profile)
        self._k(self._weights.metadata["labels"])

    @classmethod
    def weights(cls, parameters: VitScoreParameters, profile: str) -> Sequence[Weights]:
        """The classifier's."""
        return (chosen_weights(parameters, profile),)

    @classmethod
    def libraries(cls) -> dict[str, str]:
        """The libraries that make the network and resize the image."""
        return {name: version(name) for name in ("torch", "timm", "Pillow")}

    @cached_property
    def classifier(self) -> Classifier:
        """The classifier, loaded when it is first needed."""
        return load_classifier(self._weights, self.parameters.preprocessing, self.parameters.precision, self.context)

    def prepare(self, reference: Reference) -> Original[View]:
        """Look at the original: on an accelerator later, with reconstructions, where one more costs little."""
        return Original(reference.image, None if reference.device != "cpu" else self._look([reference.image])[0])

    def score(self, candidates: Candidates, prepared: Original[View]) -> Sequence[Scores]:
        """Score a batch."""
        return self.score_several([(candidates, prepared)])[0]

    def score_several(self, works: Sequence[tuple[Candidates, Original[View]]]) -> Sequence[Sequence[Scores]]:
        """Score batches of several images, looked at together."""
        return [[self.scores(own, view) for view in views] for own, views in look_together(works, self._look)]

    def explain(self, candidates: Candidates, prepared: Original[View]) -> Explanation:
        """List the labels that are kept, lost and new, with their probabilities."""
        ((own, (view,)),) = look_together([(candidates, prepared)], self._look)
        facts: dict[str, str | int | float] = {
            "model": self.classifier.name,
            "preprocessing": self.parameters.preprocessing,
            "K": f"{view.k} of {len(self.classifier.labels)} labels",
        }
        facts |= {column.summary: self.scores(own, view)[column.name] for column in self.columns}
        shared = [index for index in own.top if index in view.top]
        missing = [index for index in own.top if index not in view.top]
        new = [index for index in view.top if index not in own.top]
        return Explanation(
            facts,
            tuple(
                self._table(title, indices, own, view)
                for title, indices in (("shared labels", shared), ("missing labels", missing), ("new labels", new))
            ),
        )

    def _table(self, title: str, indices: Sequence[int], original: View, view: View) -> ExplanationTable:
        p, q = original.probabilities, view.probabilities
        rows = tuple((self.classifier.labels[i], float(p[i]), float(q[i]), float(q[i] - p[i])) for i in indices)
        return ExplanationTable(title, ("label", "original", "reconstruction", "difference"), rows)

    def _look(self, images: Sequence[Image]) -> list[View]:
        found = self.classifier.look(images)
        k = self._k(found.logits.shape[1])
        return [View(logits, features, k) for logits, features in zip(found.logits, found.features, strict=True)]

    def _k(self, count: int) -> int:
        k: int = self.parameters.k or max(1, round(count / 10))
        if k > count:
            raise ModelError(
                f"vit-score: k is {k}, but {self._weights.name} has {count} labels; accepted: 1 to {count}"
            )
        return k

    @staticmethod
    def scores(original: View, view: View) -> dict[str, float]:
        """Return the value of every column."""
        if view is original:  # exactly, where floating-point arithmetic would give almost
            return {"vit-score": 1.0, "weighted": 1.0, "top1": 1.0, "jsd": 0.0, "cosine": 1.0}
        p, q = original.probabilities, view.probabilities
        return {
            "vit-score": agreement.shared_share(original.top, view.top),
            "weighted": agreement.weighted_share(p, q, original.top, view.top),
            "top1": float(original.top[0] == view.top[0]),
            "jsd": agreement.jensen_shannon(p, q),
            "cosine": agreement.cosine(original.features, view.features),
        }


def chosen_weights(parameters: VitScoreParameters, profile: str) -> Weights:
    """Return the weights that the parameters name, or the profile's own.

    Raises:
        ModelError: there are none of that name; with the nearest names.
    """
    name = parameters.model
    if name is None:
        return PUBLISHED if profile == "hub" else BUNDLED
    for weights in (BUNDLED, PUBLISHED):
        if name in (weights.name, weights.name.removeprefix("timm/")):
            return weights
    path = Path(name).expanduser()
    if path.exists() or path.suffix == ".safetensors":
        return local_weights(path)
    if "/" in name and not name.startswith("timm/"):
        raise ModelError(f"vit-score: no model's folder or file {name}")
    return timm_weights(name.removeprefix("timm/"))
