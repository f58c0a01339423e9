"""Similarity of two images in the space of a CLIP model."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from pydantic import Field

from qbench.plugin import (
    Candidates,
    Column,
    Context,
    Direction,
    Embed,
    Embedding,
    Image,
    Metric,
    ModelError,
    Parameters,
    Reference,
    Scores,
    Weights,
    find_weights,
)
from qbench.toolkit.inference import BatchedNetwork, Original, look_together

if TYPE_CHECKING:
    import torch

OWNER = "open_clip/"
HUB_MODEL = "ViT-B-32/laion2b_s34b_b79k"
CONFIG, FILE = "open_clip_config.json", "open_clip_model.safetensors"

Features = npt.NDArray[np.float64]


class ClipParameters(Parameters):
    """Settings of the CLIP similarity."""

    model: str | None = Field(
        None,
        min_length=1,
        description=f"MODEL/TAG as open_clip names them, or a folder with {CONFIG} and {FILE}; "
        f"{HUB_MODEL} in profile hub; none is bundled",
    )
    precision: Literal["float32", "bfloat16"] = Field("float32", description="of the network's arithmetic")


class ClipSimilarity(Metric):
    """Cosine of the angle between the CLIP embeddings of the original and of the reconstruction.

    An image-image similarity: it is not the CLIPScore of Hessel et al. 2021, which compares an image with a text. Each
    image is prepared as the model was trained, which for most means the central square alone. Values of different
    models can't be compared: the model is part of the column's name.
    """

    name = "clip-similarity"
    runs_on = "accelerator"
    summary = "cosine of CLIP embeddings of original and reconstruction"
    reference = "Radford et al. 2021, ICML; open_clip: Cherti et al. 2023, CVPR"
    Parameters: ClassVar = ClipParameters
    columns: ClassVar = (Column("clip-similarity", Direction.HIGHER, -1.0, 1.0, title="CLIP similarity"),)

    def __init__(self, parameters: ClipParameters, context: Context) -> None:
        super().__init__(parameters, context)
        self._weights = chosen_weights(parameters.model, context.profile)

    @classmethod
    def weights(cls, parameters: ClipParameters, profile: str) -> Sequence[Weights]:
        """The CLIP model's."""
        return (chosen_weights(parameters.model, profile),)

    @classmethod
    def default_label(cls, parameters: ClipParameters, profile: str) -> str:
        """``clip-similarity-ViT-B-32-laion2b_s34b_b79k``."""
        name = chosen_weights(parameters.model, profile).name.removeprefix(OWNER)
        return f"{cls.name}-{re.sub(r'[^A-Za-z0-9_+-]', '-', name)}"

    @classmethod
    def libraries(cls) -> dict[str, str]:
        """The libraries that make the network and resize the image."""
        return {name: version(name) for name in ("torch", "open_clip_torch", "Pillow")}

    @cached_property
    def _embed(self) -> _UnitVectors:
        return _UnitVectors(self._weights, self.context, self.parameters.precision)

    def prepare(self, reference: Reference) -> Original[Features]:
        """Embed the original: on an accelerator later, with reconstructions, where one more costs little."""
        return Original(reference.image, None if reference.device != "cpu" else self._embed([reference.image])[0])

    def score(self, candidates: Candidates, prepared: Original[Features]) -> Sequence[Scores]:
        """Score a batch."""
        return self.score_several([(candidates, prepared)])[0]

    def score_several(self, works: Sequence[tuple[Candidates, Original[Features]]]) -> Sequence[Sequence[Scores]]:
        """Score batches of several images, embedded together."""
        return [
            [self._score(own, found) for found in made]
            for own, made in look_together(works, lambda images: list(self._embed(images)))
        ]

    @staticmethod
    def _score(own: Features, found: Features) -> Scores:
        return {"clip-similarity": 1.0 if found is own else float(np.clip(found @ own, -1, 1))}


def embedding(name: str) -> Embedding | None:
    """Return the embeddings of a model by its name, ``open_clip/MODEL/TAG``, or the folder that it is in."""
    if name.startswith(OWNER):
        weights = published(name.removeprefix(OWNER))
    elif (Path(name).expanduser() / CONFIG).is_file():
        weights = _local(Path(name).expanduser())
    else:
        return None

    def load(context: Context) -> Embed:
        unit = _UnitVectors(weights, context, "float32")
        return lambda images: unit(images).astype(np.float32)

    return Embedding(weights, load)


