"""Inception-v3 as FID has it: the TensorFlow graph of 2015, by torch-fidelity."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from qbench.plugin import (
    Candidates,
    Column,
    Context,
    Direction,
    DistributionMetric,
    Embed,
    Embedding,
    Image,
    ModelError,
    Scores,
    Weights,
    find_weights,
)
from qbench.toolkit.inference import BatchedNetwork
from qbench_perceptual.conversion import tensors_to_safetensors
from qbench_perceptual.patches import PatchParameters, embedded, patches
from qbench_perceptual.sampling import interval, require_samples, sample_columns, together

if TYPE_CHECKING:
    import torch

INCEPTION = "inception"
WEIGHTS = Weights(
    name=INCEPTION,
    summary="Inception-v3 of 2015 with which FID is defined, converted from TensorFlow, 2,048 features",
    source="https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
    sha256="6726825d",
    size=0,
    licence="Apache-2.0",
    provenance="Szegedy et al. 2016, CVPR; TensorFlow's inception-2015-12-05, converted by torch-fidelity",
    convert=tensors_to_safetensors,
)


def embedding() -> Embedding:
    """Return the pooled features."""
    return Embedding(WEIGHTS, lambda context: network(find_weights(WEIGHTS), "2048", context))


def network(path: Path, output: str, context: Context) -> Embed:
    """Return what gives an output of the network, N×d, for images of any size.

    Args:
        output: ``2048`` or ``logits_unbiased``, in torch-fidelity's terms.

    Raises:
        ModelError: the file does not fit.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    # torch-fidelity unpickles the file that it is given; so it is given these very tensors, in memory.
    buffer = io.BytesIO()
    try:
        torch.save(load_file(path), buffer)
        buffer.seek(0)
        ready: Any = FeatureExtractorInceptionV3(INCEPTION, [output], buffer)
    except (RuntimeError, SafetensorError) as error:
        raise ModelError(f"{path}: does not fit Inception-v3: {error}") from error
    ready = ready.to(context.device)
    forward: Callable[[torch.Tensor], tuple[torch.Tensor]] = ready
    batched = BatchedNetwork(INCEPTION, forward, context)

    def embed(images: Sequence[Image]) -> npt.NDArray[np.float32]:
        alike = context.device != "cpu" and len({image.shape for image in images}) == 1
        groups = [images] if alike else [[image] for image in images]
        inputs = [torch.from_numpy(np.stack([image.pixels for image in group])).permute(0, 3, 1, 2) for group in groups]
        return np.concatenate([batched(each)[0] for each in inputs]).astype(np.float32)

    return embed


class InceptionScore(DistributionMetric):
    """How sure Inception-v3 is of each reconstruction's label, and how varied labels are over all of them.

    exp(mean over samples of KL(labels of a sample, mean labels of all)), over all samples at once. It looks at
    reconstructions alone and was made for generators: for codecs it says little, and column ``original`` is what the
    originals themselves reach. Only in profile hub.
    """

    name = "inception-score"
    summary = "Inception score of the reconstructions, beside the originals' own"
    runs_on = "accelerator"
    reference = "Salimans et al. 2016, NeurIPS"
    Parameters: ClassVar = PatchParameters
    columns: ClassVar = (
        Column("inception-score", Direction.HIGHER, 1.0, 1008.0, digits=3, title="Inception Score"),
        Column("original", Direction.HIGHER, 1.0, 1008.0, digits=3, summary="of the originals"),
        *sample_columns(Direction.HIGHER, 3),
    )

    @classmethod
    def weights(cls, parameters: PatchParameters, profile: str) -> Sequence[Weights]:
        """Inception's.

        Raises:
            ModelError: the profile is not hub.
        """
        if profile != "hub":
            raise ModelError("inception-score: no Inception is bundled; use profile hub")
        return (WEIGHTS,)

    @classmethod
    def libraries(cls) -> dict[str, str]:
        """The libraries that compute labels."""
        return {name: version(name) for name in ("torch", "torch-fidelity")}

    def __init__(self, parameters: PatchParameters, context: Context) -> None:
        super().__init__(parameters, context)
        self._embed: Embed | None = None

    def features(self, images: Candidates) -> Sequence[npt.NDArray[np.float32]]:
        """Return the logits of every image, or of each of its patches."""
        if self._embed is None:
            self._embed = network(find_weights(WEIGHTS), "logits_unbiased", self.context)
        return embedded(self._embed, [patches(image, self.parameters) for image in images.images], self.context)

    def finish(
        self, originals: Sequence[npt.NDArray[np.float32]], reconstructions: Sequence[npt.NDArray[np.float32]]
    ) -> Scores:
        """Compute the score of all samples."""
        made = together(reconstructions)
        require_samples(len(made))
        value, own = inception_score(made), inception_score(together(originals))
        ends = interval(lambda chosen: inception_score(made[chosen]), reconstructions)
        return {self.name: value, "original": own, **ends, "samples": float(len(made))}


def inception_score(logits: npt.NDArray[np.float64]) -> float:
    """Return the score of logits, n×labels."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    logarithms = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    probabilities = np.exp(logarithms)
    mean = np.log(np.maximum(probabilities.mean(axis=0), 1e-300))
    return float(np.exp((probabilities * (logarithms - mean)).sum(axis=1).mean()))
