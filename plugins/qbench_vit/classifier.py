"""A classifier that is ready to look at images: network, preprocessing, label names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from qbench.plugin import Context, Image, ModelError, Weights, find_weights
from qbench.toolkit.inference import BatchedNetwork
from qbench_vit.network import build, describe

if TYPE_CHECKING:
    import torch

Array = npt.NDArray[np.float64]

Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class Outputs:
    """What a classifier says of N images.

    Attributes:
        logits: N×labels.
        features: N×d, what the last layer (the classifier's head) sees.
    """

    logits: Array
    features: Array


class Classifier:
    """A network with its preprocessing.

    Attributes:
        name: as tables show it.
        labels: a name for each output.
    """

    def __init__(
        self,
        name: str,
        network: torch.nn.Module,
        transform: Callable[[PillowImage.Image], torch.Tensor],
        labels: Sequence[str],
        context: Context,
        precision: Precision = "float32",
    ) -> None:
        self.name = name
        self.labels = tuple(labels)
        self._transform = transform
        ready: Any = network.to(context.device).eval()

        def forward(inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            hidden = ready.forward_features(inputs)
            return ready.forward_head(hidden), ready.forward_head(hidden, pre_logits=True)

        self._network = BatchedNetwork(name, forward, context, precision)

    def look(self, images: Sequence[Image]) -> Outputs:
        """Return the outputs for images, of any size each.

        Raises:
            ModelError: the network gives NaN or infinity, or one image alone does not fit into the device's memory.
        """
        import torch

        inputs = [self._transform(PillowImage.fromarray(image.pixels)) for image in images]
        return Outputs(*self._network(torch.stack(inputs)))


def load_classifier(weights: Weights, preprocessing: str, precision: Precision, context: Context) -> Classifier:
    """Load a classifier from verified weights.

    Args:
        preprocessing: ``model`` for the model's own, ``thesis`` for a plain bilinear resize to the model's square
            and mean and deviation 0.5.

    Raises:
        ModelError: the weights are not downloaded or do not fit the network; the network has no labels.
    """
    network, config, labels = load_network(weights)
    return Classifier(weights.name, network, preprocessing_of(config, preprocessing), labels, context, precision)


def load_network(weights: Weights, *, labels: bool = True) -> _Parts:
    """Return the network that verified weights are for, its preprocessing in timm's terms, and its labels' names.

    Args:
        labels: refuse a network that has none.

    Raises:
        ModelError: the weights are not downloaded or do not fit the network; the network has no labels.
    """
    path = find_weights(weights)
    if "folder" in weights.metadata:
        parts = _from_folder(Path(weights.metadata["folder"]), path)
    elif weights.profile == "hub":
        parts = _from_timm(weights.name.removeprefix("timm/"), path)
    else:
        parts = _own(path)
    if labels and not parts[2]:
        raise ModelError(f"{weights.name} has no labels: it gives features only; choose a classifier")
    return parts


_Parts = tuple["torch.nn.Module", dict[str, Any], Sequence[str]]
_Transform = Callable[[PillowImage.Image], "torch.Tensor"]


def _own(path: Path) -> _Parts:
    """Build a network that ``qbench train vit`` trained."""
    shape, labels = describe(path)
    network = build(shape)
    _fill(network, path)
    half = (0.5, 0.5, 0.5)
    # The whole image, squashed to the square, and not its centre alone: every part of it is judged.
    config = {"input_size": (3, shape.size, shape.size), "interpolation": "bicubic", "mean": half, "std": half}
    return network, {**config, "crop_pct": 1.0, "crop_mode": "squash"}, labels


def _from_timm(name: str, path: Path) -> _Parts:
    """Build a published timm model; timm itself converts the weights where their form asks for it."""
    import timm

    try:
        # The file is safetensors whatever the model's own loader expects (NumPy's, for some).
        overlay = {"file": str(path), "custom_load": False}
        network = timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay)
    except (RuntimeError, ValueError, KeyError) as error:
        raise ModelError(f"{path}: does not fit timm's {name}: {error}") from error
    return network, timm.data.resolve_model_data_config(network), _labels_of(network)


def _from_folder(folder: Path, path: Path) -> _Parts:
    """Build a model that timm saved in a folder."""
    import timm

    try:
        network = timm.create_model(f"local-dir:{folder}", pretrained=False)
    except (RuntimeError, ValueError, KeyError, TypeError, AssertionError) as error:
        raise ModelError(f"{folder / 'config.json'}: timm can't build it: {error}") from error
    _fill(network, path)
    return network, timm.data.resolve_model_data_config(network), _labels_of(network)


def _fill(network: torch.nn.Module, path: Path) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        network.load_state_dict(
            {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in load_file(path).items()}
        )
    except (RuntimeError, SafetensorError) as error:
        raise ModelError(f"{path}: does not fit its network: {error}") from error


def _labels_of(network: Any) -> Sequence[str]:
    """Return a name for each label of a timm model: its own, ImageNet's by their number, or plain numbers."""
    from timm.data import ImageNetInfo, infer_imagenet_subset

    count = int(network.num_classes)
    own = network.pretrained_cfg.get("label_names")
    if own and len(own) == count:
        descriptions = network.pretrained_cfg.get("label_descriptions") or {}
        return [str(descriptions.get(label, label)) for label in own]
    subset = infer_imagenet_subset(network)
    if subset is None:
        return [f"label {index}" for index in range(count)]
    info = ImageNetInfo(subset)
    return [info.index_to_description(index) for index in range(count)]


def preprocessing_of(config: dict[str, Any], preprocessing: str) -> _Transform:
    """Return what makes a network's input of an image; of its settings in timm's terms, or as the thesis does."""
    if preprocessing == "thesis":
        from torchvision import transforms

        size = tuple(config["input_size"][-2:])
        bilinear = transforms.InterpolationMode.BILINEAR
        steps = [transforms.Resize(size, bilinear), transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.5] * 3)]
        return cast(_Transform, transforms.Compose(steps))
    from timm.data import create_transform

    return cast(_Transform, create_transform(**config, is_training=False))