class _UnitVectors:
    """From images to unit vectors."""

    def __init__(self, weights: Weights, context: Context, precision: Literal["float32", "bfloat16"]) -> None:
        import open_clip
        from open_clip.transform import PreprocessCfg, image_transform_v2

        path = find_weights(weights)
        try:
            if "folder" in weights.metadata:
                # Of several files in a folder open_clip takes this one first.
                network: Any = open_clip.create_model(f"local-dir:{weights.metadata['folder']}")
            else:
                tag = open_clip.get_pretrained_cfg(weights.metadata["model"], weights.metadata["tag"])
                described = {name: tag[name] for name in ("mean", "std", "interpolation", "resize_mode") if name in tag}
                network = open_clip.create_model(
                    weights.metadata["model"],
                    str(path),
                    force_quick_gelu=bool(tag.get("quick_gelu")),
                    force_preprocess_cfg=described,
                )
        except (RuntimeError, ValueError, KeyError, OSError, AssertionError) as error:
            raise ModelError(f"{path}: open_clip can't load {weights.name} from it: {error}") from error
        settings = PreprocessCfg(**network.visual.preprocess_cfg)
        self._transform = image_transform_v2(settings, is_train=False)
        network = network.to(context.device).eval()

        def forward(inputs: torch.Tensor) -> tuple[torch.Tensor]:
            return (network.encode_image(inputs),)

        self._network = BatchedNetwork(weights.name, forward, context, precision)

    def __call__(self, images: Sequence[Image]) -> Features:
        """Return N×d, each row of length 1."""
        import torch

        inputs = torch.stack([self._transform(PillowImage.fromarray(image.pixels)) for image in images])
        (embeddings,) = self._network(inputs)
        unit: Features = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
        return unit


def chosen_weights(model: str | None, profile: str) -> Weights:
    """Return the weights that a model's name or folder means.

    Raises:
        ModelError: there are none of that name; or none is given and the profile has none.
    """
    if model is None:
        if profile != "hub":
            raise ModelError(
                f"clip-similarity: no CLIP model is bundled (they are too large); use profile hub, give model: "
                f"{HUB_MODEL}, or the folder of one of your own"
            )
        model = HUB_MODEL
    folder = Path(model).expanduser()
    return _local(folder) if folder.is_dir() else published(model)


def published(name: str) -> Weights:
    """Describe weights that open_clip publishes, ``MODEL/TAG``.

    Raises:
        ModelError: there are none of that name; with the nearest.
    """
    import open_clip

    model, _, tag = name.partition("/")
    known = [f"{model}/{tag}" for model, tag in open_clip.list_pretrained()]
    found = open_clip.get_pretrained_cfg(model, tag) if name in known else {}
    if not found.get("hf_hub"):
        near = ", ".join(f"`{other}`" for other in get_close_matches(name, known, n=3, cutoff=0.5))
        hint = f"; did you mean {near}?" if near else ""
        raise ModelError(
            f"clip-similarity: `{name}` is neither a folder, nor MODEL/TAG of weights that open_clip finds on the "
            f"hub{hint}"
        )
    owner, _, file = str(found["hf_hub"]).rpartition("/")
    return Weights(
        name=f"{OWNER}{name}",
        summary=f"CLIP {model}, weights {tag}, by open_clip",
        source=f"hf:{owner}/{file or FILE}",
        sha256="",  # as the hub declares it at the first pull
        size=0,
        licence="see the model's page",
        provenance=f"https://huggingface.co/{owner}",
        metadata={"model": model, "tag": tag},
    )


def _local(folder: Path) -> Weights:
    config = folder / CONFIG
    try:
        json.loads(config.read_text(encoding="utf-8"))["model_cfg"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{folder}: a CLIP model's folder holds {CONFIG} and {FILE} ({error!r})") from error
    weights = Weights.local(folder / FILE, f"CLIP model in {folder}", {"folder": str(folder.resolve())})
    # The description decides the values as much as the weights do.
    return replace(weights, name=f"{folder.resolve().name}-{Weights.local(config, '').sha256[:8]}")
